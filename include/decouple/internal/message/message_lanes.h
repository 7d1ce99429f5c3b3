// Where the messages of a queue lie and wait, and what its threads know of each other: the lanes, the lines of those
// that are visible again, the counts, the instant at which something is due, and the calls for those who sleep.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_LANES_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_LANES_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "decouple/clock.h"
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

namespace decouple::internal {

template <typename T>
class MessageLanes : public MessageContent<T> {
  using Content = MessageContent<T>;

 public:
  using typename Content::Message;
  using typename Content::Segment;
  using typename Content::Slot;
  using Lane = TicketLane<Slot>;
  using RedeliveryLane = TicketLane<RedeliverySlot<T>>;

  using Content::DestroyContent;
  using Content::MetadataOf;

  // What each thread keeps for itself.
  struct LocalState {
    ThreadRecord& record = ThreadRegistry::Current();
    LocalQueueCounts counts;
    typename Lane::Cursor cursor;
    typename RedeliveryLane::Cursor redelivery_cursor;
    typename Lane::Cursor moved_cursor;
    // What is at the lane's head was not sent before (queue_upkeep.h).
    std::int64_t head_sent_since = std::numeric_limits<std::int64_t>::min();
  };

  // `groups`: of a FIFO queue; null: of a standard one.
  MessageLanes(Clock* clock, std::unique_ptr<MessageGroups> groups) : clock_(clock), groups_(std::move(groups)) {}
  MessageLanes(const MessageLanes&) = delete;
  MessageLanes& operator=(const MessageLanes&) = delete;

  // Nobody uses the store any more, and no delivery is left.
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
  // Null: look again by local(). Else light fences are free.
  [[gnu::always_inline]] LocalState* CachedLocal() const { return per_thread_.CachedLocal(); }
  // The same for who goes from queue to queue.
  [[gnu::always_inline]] LocalState* RecentLocal() const { return per_thread_.RecentLocal(); }
  [[gnu::always_inline]] std::int64_t Now() const { return NowNanos(clock_); }
  // False: look again by Now().
  [[gnu::always_inline]] bool TryNow(std::int64_t& now) const { return TryNowNanos(clock_, now); }

  QueueSums Sums() const {
    QueueSums sums;
    per_thread_.ForEach([&](const LocalState& one) { sums.Add(one.counts); });
    return sums;
  }

  Lane& lane() { return lane_; }
  const Lane& lane() const { return lane_; }
  RedeliveryLane* redelivery_lane() const {
    return redelivery_lane_.load(std::memory_order_acquire);
  }  // null until something was listed
  FairScheduler* fair_scheduler() const {
    return fair_scheduler_.load(std::memory_order_acquire);
  }  // null until the first group
  MovedMessages<T>* moved_messages() const {
    return moved_messages_.load(std::memory_order_acquire);
  }  // null until the first straggler
  MovedMessages<T>& MovedMessagesOrCreate() { return *GetOrCreate(moved_messages_); }
  RedeliveryLane& RedeliveryLaneOrCreate() {
    RedeliveryLane& redelivery_lane = *GetOrCreate(redelivery_lane_);
    has_detours_.store(true, std::memory_order_release);  // only now: who sees it looks there
    return redelivery_lane;
  }
  FairScheduler& FairSchedulerOrCreate() {
    FairScheduler& fair_scheduler = *GetOrCreate(fair_scheduler_);
    has_detours_.store(true, std::memory_order_release);  // only now: who sees it looks there
    return fair_scheduler;
  }
  // Receivers must look elsewhere than at the head, too.
  bool has_detours() const {
    return has_detours_.load(std::memory_order_acquire) &&
           (fair_scheduler() != nullptr || !redelivery_lane()->LooksEmpty());
  }
  MessageGroups* groups() const { return groups_.get(); }  // null unless of a FIFO queue
  // Who else may change words of messages that are held.
  DeleteBias& bias() { return bias_; }
  EarliestDeadline& earliest() { return earliest_; }

  // Wherever messages lie.
  template <typename Visit>
  void ForEachLane(Visit visit) {
    visit(lane_);
    if (MovedMessages<T>* const moved = moved_messages()) visit(moved->lane());
  }

  // By which a message is known, held or owned by the caller.
  std::uint64_t TicketOf(Message message) const {
    const MessageMetadata* const metadata = MetadataOf(message);
    return metadata == nullptr || !metadata->is_moved ? Lane::TicketOf(*message.segment, *message.slot)
                                                      : metadata->moved_from;
  }

  // What a receipt says of its place.
  std::uint32_t SegmentNumberOf(Message message) const {
    const MessageMetadata* const metadata = MetadataOf(message);
    return metadata == nullptr || !metadata->is_moved ? message.segment->number() : MovedMessages<T>::kSegmentNumber;
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
    return SaturatingAdd(slot.sent_at.load(std::memory_order_relaxed), retention());
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

  // In one redelivery lane of the cache, whatever calls look at (delivery_core.h).
  alignas(kCacheLine) Clock* const clock_;  // null: the system clock
  PerThread<LocalState> per_thread_;
  std::atomic<std::int64_t> retention_{kForever};
  EarliestDeadline earliest_;
  // In one word, so that a removal looks once: those who watch for room, and above them those who do for receivers.
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

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_LANES_H_
