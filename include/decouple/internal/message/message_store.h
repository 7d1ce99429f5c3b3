// The messages of a queue, and what its threads share of them: the lanes, the queues of messages that are visible again
// (redelivery lane, fair scheduler, message groups), the counts, the earliest deadline, the references to bodies, and
// the notifications of sleepers.
//
// Only the holders of references keep the body of a deleted message, and only the release of the last one frees its
// slot. How a message goes from one state to the next: message_state.h.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STORE_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "decouple/clock.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/lazy_pointer.h"
#include "decouple/internal/base/per_thread.h"
#include "decouple/internal/base/thread_registry.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/earliest_deadline.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/delete_bias.h"
#include "decouple/internal/message/extra_references.h"
#include "decouple/internal/message/fair_scheduler.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/moved_messages.h"
#include "decouple/internal/message/queue_counters.h"
#include "decouple/internal/message/redelivery_entry.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

// What one thread keeps of one queue.
struct LocalQueueState {
  ThreadRecord& record = ThreadRegistry::Current();
  LocalQueueCounts counts;
  MessageLane::Cursor cursor;
  MessageLane::Cursor redelivery_cursor;
  MessageLane::Cursor moved_cursor;
  // Lower bound of the send time of the message at the lane's head; lets senders skip the retention check
  // (timeouts.h).
  std::int64_t head_sent_since = std::numeric_limits<std::int64_t>::min();
};

class MessageStore {
 public:
  MessageStore(const BodyType& body_type, Clock* clock)
      : clock_(clock),
        may_be_empty_text_(body_type.is_empty_text != nullptr),
        stride_(body_type.layout.stride),
        body_type_(body_type),
        lane_(body_type.layout) {
    DECOUPLE_ASSERT(reinterpret_cast<std::uintptr_t>(&clock_) / kCacheLine ==
                    reinterpret_cast<std::uintptr_t>(&stride_) / kCacheLine);
  }
  MessageStore(const MessageStore&) = delete;
  MessageStore& operator=(const MessageStore&) = delete;

