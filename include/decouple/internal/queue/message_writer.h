// How messages come into a store: each is written into the slot of its ticket, and published by the slot's word.
//
// Before the word is stored nobody looks at the slot; after it the message may be somebody's, or gone. The caller has
// taken the ticket and notifies receivers afterwards.

#ifndef DECOUPLE_INTERNAL_PUBLISHING_H_
#define DECOUPLE_INTERNAL_PUBLISHING_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "decouple/internal/fifo_groups.h"
#include "decouple/internal/message_slot.h"
#include "decouple/internal/message_store.h"
#include "decouple/internal/particulars.h"
#include "decouple/internal/sleeper.h"
#include "decouple/internal/slot_word.h"
#include "decouple/internal/thread_record.h"

namespace decouple::internal {

template <typename T>
class Publishing {
 public:
  using Store = MessageStore<T>;
  using Lane = typename Store::Lane;
  using Message = typename Store::Message;
  using Mine = typename Store::Mine;
  using Slot = typename Store::Slot;

  explicit Publishing(Store& store) : store_(store) {}

  // The usual message of a standard queue: visible at once, and nothing to be said of it. Here and below,
  // construct(slot) writes the body, and returns the marks that MessageSlot gives for it.
  template <typename Construct>
  [[gnu::always_inline]] void PublishPlain(Mine& mine, std::uint64_t ticket, std::int64_t sent_at,
                                           Construct construct) {
    const auto place = store_.lane().PlaceOf(ticket, mine.view);
    const SlotWord ready = WritePlain(*place.slot, mine.view.send_word(), sent_at, construct);
    PublishReady({place.segment, place.slot}, ticket, ready);
  }

  // The first half of it: writes the slot, which is nobody else's yet, and returns its word. `ready` is that without
  // marks.
  template <typename Construct>
  [[gnu::always_inline]] static SlotWord WritePlain(Slot& slot, SlotWord ready, std::int64_t sent_at,
                                                    Construct construct) {
    const std::uint32_t marks = construct(slot);
    // Relaxed, as all of the slot is until the word is stored: that publishes it.
    slot.sent_at.store(sent_at, std::memory_order_relaxed);
    return ready.With(marks);
  }

  // Several of these, with consecutive tickets: construct(slot) for each in turn. After a light fence the caller asks
  // for those that were skipped, if there may be some.
  template <typename Construct>
  [[gnu::always_inline]] void JustPublishPlainRun(Mine& mine, std::uint64_t first, std::uint32_t n,
                                                  std::int64_t sent_at, Construct construct) {
    store_.lane().JustPublishRun(
        first, n, mine.view, [&](Slot& slot, SlotWord ready) { return WritePlain(slot, ready, sent_at, construct); });
  }
  void ListSkippedOfRun(Mine& mine, std::uint64_t first, std::uint32_t n) {
    store_.lane().ForEachSkipped(first, n, mine.view, [&](typename Lane::Place place) {
      ListSkipped({place.segment, place.slot});
    });
  }

  // A message that has been published as ready, but whose ticket was skipped: no receiver will come for it there, so it
  // is the caller's to list.
  [[gnu::noinline]] void ListSkipped(Message message) {
    const SlotWord ready(message.slot->word.load(std::memory_order_relaxed));
    Store::Disown(*message.slot, ready.With(Phase::kBusy));
    store_.MakeVisible(store_.mine(), message, ready);
  }

  // A message that was sent to a standard queue; visible from `visible_at` on. Null particulars: it has none.
  template <typename Construct>
  void Publish(Mine& mine, std::uint64_t ticket, std::unique_ptr<Particulars> particulars, std::int64_t sent_at,
               std::int64_t visible_at, Construct construct) {
    const auto place = store_.lane().PlaceOf(ticket, mine.view);
    const Message message{place.segment, place.slot};
    const std::uint64_t ordinal = Lane::OrdinalOf(ticket);
    const std::uint32_t body_marks = construct(*place.slot);
    place.slot->sent_at.store(sent_at, std::memory_order_relaxed);
    if (particulars == nullptr && visible_at <= sent_at) [[likely]] {
      PublishReady(message, ticket, SlotWord(Phase::kReady, ordinal, body_marks));
      return;
    }
    const bool has_group = particulars != nullptr && !particulars->group.empty();
    const std::uint32_t marks = body_marks | (particulars == nullptr ? 0 : SlotWord::kHasParticulars);
    if (has_group) particulars->tenant = store_.TenantsOrCreate().Enrol(particulars->group, sent_at);
    if (particulars != nullptr) message.segment->data.Put(Store::PlaceOf(message), std::move(particulars));
    if (visible_at > sent_at) {
      mine.counts.delayed.Add(1);
      PublishUnderDeadline(message, ticket, SlotWord(Phase::kDelayed, ordinal, marks), visible_at);
    } else if (has_group) {
      const SlotWord owned(Phase::kBusy, ordinal, marks);
      Lane::PublishUnclaimable(*place.slot, owned);
      store_.lane().ForgetSkip(ticket);
      store_.MakeVisible(mine, message, owned);
    } else {
      PublishReady(message, ticket, SlotWord(Phase::kReady, ordinal, marks));
    }
  }

