// Where the messages of a queue are, and what its threads share: the lanes, the queues of messages that are visible
// again (redelivery lane, fair scheduler, message groups), the counts, the earliest deadline, and the notifications of
// sleepers.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_LANES_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_LANES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

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
#include "decouple/internal/lane/ticket_lane.h"
#include "decouple/internal/message/delete_bias.h"
#include "decouple/internal/message/fair_scheduler.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/moved_messages.h"
#include "decouple/internal/message/queue_counters.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class MessageLanes : public MessageContent<T> {
  using Content = MessageContent<T>;

 public:
  using typename Content::Message;
  using typename Content::Segment;
  using typename Content::Slot;
  using Lane = TicketLane<Slot>;
  using RedeliveryLane = TicketLane<RedeliverySlot<T>>;
  static_assert(offsetof(RedeliverySlot<T>, message) - offsetof(RedeliverySlot<T>, segment) > sizeof(void*),
                "keep apart: store forwarding");

  using Content::DestroyContent, Content::MetadataOf;

  // The state of one thread in this store.
  struct LocalState {
    ThreadRecord& record = ThreadRegistry::Current();
    LocalQueueCounts counts;
    typename Lane::Cursor cursor;
    typename RedeliveryLane::Cursor redelivery_cursor;
    typename Lane::Cursor moved_cursor;
    // Lower bound of the send time of the message at the lane's head; lets senders skip the retention check
    // (queue_upkeep.h).
    std::int64_t head_sent_since = std::numeric_limits<std::int64_t>::min();
  };

  // `groups` is null in a standard queue, and only there.
  MessageLanes(Clock* clock, std::unique_ptr<MessageGroups> groups) : clock_(clock), groups_(std::move(groups)) {
    DECOUPLE_ASSERT(reinterpret_cast<std::uintptr_t>(&clock_) / kCacheLine ==
                    reinterpret_cast<std::uintptr_t>(&has_older_ones_) / kCacheLine);
  }
  MessageLanes(const MessageLanes&) = delete;
  MessageLanes& operator=(const MessageLanes&) = delete;

  // Requires: no thread uses the store any more, and no delivery is left.
  ~MessageLanes() {
    ForEachLane([](Lane& lane) {
      lane.pool().ForEachInUse([](Segment& segment) {
        const std::uint64_t ordinal = segment.ordinal.load(std::memory_order_acquire);
        for (Slot& slot : segment.slots) {
          const SlotState word(slot.word.load(std::memory_order_acquire));
          if (!word.IsOf(ordinal) || word.phase() == Phase::kDone || word.phase() == Phase::kRequeued) continue;
          DestroyContent({&segment, &slot}, word);
        }
      });
    });
    delete moved_messages_.load(std::memory_order_acquire);
    delete redelivery_lane_.load(std::memory_order_acquire);
    delete fair_scheduler_.load(std::memory_order_acquire);
  }

  [[gnu::always_inline]] LocalState& local() { return per_thread_.Local(); }
  // Cached lookup; null on a miss, after which local() does. Non-null implies membarrier: LightFence() is a compiler
  // barrier.
  [[gnu::always_inline]] LocalState* CachedLocal() const { return per_thread_.CachedLocal(); }
  // Same as CachedLocal(), for a thread that goes from queue to queue.
  [[gnu::always_inline]] LocalState* RecentLocal() const { return per_thread_.RecentLocal(); }
  [[gnu::always_inline]] std::int64_t Now() const { return NowNanos(clock_); }
  // Returns false if only Now() can tell.
  [[gnu::always_inline]] bool TryNow(std::int64_t& now) const { return TryNowNanos(clock_, now); }

  QueueSums Sums() const {
    QueueSums sums;
    per_thread_.ForEach([&](const LocalState& one) { sums.Add(one.counts); });
    return sums;
  }

  Lane& lane() { return lane_; }
  const Lane& lane() const { return lane_; }
  // Null until the first message was queued for redelivery.
  RedeliveryLane* redelivery_lane() const { return redelivery_lane_.load(std::memory_order_acquire); }
  // Null until the first message with a group was sent to a standard queue.
  FairScheduler* fair_scheduler() const { return fair_scheduler_.load(std::memory_order_acquire); }
  // Null until the first message was moved.
  MovedMessages<T>* moved_messages() const { return moved_messages_.load(std::memory_order_acquire); }
  MovedMessages<T>& MovedMessagesOrCreate() { return *GetOrCreate(moved_messages_); }
  RedeliveryLane& RedeliveryLaneOrCreate() {
    RedeliveryLane& redelivery_lane = *GetOrCreate(redelivery_lane_);
    has_detours_.store(true, std::memory_order_release);  // not before: has_detours(), which acquires it, looks there
    return redelivery_lane;
  }
  FairScheduler& FairSchedulerOrCreate() {
    FairScheduler& fair_scheduler = *GetOrCreate(fair_scheduler_);
    has_detours_.store(true, std::memory_order_release);  // not before, as above
    return fair_scheduler;
  }
  // Whether a receiver has to look elsewhere besides at the lane's head.
  bool has_detours() const {
    return has_detours_.load(std::memory_order_acquire) &&
           (fair_scheduler() != nullptr || !redelivery_lane()->LooksEmpty());
  }
  MessageGroups* groups() const { return groups_.get(); }  // null in a standard queue
  // Whether only its holder may change the word of a message in flight.
  DeleteBias& bias() { return bias_; }
  EarliestDeadline& earliest() { return earliest_; }

  // Calls visit(lane) for each lane in which messages are.
  template <typename Visit>
  void ForEachLane(Visit visit) {
    visit(lane_);
    if (MovedMessages<T>* const moved = moved_messages()) visit(moved->lane());
  }

  // The ticket by which a message is known. Requires: the caller has a reference to it or has locked its slot.
  std::uint64_t TicketOf(Message message) const {
    const MessageMetadata* const metadata = MetadataOf(message);
    return metadata == nullptr || !metadata->is_moved ? Lane::TicketOf(*message.segment, *message.slot)
                                                      : metadata->moved_from;
  }

  // What a receipt says of where the message is. Requires: as TicketOf().
  std::uint32_t SegmentNumberOf(Message message) const {
    const MessageMetadata* const metadata = MetadataOf(message);
    return metadata == nullptr || !metadata->is_moved ? message.segment->number() : MovedMessages<T>::kSegmentNumber;
  }

  // Notified when messages became visible, and when the earliest deadline became earlier, as sleepers wait for that
  // too.
  EventCount& visible() { return visible_; }
  // Notified when messages were removed, if WatchForRoom() asked for it, and by the sweep (timeout_sweep.h).
  EventCount& room() { return room_; }

  // From now on a removal also notifies room(), or visible() respectively. A removal that did not see the watcher is
  // counted by the time these return (see AnnounceRemoval()). A negative number takes watchers back.
  void WatchForRoom(int watchers) { Watch(watchers); }
  void WatchForReceivers(int watchers) { Watch(watchers * static_cast<std::int64_t>(kReceiver)); }

  std::int64_t retention() const { return retention_.load(std::memory_order_relaxed); }
  void set_retention(std::int64_t nanos) { retention_.store(nanos, std::memory_order_relaxed); }
  std::int64_t RetentionEnd(const Slot& slot) const {
    return SaturatingAdd(slot.sent_at.load(std::memory_order_relaxed), retention());
  }

  // Whether the message's retention ends before a lease that ends at `visible_at`. Also true for some messages whose
  // retention does not, where the clock is before 1970 and the retention infinite.
  static bool IsAgeing(const Slot& slot, std::int64_t visible_at, std::int64_t retention) {
    // Unsigned, as the difference may overflow. It comes first, as it is the same for many slots.
    const auto earliest = static_cast<std::uint64_t>(visible_at) - static_cast<std::uint64_t>(retention);
    return slot.sent_at.load(std::memory_order_relaxed) < static_cast<std::int64_t>(earliest);
  }

  // Whether some messages may have been sent earlier than ones with earlier tickets, as they came from another queue.
  bool has_older_ones() const { return has_older_ones_.load(std::memory_order_relaxed); }
  void set_has_older_ones() { has_older_ones_.store(true, std::memory_order_relaxed); }

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
  void Watch(std::int64_t change) {
    watchers_.fetch_add(static_cast<std::uint64_t>(change), std::memory_order_relaxed);
    HeavyFence();  // pairs with the light one in AnnounceRemoval()
  }

  [[gnu::noinline]] void NotifyWatchers() {
    const std::uint64_t watchers = watchers_.load(std::memory_order_relaxed);
    if (watchers % kReceiver != 0) room_.Notify(EventCount::kAll);
    if (watchers / kReceiver != 0) visible_.Notify(EventCount::kAll);
  }

  // Everything that each call reads is in one cache line (delivery_core.h), up to has_older_ones_.
  alignas(kCacheLine) Clock* const clock_;  // null: the system clock
  PerThread<LocalState> per_thread_;
  std::atomic<std::int64_t> retention_{kForever};
  EarliestDeadline earliest_;
  // In one word, so that a removal reads once: the number of watchers for room in the low half, of those for receivers
  // in the high half.
  static constexpr std::uint64_t kReceiver = 1ULL << 32;
  std::atomic<std::uint64_t> watchers_{0};
  DeleteBias bias_;
  std::atomic<bool> has_detours_{false};
  std::atomic<bool> has_older_ones_{false};

  EventCount visible_;
  EventCount room_;
  const std::unique_ptr<MessageGroups> groups_;
  std::atomic<RedeliveryLane*> redelivery_lane_{nullptr};
  std::atomic<FairScheduler*> fair_scheduler_{nullptr};
  std::atomic<MovedMessages<T>*> moved_messages_{nullptr};

  Lane lane_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_LANES_H_
