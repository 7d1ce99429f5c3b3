// The message groups of a FIFO queue: which messages each has, in the order of sending.
//
// Of a group only its first message is ever listed (named by the store's line, where receivers look), and only while it
// is visible; its followers are found from there. So a group of which the first is in flight is out of everybody's
// reach, and one that was served stands in line again, at the back, once its first is visible. A group exists as long
// as it has messages.
//
// Locks. Groups are spread over shards by the hash of their names; each shard has a mutex. Whoever owns a slot (kBusy)
// may lock its group; whoever has locked a group may try to own its slots, but never waits for one. What keeps this
// whole: a slot that its owner gives back as visible is given back under the mutex, where the owner sees whether it is
// the first by now. So whoever makes it the first finds it visible and lists it, or finds it owned and leaves that to
// the owner.
//
// There may be hundreds of thousands of groups, so what counts is how much memory is touched. A group has none of its
// own: a shard's table finds its last message, and that has the name. So a send goes by the table to the message before
// it, and both are on their way before it comes to them; and a group that comes and goes allocates nothing.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_GROUPS_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_GROUPS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/lazy_pointer.h"
#include "decouple/internal/base/prefetching_set.h"
#include "decouple/internal/base/string_hash.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_metadata.h"

namespace decouple::internal {

class MessageGroups {
  struct alignas(kCacheLine) Shard {
    std::mutex mutex;
    PrefetchingSet<MessageMetadata*> groups;  // the last message of each; under the mutex
  };

 public:
  MessageGroups() = default;
  MessageGroups(const MessageGroups&) = delete;
  MessageGroups& operator=(const MessageGroups&) = delete;

  ~MessageGroups() { delete shards_.load(std::memory_order_acquire); }

  // The hash of a group that a message is about to come into: where the group is looked for is on its way from now on,
  // so the earlier the better.
  std::uint32_t Prefetch(std::string_view name) {
    const auto hash = static_cast<std::uint32_t>(StringHash(name));
    ShardOf(hash).groups.Prefetch(hash);
    return hash;
  }

  // The way into a group. While it exists nobody else appends to the group: who takes a ticket meanwhile and appends
  // the message of that ticket makes the group's order that of the tickets.
  class GroupAppendGuard {
   public:
    // `hash` is from Prefetch().
    GroupAppendGuard(MessageGroups& groups, std::uint32_t hash)
        : hash_(hash), shard_(groups.ShardOf(hash)), lock_(shard_.mutex) {}

    // The group's last message is on its way, if there is one.
    void PrefetchLast() const {
      MessageMetadata* const* const likely = shard_.groups.Find(hash_, [](const MessageMetadata*) { return true; });
      if (likely == nullptr) return;
      __builtin_prefetch(*likely, /* to write */ 1);
      __builtin_prefetch(&(*likely)->group);
    }

    // The message is its group's last from now on. Returns whether it is also the first: then, if it is visible, its
    // word must say kQueued, and the caller lists it, once the append guard is free again.
    bool Append(MessageMetadata& message) {
      message.group_hash = hash_;
      message.in_group.later = nullptr;
      const auto [last, is_new] = shard_.groups.FindOrInsert(
          &message, hash_, [&](const MessageMetadata* other) { return other->group == message.group; });
      message.in_group.earlier = is_new ? nullptr : last;
      if (is_new) return true;
      last->in_group.later = &message;
      last = &message;
      return false;
    }

   private:
    const std::uint32_t hash_;
    Shard& shard_;
    const std::lock_guard<std::mutex> lock_;
  };

  // While it is held, the order of the message's group stays.
  std::unique_lock<std::mutex> Lock(const MessageMetadata& message) {
    return std::unique_lock(ShardOf(message.group_hash).mutex);
  }

