// The message groups of a FIFO queue: the messages of each, in the order of sending, as a doubly linked list.
//
// Design. Only the first message of a group is ever queued in the redelivery lane, where receivers look, and only while
// it is visible; a receiver finds the ones behind it from there. So no receiver can find a group whose first message is
// in flight, and a group that was served is queued again, at the back, once its first message is visible. A group
// exists as long as it has messages.
//
// Threading. Groups are spread over shards by the hash of their names; each shard has a mutex, which guards the list
// (PlaceInGroup) of each of its groups. A thread that has locked a slot (kBusy) may lock its group; a thread that has
// locked a group may try to lock its slots, but never waits for one. A slot is unlocked as visible only under the
// mutex, where the unlocking thread sees whether its message is the first by now. So the thread that makes a message
// the first either finds it visible, and queues it, or finds it locked, and leaves that to the thread that unlocks it.
//
// Memory. There may be hundreds of thousands of groups, so what counts is how much memory is touched. A group has none
// of its own: a shard's table finds its last message, whose metadata have the name. So a send goes by the table to the
// message before its own, and prefetches both; and a group that comes and goes allocates nothing.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_GROUPS_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_GROUPS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/lazy_pointer.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/prefetching_set.h"
#include "decouple/internal/base/string_hash.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

class MessageGroups {
  struct alignas(kCacheLine) Shard {
    Mutex mutex;
    PrefetchingSet<MessageMetadata*> groups ABSL_GUARDED_BY(mutex);  // the last message of each
  };

 public:
  MessageGroups() = default;
  MessageGroups(const MessageGroups&) = delete;
  MessageGroups& operator=(const MessageGroups&) = delete;

  ~MessageGroups() { delete shards_.load(std::memory_order_acquire); }

