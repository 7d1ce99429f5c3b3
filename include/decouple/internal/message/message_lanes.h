// Where the messages of a queue lie and wait, and what its threads know of each other: the lanes, the lines of those
// that are visible again, the counts, the instant at which something is due, and the calls for those who sleep.

#ifndef DECOUPLE_INTERNAL_MESSAGE_PLACES_H_
#define DECOUPLE_INTERNAL_MESSAGE_PLACES_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "decouple/clock.h"
#include "decouple/internal/aside.h"
#include "decouple/internal/event_count.h"
#include "decouple/internal/fifo_groups.h"
#include "decouple/internal/get_or_create.h"
#include "decouple/internal/holder_bias.h"
#include "decouple/internal/message_content.h"
#include "decouple/internal/message_slot.h"
#include "decouple/internal/particulars.h"
#include "decouple/internal/per_thread.h"
#include "decouple/internal/queue_counters.h"
#include "decouple/internal/segment_pool.h"
#include "decouple/internal/sleeper.h"
#include "decouple/internal/slot_word.h"
#include "decouple/internal/tenant_lines.h"
#include "decouple/internal/thread_record.h"
#include "decouple/internal/ticket_lane.h"

namespace decouple::internal {

template <typename T>
class MessagePlaces : public MessageContent<T> {
  using Content = MessageContent<T>;

 public:
  using typename Content::Message;
  using typename Content::Segment;
  using typename Content::Slot;
  using Lane = TicketLane<Slot>;
  using Line = TicketLane<LineSlot<T>>;

  using Content::DestroyContent;
  using Content::ParticularsOf;

  // What each thread keeps for itself.
  struct Mine {
    ThreadRecord& record = ThreadRecords::Current();
    OwnedQueueCounts counts;
    typename Lane::View view;
    typename Line::View line_view;
    typename Lane::View aside_view;
    // What is at the lane's head was not sent before (queue_upkeep.h).
    std::int64_t head_sent_since = std::numeric_limits<std::int64_t>::min();
  };

  // `groups`: of a FIFO queue; null: of a standard one.
  MessagePlaces(Clock* clock, std::unique_ptr<FifoGroups> groups) : clock_(clock), groups_(std::move(groups)) {}
  MessagePlaces(const MessagePlaces&) = delete;
  MessagePlaces& operator=(const MessagePlaces&) = delete;

  // Nobody uses the store any more, and no delivery is left.
  ~MessagePlaces() {
    ForEachLane([](Lane& lane) {
      lane.pool().ForEachInUse([](Segment& segment) {
        const std::uint64_t ordinal = segment.ordinal.load(std::memory_order_acquire);
        for (Slot& slot : segment.slots) {
          const SlotWord word(slot.word.load(std::memory_order_acquire));
          if (!word.IsOf(ordinal) || word.phase() == Phase::kDone || word.phase() == Phase::kForward) continue;
          DestroyContent({&segment, &slot}, word);
        }
      });
    });
    delete aside_.load(std::memory_order_acquire);
    delete line_.load(std::memory_order_acquire);
    delete tenants_.load(std::memory_order_acquire);
  }

  [[gnu::always_inline]] Mine& mine() { return per_thread_.Local(); }
  // Null: look again by mine(). Else light fences are free.
  [[gnu::always_inline]] Mine* KnownMine() const { return per_thread_.Known(); }
  // The same for who goes from queue to queue.
  [[gnu::always_inline]] Mine* MineKnownLately() const { return per_thread_.KnownLately(); }
  [[gnu::always_inline]] std::int64_t Now() const { return NowNanos(clock_); }
  // False: look again by Now().
  [[gnu::always_inline]] bool TryNow(std::int64_t& now) const { return TryNowNanos(clock_, now); }

  QueueSums Sums() const {
    QueueSums sums;
    per_thread_.ForEach([&](const Mine& one) { sums.Add(one.counts); });
    return sums;
  }

  Lane& lane() { return lane_; }
  const Lane& lane() const { return lane_; }
  Line* line() const { return line_.load(std::memory_order_acquire); }               // null until something was listed
  TenantLines* tenants() const { return tenants_.load(std::memory_order_acquire); }  // null until the first group
  Aside<T>* aside() const { return aside_.load(std::memory_order_acquire); }         // null until the first straggler
  Aside<T>& AsideOrCreate() { return *GetOrCreate(aside_); }
  Line& LineOrCreate() {
    Line& line = *GetOrCreate(line_);
    has_detours_.store(true, std::memory_order_release);  // only now: who sees it looks there
    return line;
  }
  TenantLines& TenantsOrCreate() {
    TenantLines& tenants = *GetOrCreate(tenants_);
    has_detours_.store(true, std::memory_order_release);  // only now: who sees it looks there
    return tenants;
  }
  // Receivers must look elsewhere than at the head, too.
  bool has_detours() const {
    return has_detours_.load(std::memory_order_acquire) && (tenants() != nullptr || !line()->LooksEmpty());
  }
  FifoGroups* groups() const { return groups_.get(); }  // null unless of a FIFO queue
  // Who else may change words of messages that are held.
  HolderBias& bias() { return bias_; }
  EarliestInstant& earliest() { return earliest_; }