  // One that a standard queue takes over from another: listed at once, as it may be older than those before it.
  template <typename Construct>
  void PublishTakenOver(Mine& mine, std::uint64_t ticket, std::unique_ptr<Particulars> particulars,
                        std::int64_t sent_at, Construct construct) {
    const auto place = store_.lane().PlaceOf(ticket, mine.view);
    const Message message{place.segment, place.slot};
    const SlotWord owned(Phase::kBusy, Lane::OrdinalOf(ticket), construct(*place.slot) | SlotWord::kHasParticulars);
    place.slot->sent_at.store(sent_at, std::memory_order_relaxed);
    if (!particulars->group.empty()) particulars->tenant = store_.TenantsOrCreate().Enrol(particulars->group, sent_at);
    message.segment->data.Put(Store::PlaceOf(message), std::move(particulars));
    store_.set_has_older_ones();
    Lane::PublishUnclaimable(*place.slot, owned);
    store_.lane().ForgetSkip(ticket);
    store_.MakeVisible(mine, message, owned);
  }

  // One that comes into a FIFO queue, in the entrance of its group; else as the two above. describe(particulars) writes
  // what is to be said of it. `to_list` is set if the caller has to list it, once he has left the entrance.
  template <typename Describe, typename Construct>
  void PublishInGroup(Mine& mine, FifoGroups::Entrance& entrance, std::uint64_t ticket, std::int64_t sent_at,
                      std::int64_t visible_at, Describe describe, Construct construct,
                      std::optional<Message>& to_list) {
    static_assert(std::is_standard_layout_v<Slot> && offsetof(Slot, word) == 0, "FifoGroups finds the word there");
    const auto place = store_.lane().PlaceOf(ticket, mine.view);
    const Message message{place.segment, place.slot};
    Particulars& particulars = message.segment->data.InRow(Store::PlaceOf(message));
    describe(particulars);
    const std::uint32_t body_marks = construct(*place.slot);
    place.slot->sent_at.store(sent_at, std::memory_order_relaxed);
    particulars.in_group.place = {message.segment, message.slot};
    SlotWord word(Phase::kListed, Lane::OrdinalOf(ticket), body_marks | SlotWord::kHasParticulars);
    const bool is_first = entrance.Append(particulars);
    const bool is_delayed = visible_at > sent_at;
    if (is_delayed) {
      mine.counts.delayed.Add(1);
      word = word.With(Phase::kDelayed);
    } else if (is_first) {
      word = word.With(SlotWord::kInLine);
    }
    PublishUnderDeadline(message, ticket, word, is_delayed ? visible_at : kForever);
    if (is_first && !is_delayed) to_list.emplace(message);
  }

 private:
  // A message that becomes somebody's at `visible_at`, or when its retention ends, which is seen to from then on.
  void PublishUnderDeadline(Message message, std::uint64_t ticket, SlotWord word, std::int64_t visible_at) {
    message.TimesToWrite().set_visible_at(visible_at);
    const std::int64_t due = std::min(visible_at, store_.RetentionEnd(*message.slot));
    {
      const ReadSection section;  // once it is published, it may come to its end, and its segment too
      Lane::PublishUnclaimable(*message.slot, word);
      store_.LowerDeadline(*message.segment, due);
    }
    store_.lane().ForgetSkip(ticket);
  }

  [[gnu::always_inline]] void PublishReady(Message message, std::uint64_t ticket, SlotWord ready) {
    if (!store_.lane().Publish(*message.slot, ticket, ready)) [[unlikely]]
      ListSkipped(message);
  }

  Store& store_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_PUBLISHING_H_