  // The message is over. What the caller has to list now, if anything: its group's new first message.
  std::optional<SlotRef> Leave(MessageMetadata& message) {
    const PlaceInGroup& left = message.in_group;
    Shard& shard = ShardOf(message.group_hash);
    const std::lock_guard lock(shard.mutex);
    MessageMetadata* const later = left.later;
    Replace(shard, message, left.earlier, later);
    if (left.earlier != nullptr || later == nullptr || !MarkIfVisible(*later)) return std::nullopt;
    return later->in_group.place;
  }

  // An owned message becomes visible, with the word `listed`. Returns whether the caller has to list it.
  bool GiveBackVisible(MessageMetadata& message, SlotState listed) {
    const auto lock = Lock(message);
    return GiveBack(message, listed);
  }

  // An owned message lies at `place` from now on, with these metadata, and is given back there with `word`. Returns
  // whether the caller has to list it.
  bool Relocate(MessageMetadata& from, MessageMetadata& to, SlotRef place, SlotState word) {
    Shard& shard = ShardOf(from.group_hash);
    const std::lock_guard lock(shard.mutex);  // until now who comes by the group's order or name reads what is there
    to.TakeFrom(from);
    to.group_hash = from.group_hash;
    to.in_group = {from.in_group.earlier, from.in_group.later, place};
    Replace(shard, from, &to, &to);
    return GiveBack(to, word);
  }

 private:
  static constexpr int kShardBits = 5;
  using Shards = std::array<Shard, std::size_t{1} << kShardBits>;

  // The table within a shard goes by the highest bits of the hash. Queues that nothing was ever sent to have no shards.
  Shard& ShardOf(std::uint32_t hash) { return (*GetOrCreate(shards_))[hash % (std::uint32_t{1} << kShardBits)]; }

  // Under the group's mutex. Who came before the message finds `later` where he found it, who came after it `earlier`,
  // and who looks for the group's last message, if it was that, `earlier` too. No message is left: there is no group.
  static void Replace(Shard& shard, MessageMetadata& message, MessageMetadata* earlier, MessageMetadata* later) {
    const PlaceInGroup& place = message.in_group;
    if (place.earlier != nullptr) place.earlier->in_group.later = later;
    if (place.later != nullptr) {
      place.later->in_group.earlier = earlier;
    } else if (earlier != nullptr) {
      *shard.groups.Find(message.group_hash, [&](const MessageMetadata* last) { return last == &message; }) = earlier;
    } else {
      shard.groups.Erase(&message, message.group_hash);
    }
  }

  // Under the group's mutex.
  static bool GiveBack(const MessageMetadata& message, SlotState word) {
    const bool to_requeue = word.phase() == Phase::kVisibleAgain && message.in_group.earlier == nullptr;
    if (to_requeue) word = word.With(SlotState::kQueued);
    // Release: pairs with whoever takes the slot over next. Sequentially consistent, for who recomputes a deadline.
    WordOf(message).exchange(word.bits(), std::memory_order_seq_cst);
    return to_requeue;
  }

  // Under the group's mutex. False: it is not visible, or its owner will see to it, or it is listed already.
  static bool MarkIfVisible(const MessageMetadata& first) {
    std::atomic<std::uint64_t>& word = WordOf(first);
    std::uint64_t seen = word.load(std::memory_order_acquire);
    while (SlotState(seen).phase() == Phase::kVisibleAgain && !SlotState(seen).Has(SlotState::kQueued)) {
      // Another change meanwhile is of a mark, or somebody owns it now.
      const std::uint64_t marked = SlotState(seen).With(SlotState::kQueued).bits();
      if (word.compare_exchange_weak(seen, marked, std::memory_order_acq_rel, std::memory_order_acquire)) return true;
    }
    return false;
  }

  // A slot begins with its word.
  static std::atomic<std::uint64_t>& WordOf(const MessageMetadata& message) {
    return *static_cast<std::atomic<std::uint64_t>*>(message.in_group.place.slot);
  }

  std::atomic<Shards*> shards_{nullptr};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_GROUPS_H_
