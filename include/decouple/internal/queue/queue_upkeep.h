// What becomes of a queue with time, and what it says of itself. What is due is worked off by those who call the queue, a
// little at a time; who counts works all of it off first, so that counts are exact.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_UPKEEP_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_UPKEEP_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/message/fair_scheduler.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/queue_counters.h"
#include "decouple/internal/queue/capacity_gate.h"
#include "decouple/internal/queue/delivery_core.h"
#include "decouple/internal/queue/message_removal.h"
#include "decouple/internal/queue/queue_rules.h"
#include "decouple/internal/queue/timeout_sweep.h"
#include "decouple/limits.h"
#include "decouple/queue_statistics.h"

namespace decouple::internal {

template <typename T>
class QueueUpkeep : public DeliveryCore<T> {
  using Base = DeliveryCore<T>;

 public:
  using typename Base::LocalState;

  // ---- what it says of itself ---------------------------------------------------------------------------------------

  MessageCounts Counts() {
    RunAllTimeouts(store_.Now());
    const QueueSums sums = store_.Sums();
    return {.ready = sums.visible(), .in_flight = sums.in_flight(), .delayed = sums.waiting_for_delay()};
  }

  QueueStatistics Statistics() {
    const std::int64_t now = store_.Now();
    RunAllTimeouts(now);
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
    const std::int64_t oldest = removal_.OldestSentAt();
    statistics.approximate_age_of_oldest_message =
        absl::Nanoseconds(std::max<std::int64_t>(0, now - std::min(now, oldest)));
    FairScheduler::Counts fair_scheduler;
    if (store_.fair_scheduler() != nullptr) fair_scheduler = store_.fair_scheduler()->CountsAt(sums.in_flight(), now);
    statistics.approximate_number_of_noisy_groups = fair_scheduler.noisy_groups;
    statistics.approximate_number_of_messages_visible_in_quiet_groups =
        std::max<std::int64_t>(0, sums.visible() - fair_scheduler.visible_in_noisy_groups);
    statistics.approximate_number_of_messages_not_visible_in_quiet_groups =
        std::max<std::int64_t>(0, sums.in_flight() - fair_scheduler.in_flight_in_noisy_groups);
    return statistics;
  }

  void Close() {
    capacity_gate_.Close();
    store_.visible().Notify(EventCount::kAll);
  }

  bool closed() const override { return capacity_gate_.closed(); }

  bool drained() {
    if (!this->closed()) return false;
    if (!capacity_gate_.IsEmpty()) RunAllTimeouts(store_.Now());  // what is left may be past its retention
    return capacity_gate_.IsEmpty();
  }

  // A little of what is due, for those who only send.
  void RunSomeTimeouts() { RunSomeTimeouts(store_.local(), store_.Now()); }

 protected:
  // `groups`: as for MessageStore.
  QueueUpkeep(const QueueRules& rules, std::unique_ptr<MessageGroups> groups, const Limits& limits, std::string name,
              std::uint64_t seed, Clock* clock)
      : Base(rules, std::move(groups), limits, std::move(name), seed, clock),
        sweep_(store_),
        removal_(store_),
        capacity_gate_(store_) {}
  ~QueueUpkeep() override = default;

  // ---- what is due --------------------------------------------------------------------------------------------------

  // All that is due, so that counts are exact.
  void RunAllTimeouts(std::int64_t now) {
    LocalState& local = store_.local();
    sweep_.All(local, now);
    removal_.ExpiredAtHead(local, now, std::numeric_limits<std::uint32_t>::max());
  }

  // Of a queue that may be full: what has to go goes. The earliest instant at which there may be room by itself.
  std::int64_t MakeRoom(LocalState& local) {
    const std::int64_t now = store_.Now();
    RunAllTimeouts(now);
    return std::max(now, std::min(store_.earliest().get(), removal_.HeadRetentionEnd(local)));
  }

  // A little of what is due.
  void RunSomeTimeouts(LocalState& local, std::int64_t now) {
    SweepSome(local, now);
    removal_.ExpiredAtHead(local, now, kExpiredPerCall);
  }
  // By a sender. The head is in the receivers' caches: he leaves it alone until what he saw there may have expired.
  void WorkOffBehindTheHead(LocalState& local, std::int64_t now) {
    SweepSome(local, now);
    if (SaturatingAdd(local.head_sent_since, store_.retention()) <= now) [[unlikely]]
      local.head_sent_since = removal_.ExpiredAtHead(local, now, kExpiredPerCall);
  }
  [[gnu::always_inline]] void SweepDue(LocalState& local, std::int64_t now) {
    if (store_.earliest().get() <= now) [[unlikely]]
      sweep_.Steps(local, now, kSweepStepsPerCall);
  }

  using Base::store_;

  TimeoutSweep<T> sweep_;
  MessageRemoval<T> removal_;
  CapacityGate<T> capacity_gate_;

 private:
  static constexpr int kSweepStepsPerCall = 4;
  static constexpr std::uint32_t kExpiredPerCall = 2 * kSlotsPerSegment;

  void SweepSome(LocalState& local, std::int64_t now) {
    SweepDue(local, now);
    sweep_.Rest(now);
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_UPKEEP_H_