  // Requires: no thread uses the store any more, and no delivery is left.
  ~MessageStore() {
    ForEachLane([&](MessageLane& lane) {
      lane.pool().ForEachInUse([&](MessageSegment& segment) {
        const std::uint64_t ordinal = segment.ordinal.load(std::memory_order_acquire);
        for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
          MessageSlot& slot = segment.slot(i);
          const SlotState word(slot.word.load(std::memory_order_acquire));
          if (!word.IsOf(ordinal) || word.phase() == Phase::kDone || word.phase() == Phase::kRequeued) continue;
          DestroyContent({&segment, &slot}, word, body_type_);
        }
      });
    });
    delete moved_messages_.load(std::memory_order_acquire);
    delete redelivery_lane_.load(std::memory_order_acquire);
    delete fair_scheduler_.load(std::memory_order_acquire);
  }

  // T: the type of the bodies, in fast paths, so that a thread's queues of different types do not take each other's
  // place in its cache.
  template <typename T = void>
  [[gnu::always_inline]] LocalQueueState& local() {
    return per_thread_.template Local<T>();
  }
  // Cached lookup; null on a miss, after which local() does. Non-null implies membarrier: LightFence() is a compiler
  // barrier.
  template <typename T>
  [[gnu::always_inline]] LocalQueueState* CachedLocal() const {
    return per_thread_.template CachedLocal<T>();
  }
  // Same as CachedLocal(), for a thread that goes from queue to queue. After a miss RenewLocal() does.
  [[gnu::always_inline]] LocalQueueState* RecentLocal() const { return per_thread_.RecentLocal(); }
  void RenewLocal() { per_thread_.RenewLocal(); }
  [[gnu::always_inline]] std::int64_t Now() const { return NowNanos(clock_); }
  // Returns false if only Now() can tell.
  [[gnu::always_inline]] bool TryNow(std::int64_t& now) const { return TryNowNanos(clock_, now); }

  QueueSums Sums() const {
    QueueSums sums;
    per_thread_.ForEach([&](const LocalQueueState& one) { sums.Add(one.counts); });
    return sums;
  }

  const BodyType& body_type() const { return body_type_; }
  // Of the table, what a call that goes from queue to queue reads, in the line that it reads anyway.
  std::uint32_t stride() const { return stride_; }
  bool IsEmptyText(const void* body) const { return may_be_empty_text_ && body_type_.is_empty_text(body); }

  // ---- where messages are -------------------------------------------------------------------------------------------

  MessageLane& lane() { return lane_; }
  const MessageLane& lane() const { return lane_; }
  // Null until the first message was queued for redelivery.
  MessageLane* redelivery_lane() const { return redelivery_lane_.load(std::memory_order_acquire); }
  // Null until the first message with a group was sent to a standard queue.
  FairScheduler* fair_scheduler() const { return fair_scheduler_.load(std::memory_order_acquire); }
  FairScheduler& FairSchedulerOrCreate() {
    FairScheduler& fair_scheduler = *GetOrCreate(fair_scheduler_);
    has_detours_.store(true, std::memory_order_release);  // not before: has_detours(), which acquires it, looks there
    return fair_scheduler;
  }
  // Null until the first message was moved.
  MovedMessages* moved_messages() const { return moved_messages_.load(std::memory_order_acquire); }
  MovedMessages& MovedMessagesOrCreate() { return *GetOrCreate(moved_messages_, body_type_.layout); }
  // Whether a receiver has to look elsewhere besides at the lane's head.
  bool has_detours() const {
    return has_detours_.load(std::memory_order_acquire) &&
           (fair_scheduler() != nullptr || !redelivery_lane()->LooksEmpty());
  }
  // Of a FIFO queue.
  MessageGroups& groups() { return groups_; }

  // Calls visit(lane) for each lane in which messages are.
  template <typename Visit>
  void ForEachLane(Visit visit) {
    visit(lane_);
    if (MovedMessages* const moved = moved_messages()) visit(moved->lane());
  }

  // The ticket by which a message is known. Requires: the caller has a reference to it or has locked its slot.
  static std::uint64_t TicketOf(SlotRef message) {
    const MessageMetadata* const metadata = MetadataOf(message);
    return metadata == nullptr || !metadata->is_moved ? MessageLane::TicketOf(*message.segment, *message.slot)
                                                      : metadata->moved_from;
  }

  // What a receipt says of where the message is. Requires: as TicketOf().
  static std::uint32_t SegmentNumberOf(SlotRef message) {
    const MessageMetadata* const metadata = MetadataOf(message);
    return metadata == nullptr || !metadata->is_moved ? message.segment->number() : MovedMessages::kSegmentNumber;
  }

  // Queues a message in the redelivery lane. Requires: the caller has set kQueued, and has not queued the message
  // since.
  void Requeue(LocalQueueState& local, SlotRef message) {
    DECOUPLE_ASSERT(WordOf(*message.slot).Has(SlotState::kQueued));
    MessageLane& lane = RedeliveryLaneOrCreate();
    for (;;) {
      const std::uint64_t ticket = lane.TakeTickets(1);
      MessageSlot& entry = *lane.PlaceOf(ticket, local.redelivery_cursor).slot;
      const std::uint64_t ordinal = MessageLane::OrdinalOf(ticket);
      NameMessage(entry, message);
      if (lane.Publish(entry, ticket, SlotState(Phase::kReady, ordinal))) return;
      entry.word.store(SlotState(Phase::kDone, ordinal).bits(), std::memory_order_release);  // skipped: try again
    }
  }

  // ---- time ---------------------------------------------------------------------------------------------------------

  EarliestDeadline& earliest() { return earliest_; }

  // Makes the deadline of one of the segment's messages known. Called before the word that carries it is stored. If the
  // segment's instant is no later already, the thread that lowered it also lowers the chunk's and the store's.
  [[gnu::always_inline]] void LowerDeadline(MessageSegment& segment, std::int64_t deadline) {
    if (deadline < segment.earliest().get()) [[unlikely]]
      LowerDeadlineSlow(segment, deadline);
  }

  std::int64_t retention() const { return retention_.load(std::memory_order_relaxed); }
  void set_retention(std::int64_t nanos) { retention_.store(nanos, std::memory_order_relaxed); }
  std::int64_t RetentionEnd(const MessageSlot& slot) const {
    return SaturatingAdd(slot.sent_at.load(std::memory_order_relaxed), retention());
  }

  // Whether the message's retention ends before a lease that ends at `visible_at`. Also true for some messages whose
  // retention does not, where the clock is before 1970 and the retention infinite.
  static bool IsAgeing(const MessageSlot& slot, std::int64_t visible_at, std::int64_t retention) {
    // Unsigned, as the difference may overflow. It comes first, as it is the same for many slots.
    const auto earliest = static_cast<std::uint64_t>(visible_at) - static_cast<std::uint64_t>(retention);
    return slot.sent_at.load(std::memory_order_relaxed) < static_cast<std::int64_t>(earliest);
  }

  // Whether some messages may have been sent earlier than ones with earlier tickets, as they came from another queue.
  bool has_older_ones() const { return has_older_ones_.load(std::memory_order_relaxed); }
  void set_has_older_ones() { has_older_ones_.store(true, std::memory_order_relaxed); }

  // ---- references ---------------------------------------------------------------------------------------------------

  // Whether only its holder may change the word of a message in flight.
  DeleteBias& bias() { return bias_; }

  // Adds a reference of the caller's to the body. Returns `word` with the mark that says so. Requires: the caller has
  // locked the slot, or claimed it as kReady.
  SlotState AddReference(MessageSlot& slot, SlotState word) {
    DECOUPLE_ASSERT(IsAnyOf(WordOf(slot), Phase::kBusy, Phase::kReady));
    return extra_references_.Add(&slot, word);
  }

  // Releases a reference of the caller's. Destroys the body if it was the last one.
  [[gnu::noinline]] void ReleaseReference(SlotRef message) {
    const SlotState last_seen(message.slot->word.load(std::memory_order_acquire));
    DECOUPLE_ASSERT(last_seen.Has(SlotState::kReferenced));
    if (IsLastReference(last_seen)) [[likely]] {
      DestroyContent(message, last_seen, body_type_);
      FreeLast(message, last_seen);
      return;
    }
    ReleaseOneOfMany(message);
  }

  // ---- notifications ------------------------------------------------------------------------------------------------

  // Notified when messages became visible, and when the earliest deadline became earlier, as sleepers wait for that
  // too.
  EventCount& visible() { return visible_; }
  // Notified when messages were removed, if WatchForRoom() asked for it, and by the sweep (timeout_sweep.h).
  EventCount& room() { return room_; }

  // From now on a removal also notifies room(), or visible() respectively. A removal that did not see the watcher is
  // counted by the time these return (see AnnounceRemoval()). A negative number takes watchers back.
  void WatchForRoom(int watchers) { Watch(watchers); }
  void WatchForReceivers(int watchers) { Watch(watchers * static_cast<std::int64_t>(kReceiver)); }

  // Called after a removal has been counted.
  [[gnu::always_inline]] void AnnounceRemoval() {
    LightFence();  // pairs with the heavy one in Watch()
    AnnounceRemovalAfterFence();
  }
  // Same as AnnounceRemoval(), for a caller that has passed a light fence since it counted the removal.
  [[gnu::always_inline]] void AnnounceRemovalAfterFence() {
    if (watchers_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      NotifyWatchers();
  }

 private:
  MessageLane& RedeliveryLaneOrCreate() {
    MessageLane& redelivery_lane = *GetOrCreate(redelivery_lane_, kRedeliveryLayout);
    has_detours_.store(true, std::memory_order_release);  // not before: has_detours(), which acquires it, looks there
    return redelivery_lane;
  }

  [[gnu::noinline]] void LowerDeadlineSlow(MessageSegment& segment, std::int64_t deadline) {
    if (!segment.earliest().Lower(deadline)) return;
    segment.chunk->earliest.Lower(deadline);
    if (earliest().Lower(deadline)) visible().Notify(EventCount::kAll);  // sleepers wait for the earliest
  }

  // The general case of ReleaseReference(): there are other references, the message lives on, or its slot is queued for
  // redelivery, and so is freed only after that.
  void ReleaseOneOfMany(SlotRef message) {
    std::atomic<std::uint64_t>& atomic_word = message.slot->word;
    for (;;) {
      std::uint64_t seen = atomic_word.load(std::memory_order_acquire);
      const SlotState word(seen);
      DECOUPLE_ASSERT(word.Has(SlotState::kReferenced));
      if (word.phase() == Phase::kBusy) {
        Relax();
      } else if (word.Has(SlotState::kMoreReferences)) {
        if (extra_references_.TryRemove(message.slot, atomic_word)) return;
      } else if (word.phase() == Phase::kDeleted) {
        DestroyContent(message, word, body_type_);
        // Only kQueued may change meanwhile. If it is set, the slot is freed when the redelivery lane has let go of it.
        while (!atomic_word.compare_exchange_weak(
            seen,
            SlotState(Phase::kDone, word.generation(), SlotState(seen).Has(SlotState::kQueued) ? SlotState::kQueued : 0)
                .bits(),
            std::memory_order_acq_rel, std::memory_order_relaxed)) {
        }
        return;
      } else if (atomic_word.compare_exchange_strong(seen, word.Without(SlotState::kReferenced).bits(),
                                                     std::memory_order_acq_rel, std::memory_order_relaxed)) {
        return;
      }
    }
  }

  void Watch(std::int64_t change) {
    watchers_.fetch_add(static_cast<std::uint64_t>(change), std::memory_order_relaxed);
    HeavyFence();  // pairs with the light one in AnnounceRemoval()
  }

  [[gnu::noinline]] void NotifyWatchers() {
    const std::uint64_t watchers = watchers_.load(std::memory_order_relaxed);
    if (watchers % kReceiver != 0) room_.Notify(EventCount::kAll);
    if (watchers / kReceiver != 0) visible_.Notify(EventCount::kAll);
  }

  // Everything that each call reads is in one cache line, up to stride_; it follows that of the settings
  // (queue_state.h).
  alignas(kCacheLine) Clock* const clock_;  // null: the system clock
  PerThread<LocalQueueState> per_thread_;
  std::atomic<std::int64_t> retention_{kForever};
  EarliestDeadline earliest_;
  // In one word, so that a removal reads once: the number of watchers for room in the low half, of those for receivers
  // in the high half.
  static constexpr std::uint64_t kReceiver = 1ULL << 32;
  std::atomic<std::uint64_t> watchers_{0};
  DeleteBias bias_;
  std::atomic<bool> has_detours_{false};
  std::atomic<bool> has_older_ones_{false};
  const bool may_be_empty_text_;
  const std::uint32_t stride_;

  const BodyType& body_type_;
  EventCount visible_;
  EventCount room_;
  MessageGroups groups_;
  std::atomic<MessageLane*> redelivery_lane_{nullptr};
  std::atomic<FairScheduler*> fair_scheduler_{nullptr};
  std::atomic<MovedMessages*> moved_messages_{nullptr};
  ExtraReferences extra_references_;

  MessageLane lane_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STORE_H_