  // Returns the hash of a group that a message will be appended to, and prefetches where the group will be looked up:
  // the earlier it is called the better. Without the mutex, as PrefetchingSet allows.
  std::uint32_t Prefetch(std::string_view name) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const auto hash = static_cast<std::uint32_t>(StringHash(name));
    ShardOf(hash).groups.Prefetch(hash);
    return hash;
  }

  // Holds the mutex of a group, so that no other thread appends to it: a sender that takes its ticket meanwhile and
  // appends the message of that ticket keeps the group in the order of tickets.
  class GroupAppendGuard {
   public:
    // `hash` is from Prefetch().
    GroupAppendGuard(MessageGroups& groups, std::uint32_t hash)
        : hash_(hash), shard_(groups.ShardOf(hash)), lock_(shard_.mutex) {}

    // Prefetches the metadata of the group's last message, if there is one.
    void PrefetchLast() const {
      shard_.mutex.AssertHeld();
      MessageMetadata* const* const likely = shard_.groups.Find(hash_, [](const MessageMetadata*) { return true; });
      if (likely == nullptr) return;
      __builtin_prefetch(*likely, /* to write */ 1);
      __builtin_prefetch(&(*likely)->group);
    }

    // Makes the message the last of its group. Returns whether it is also the first: then, if it is visible, its word
    // must have kQueued, and the caller queues it for redelivery after the guard has ended.
    bool Append(MessageMetadata& message) {
      shard_.mutex.AssertHeld();
      message.group_hash = hash_;
      message.in_group.later = nullptr;
      const auto [last, is_new] = shard_.groups.FindOrInsert(
          &message, hash_, [&](const MessageMetadata* other) { return other->group == message.group; });
      message.in_group.earlier = is_new ? nullptr : last;
      if (is_new) return true;
      DECOUPLE_ASSERT(last->in_group.later == nullptr);
      last->in_group.later = &message;
      last = &message;
      return false;
    }

   private:
    const std::uint32_t hash_;
    Shard& shard_;
    const MutexLock lock_;
  };

  // Returns once every append guard that a thread held at the call has ended. A thread that takes one afterwards sees
  // what the caller stored before. O(shards).
  void AwaitAppends() {
    HeavyFence();  // pairs with the exchange by which a first sender publishes the shards: if they are not seen here,
                   // that sender sees what the caller stored
    Shards* const shards = shards_.load(std::memory_order_acquire);
    if (shards == nullptr) return;
    for (Shard& shard : *shards) {
      const MutexLock lock(shard.mutex);
    }
  }

  // Holds the mutex of the message's group, so that the group's order does not change.
  class GroupLock {
   public:
    GroupLock(MessageGroups& groups, const MessageMetadata& message)
        : lock_(groups.ShardOf(message.group_hash).mutex) {}

   private:
    const MutexLock lock_;
  };

  // Removes a message that has ended from its group. Returns the message that the caller has to queue for redelivery
  // now, if any: the group's new first one.
  std::optional<SlotRef> Remove(MessageMetadata& message) {
    const PlaceInGroup& place = message.in_group;
    Shard& shard = ShardOf(message.group_hash);
    const MutexLock lock(shard.mutex);
    MessageMetadata* const later = place.later;
    Replace(shard, message, place.earlier, later);
    if (place.earlier != nullptr || later == nullptr || !MarkIfVisible(*later)) return std::nullopt;
    return later->in_group.place;
  }

  // Unlocks the slot of a message that becomes visible, with `word`, which is in kVisibleAgain. Returns whether the
  // caller has to queue the message for redelivery; then its word has kQueued.
  bool UnlockVisible(MessageMetadata& message, SlotState word) {
    const GroupLock lock(*this, message);
    return UnlockInGroup(message, word);
  }

  // Replaces the message with the metadata `from` by its copy at `place` with the metadata `to`, and unlocks that slot
  // with `word`. Both slots are locked. Returns whether the caller has to queue the copy for redelivery.
  bool Relocate(MessageMetadata& from, MessageMetadata& to, SlotRef place, SlotState word) {
    Shard& shard = ShardOf(from.group_hash);
    const MutexLock lock(shard.mutex);  // other threads of the group read what `from` has, and TakeFrom() moves it
    to.TakeFrom(from);
    to.group_hash = from.group_hash;
    to.in_group = {from.in_group.earlier, from.in_group.later, place};
    Replace(shard, from, &to, &to);
    return UnlockInGroup(to, word);
  }

 private:
  static constexpr int kShardBits = 5;
  using Shards = std::array<Shard, std::size_t{1} << kShardBits>;

  // By the lowest bits of the hash, as the table within a shard goes by the highest. The shards are created when they
  // are first asked for, so a queue that nothing was sent to has none.
  Shard& ShardOf(std::uint32_t hash) { return (*GetOrCreate(shards_))[hash % (std::uint32_t{1} << kShardBits)]; }

  // Links the message's predecessor to `later`, and its successor to `earlier`; if it was the last message, the table
  // finds `earlier` instead. If it was the only one and `earlier` is null, the group is gone.
  static void Replace(Shard& shard, MessageMetadata& message, MessageMetadata* earlier, MessageMetadata* later)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mutex) {
    const PlaceInGroup& place = message.in_group;
    DECOUPLE_ASSERT(place.earlier == nullptr || place.earlier->in_group.later == &message);
    DECOUPLE_ASSERT(place.later == nullptr || place.later->in_group.earlier == &message);
    if (place.earlier != nullptr) place.earlier->in_group.later = later;
    if (place.later != nullptr) {
      place.later->in_group.earlier = earlier;
    } else if (earlier != nullptr) {
      MessageMetadata** const last =
          shard.groups.Find(message.group_hash, [&](const MessageMetadata* other) { return other == &message; });
      DECOUPLE_ASSERT(last != nullptr);
      *last = earlier;
    } else {
      [[maybe_unused]] const bool was_there = shard.groups.Erase(&message, message.group_hash);
      DECOUPLE_ASSERT(was_there);
    }
  }

  // Unlocks the slot of a message with `word`, to which it adds kQueued if the message is visible, the first of its
  // group and not queued yet; then the caller has to queue it, which is what this returns. (If it were queued twice,
  // two entries of the redelivery lane would name its slot, and one of them might outlive it.) Requires: the caller
  // holds the mutex of the group, and has locked the slot.
  static bool UnlockInGroup(const MessageMetadata& message, SlotState word) {
    const bool to_requeue =
        word.phase() == Phase::kVisibleAgain && message.in_group.earlier == nullptr && !word.Has(SlotState::kQueued);
    if (to_requeue) word = word.With(SlotState::kQueued);
    // Release: pairs with the acquire of the next thread that locks or reads the slot. Sequentially consistent for a
    // concurrent sweep that recomputes the deadline (EarliestDeadline).
    [[maybe_unused]] const SlotState locked(WordOf(message).exchange(word.bits(), std::memory_order_seq_cst));
    DECOUPLE_ASSERT(locked.phase() == Phase::kBusy);
    return to_requeue;
  }

  // Sets kQueued, for the caller to queue the message. Returns false if it is not visible, or locked (then the thread
  // that unlocks it sees to it), or queued already. Requires: the caller holds the mutex of the group.
  static bool MarkIfVisible(const MessageMetadata& first) {
    std::atomic<std::uint64_t>& word = WordOf(first);
    std::uint64_t seen = word.load(std::memory_order_acquire);
    while (SlotState(seen).phase() == Phase::kVisibleAgain && !SlotState(seen).Has(SlotState::kQueued)) {
      // A failed exchange means that a mark has changed, or that a thread has locked the slot.
      const std::uint64_t marked = SlotState(seen).With(SlotState::kQueued).bits();
      if (word.compare_exchange_weak(seen, marked, std::memory_order_acq_rel, std::memory_order_acquire)) return true;
    }
    return false;
  }

  static std::atomic<std::uint64_t>& WordOf(const MessageMetadata& message) {
    return message.in_group.place.slot->word;
  }

  std::atomic<Shards*> shards_{nullptr};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_GROUPS_H_