  // Wherever messages lie.
  template <typename Visit>
  void ForEachLane(Visit visit) {
    visit(lane_);
    if (Aside<T>* const moved = aside()) visit(moved->lane());
  }

  // By which a message is known, held or owned by the caller.
  std::uint64_t TicketOf(Message message) const {
    const Particulars* const particulars = ParticularsOf(message);
    return particulars == nullptr || !particulars->is_moved ? Lane::TicketOf(*message.segment, *message.slot)
                                                            : particulars->moved_from;
  }

  // What a receipt says of its place.
  std::uint32_t SegmentNumberOf(Message message) const {
    const Particulars* const particulars = ParticularsOf(message);
    return particulars == nullptr || !particulars->is_moved ? message.segment->number() : Aside<T>::kSegmentNumber;
  }

  // Announces messages that became visible.
  EventCount& visible() { return visible_; }
  // Announces, to those who watch for it, that messages are gone.
  EventCount& room() { return room_; }

  // From now on a removal is announced by room(), or to receivers, too. A removal that did not see the wish is counted
  // by the time these return (see AnnounceRemoval). A negative number takes the wish back.
  void WatchForRoom(int watchers) { Watch(watchers); }
  void WatchForReceivers(int watchers) { Watch(watchers * static_cast<std::int64_t>(kReceiver)); }

  std::int64_t retention() const { return retention_.load(std::memory_order_relaxed); }
  void set_retention(std::int64_t nanos) { retention_.store(nanos, std::memory_order_relaxed); }
  std::int64_t RetentionEnd(const Slot& slot) const {
    return Later(slot.sent_at.load(std::memory_order_relaxed), retention());
  }

  // Whether the message's retention ends before a lease that ends at `visible_at`; or may, where the clock is before 1970
  // and the retention for ever.
  static bool IsAgeing(const Slot& slot, std::int64_t visible_at, std::int64_t retention) {
    // Without signs, as these two may overflow; and from the two first, as they are the same for many slots.
    const auto earliest = static_cast<std::uint64_t>(visible_at) - static_cast<std::uint64_t>(retention);
    return slot.sent_at.load(std::memory_order_relaxed) < static_cast<std::int64_t>(earliest);
  }

  // Some messages were sent earlier than those that have earlier tickets: they came from another queue.
  bool has_older_ones() const { return has_older_ones_.load(std::memory_order_relaxed); }
  void set_has_older_ones() { has_older_ones_.store(true, std::memory_order_relaxed); }

  // After it has been counted.
  [[gnu::always_inline]] void AnnounceRemoval() {
    LightFence();  // pairs with the heavy one in Watch()
    AnnounceRemovalAfterFence();
  }
  // The same for who has passed a light fence since.
  [[gnu::always_inline]] void AnnounceRemovalAfterFence() {
    if (watchers_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      NotifyWatchers();
  }

 private:
  void Watch(std::int64_t change) {
    watchers_.fetch_add(static_cast<std::uint64_t>(change), std::memory_order_relaxed);
    HeavyFence();  // pairs with the light one in AnnounceRemoval()
  }

  [[gnu::noinline]] void NotifyWatchers() {
    const std::uint64_t watchers = watchers_.load(std::memory_order_relaxed);
    if (watchers % kReceiver != 0) room_.Notify(EventCount::kAll);
    if (watchers / kReceiver != 0) visible_.Notify(EventCount::kAll);
  }

  // In one line of the cache, whatever calls look at (delivery_core.h).
  alignas(kCacheLine) Clock* const clock_;  // null: the system clock
  PerThread<Mine> per_thread_;
  std::atomic<std::int64_t> retention_{kForever};
  EarliestInstant earliest_;
  // In one word, so that a removal looks once: those who watch for room, and above them those who do for receivers.
  static constexpr std::uint64_t kReceiver = 1ULL << 32;
  std::atomic<std::uint64_t> watchers_{0};
  HolderBias bias_;
  std::atomic<bool> has_detours_{false};
  std::atomic<bool> has_older_ones_{false};

  EventCount visible_;
  EventCount room_;
  const std::unique_ptr<FifoGroups> groups_;
  std::atomic<Line*> line_{nullptr};
  std::atomic<TenantLines*> tenants_{nullptr};
  std::atomic<Aside<T>*> aside_{nullptr};

  Lane lane_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_PLACES_H_
