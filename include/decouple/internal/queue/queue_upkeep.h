// What happens to a queue as time passes (timeouts and the end of retention), its closing and end, and the counts and
// statistics that depend on both.
//
// Design. A queue has no thread of its own, so timeouts that have passed are run by the threads that call it: every
// Send or Receive that finds something due runs a bounded part of it (RunSomeTimeouts), and a call that reports counts
// runs all of it first (RunAllTimeouts), so that counts are exact.
//
// QueueUpkeep stands between DeliveryCore, which its functions need, and QueueCore, which calls them.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_UPKEEP_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_UPKEEP_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/message/fair_scheduler.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/queue_counters.h"
#include "decouple/internal/queue/capacity_gate.h"
#include "decouple/internal/queue/delivery_core.h"
#include "decouple/internal/queue/purge.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_rules.h"
#include "decouple/internal/queue/retention.h"
#include "decouple/internal/queue/timeout_sweep.h"
#include "decouple/limits.h"
#include "decouple/queue_statistics.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class QueueUpkeep : public DeliveryCore<T> {
  using Base = DeliveryCore<T>;

 public:
  using typename Base::LocalState;

  // ---- counts and statistics ----------------------------------------------------------------------------------------

  MessageCounts Counts() {
    RunAllTimeouts(store_.Now());
    RemoveRestOfDeleted();
    const QueueSums sums = store_.Sums();
    return {.ready = sums.visible(), .in_flight = sums.in_flight(), .delayed = sums.waiting_for_delay()};
  }

  QueueStatistics Statistics() {
    const std::int64_t now = store_.Now();
    RunAllTimeouts(now);
    RemoveRestOfDeleted();
    const QueueSums sums = store_.Sums();
    QueueStatistics statistics;
    statistics.number_of_messages_sent = sums.sent - sums.taken_over;
    statistics.sent_message_size = sums.sent_bytes - sums.taken_over_bytes;
    statistics.number_of_messages_received = sums.received - sums.received_to_move;
    statistics.number_of_empty_receives = sums.empty_receives;
    statistics.number_of_messages_deleted = sums.deleted;
    statistics.number_of_messages_expired = sums.expired;
    statistics.number_of_messages_purged = sums.purged;
    statistics.number_of_messages_redriven = sums.redriven;
    statistics.number_of_messages_moved = sums.moved;
    statistics.number_of_messages_taken_over = sums.taken_over;
    statistics.number_of_messages_failed_to_redrive = sums.failed_to_redrive;
    statistics.approximate_number_of_messages_visible = sums.visible();
    statistics.approximate_number_of_messages_not_visible = sums.in_flight();
    statistics.approximate_number_of_messages_delayed = sums.waiting_for_delay();
    statistics.approximate_number_of_bytes = sums.bytes();
    const std::int64_t oldest = retention_.FindOldestSentAt();
    statistics.approximate_age_of_oldest_message =
        absl::Nanoseconds(std::max<std::int64_t>(0, now - std::min(now, oldest)));
    FairScheduler::Counts groups;
    if (store_.fair_scheduler() != nullptr) groups = store_.fair_scheduler()->CountsAt(sums.in_flight(), now);
    statistics.approximate_number_of_noisy_groups = groups.noisy_groups;
    statistics.approximate_number_of_messages_visible_in_quiet_groups =
        std::max<std::int64_t>(0, sums.visible() - groups.visible_in_noisy_groups);
    statistics.approximate_number_of_messages_not_visible_in_quiet_groups =
        std::max<std::int64_t>(0, sums.in_flight() - groups.in_flight_in_noisy_groups);
    return statistics;
  }

  // ---- closing ------------------------------------------------------------------------------------------------------

  void Close() {
    capacity_gate_.Close();
    store_.visible().Notify(EventCount::kAll);
  }

  bool closed() const override { return capacity_gate_.closed(); }

  bool drained() {
    if (!this->closed()) return false;
    if (!capacity_gate_.IsDrained()) RunAllTimeouts(store_.Now());  // the messages left may be past their retention
    return capacity_gate_.IsDrained();
  }

  // Whether a receiver that found nothing has nothing to wait for; EndedError() says why.
  bool ended() { return this->closed() && (this->deleted() || drained()); }
  [[gnu::cold, gnu::noinline]] absl::Status EndedError() {
    if (!this->deleted()) {
      return MakeError(Error::kQueueClosed, "the queue is closed and drained; nothing will come any more");
    }
    RemoveRestOfDeleted();
    return DoesNotExistError(*this);
  }

  // ---- running timeouts ---------------------------------------------------------------------------------------------

  // For a caller that is not in a call of this queue: its source for dead letters.
  void RunSomeTimeouts() { RunSomeTimeouts(store_.local(), store_.Now()); }

 protected:
  // `groups`: as for MessageStore.
  QueueUpkeep(const QueueRules& rules, std::unique_ptr<MessageGroups> groups, const Limits& limits, std::string name,
              std::uint64_t seed, Clock* clock)
      : Base(rules, std::move(groups), limits, std::move(name), seed, clock),
        sweep_(store_),
        retention_(store_),
        purge_(store_),
        capacity_gate_(*this, store_) {}
  ~QueueUpkeep() override = default;

  // Removes the messages of a deleted queue. Nothing comes any more, but a thread may be in between its ticket and its
  // message, or its claim and its lease: it is waited for, though not for ever, as it may be the caller that destroys a
  // body. What is left then is removed by the call that finds it. Requires: BeginRemoval() was called.
  void RemoveAllOfDeleted() {
    DECOUPLE_ASSERT(this->deleted() && this->closed());
    for (int round = 0; round < kRemovalRounds && !capacity_gate_.IsDrained(); ++round) {
      if (round != 0) std::this_thread::yield();
      purge_.RemoveAll(store_.local());
    }
    is_removing_.store(false, std::memory_order_relaxed);
  }

  // Whether the caller is the one to remove. Relaxed: it keeps others from doing the same, among them the destructor of
  // a body that is being removed, and publishes nothing.
  bool BeginRemoval() { return !is_removing_.exchange(true, std::memory_order_relaxed); }

  // Removes what came late into a deleted queue, unless another call does.
  void RemoveRestOfDeleted() {
    if (this->closed() && this->deleted() && BeginRemoval()) RemoveAllOfDeleted();
  }

  // Runs every timeout that has passed at `now`.
  void RunAllTimeouts(std::int64_t now) {
    LocalState& local = store_.local();
    sweep_.RunAll(local, now);
    retention_.RemoveExpiredAtHead(local, now, std::numeric_limits<std::uint32_t>::max());
  }

  // For a sender that found the queue full: removes the messages that are past their retention. Returns the earliest
  // instant at which there may be room without a removal by another thread.
  std::int64_t MakeRoom(LocalState& local) {
    const std::int64_t now = store_.Now();
    RunAllTimeouts(now);
    return std::max(now, std::min(store_.earliest().get(), retention_.FindHeadRetentionEnd(local)));
  }

  // Runs a bounded number of the timeouts that have passed.
  void RunSomeTimeouts(LocalState& local, std::int64_t now) {
    SweepSome(local, now);
    retention_.RemoveExpiredAtHead(local, now, kExpiredPerCall);
  }
  // Same as RunSomeTimeouts(), for a sender. Loading the head slot takes its cache line from the receivers, so it is
  // skipped until the message last seen at the head can have expired.
  void RunSomeTimeoutsForSender(LocalState& local, std::int64_t now) {
    SweepSome(local, now);
    if (SaturatingAdd(local.head_sent_since, store_.retention()) <= now) [[unlikely]]
      local.head_sent_since = retention_.RemoveExpiredAtHead(local, now, kExpiredPerCall);
  }
  [[gnu::always_inline]] void SweepDue(LocalState& local, std::int64_t now) {
    if (store_.earliest().get() <= now) [[unlikely]]
      sweep_.RunSteps(local, now, kSweepStepsPerCall);
  }

  using Base::store_;

  TimeoutSweep<T> sweep_;
  Retention<T> retention_;
  Purge<T> purge_;
  CapacityGate<T> capacity_gate_;

 private:
  static constexpr int kRemovalRounds = 1'000;
  static constexpr int kSweepStepsPerCall = 4;
  static constexpr std::uint32_t kExpiredPerCall = 2 * kSlotsPerSegment;

  void SweepSome(LocalState& local, std::int64_t now) {
    SweepDue(local, now);
    sweep_.RestoreBiasIfIdle(now);
  }

  std::atomic<bool> is_removing_{false};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_UPKEEP_H_
