// What becomes of a queue with time, and what it says of itself. What is due is worked off by those who call the queue, a
// little at a time; who counts works all of it off first, so that counts are exact.

#ifndef DECOUPLE_INTERNAL_QUEUE_UPKEEP_H_
#define DECOUPLE_INTERNAL_QUEUE_UPKEEP_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/internal/admission.h"
#include "decouple/internal/clearing.h"
#include "decouple/internal/delivery_core.h"
#include "decouple/internal/due_sweep.h"
#include "decouple/internal/event_count.h"
#include "decouple/internal/fifo_groups.h"
#include "decouple/internal/queue_counters.h"
#include "decouple/internal/queue_rules.h"
#include "decouple/internal/segment_pool.h"
#include "decouple/internal/sleeper.h"
#include "decouple/internal/tenant_lines.h"
#include "decouple/limits.h"
#include "decouple/statistics.h"

namespace decouple::internal {

template <typename T>
class QueueUpkeep : public DeliveryCore<T> {
  using Base = DeliveryCore<T>;

 public:
  using typename Base::Mine;

  // ---- what it says of itself ---------------------------------------------------------------------------------------

  MessageCounts Counts() {
    Settle(store_.Now());
    const QueueSums sums = store_.Sums();
    return {.ready = sums.visible(), .in_flight = sums.in_flight(), .delayed = sums.waiting_for_delay()};
  }

  QueueStatistics Statistics() {
    const std::int64_t now = store_.Now();
    Settle(now);
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
    const std::int64_t oldest = clearing_.OldestSentAt();
    statistics.approximate_age_of_oldest_message =
        absl::Nanoseconds(std::max<std::int64_t>(0, now - std::min(now, oldest)));
    TenantLines::Counts tenants;
    if (store_.tenants() != nullptr) tenants = store_.tenants()->CountsAt(sums.in_flight(), now);
    statistics.approximate_number_of_noisy_groups = tenants.noisy_groups;
    statistics.approximate_number_of_messages_visible_in_quiet_groups =
        std::max<std::int64_t>(0, sums.visible() - tenants.visible_in_noisy_groups);
    statistics.approximate_number_of_messages_not_visible_in_quiet_groups =
        std::max<std::int64_t>(0, sums.in_flight() - tenants.in_flight_in_noisy_groups);
    return statistics;
  }

  void Close() {
    admission_.Close();
    store_.visible().Notify(EventCount::kAll);
  }

  bool closed() const override { return admission_.closed(); }

  bool drained() {
    if (!this->closed()) return false;
    if (!admission_.IsEmpty()) Settle(store_.Now());  // what is left may be past its retention
    return admission_.IsEmpty();
  }

  // A little of what is due, for those who only send.
  void WorkOff() { WorkOff(store_.mine(), store_.Now()); }

 protected:
  // `groups`: as for MessageStore.
  QueueUpkeep(const QueueRules& rules, std::unique_ptr<FifoGroups> groups, const Limits& limits, std::string name,
              std::uint64_t seed, Clock* clock)
      : Base(rules, std::move(groups), limits, std::move(name), seed, clock),
        sweep_(store_),
        clearing_(store_),
        admission_(store_) {}
  ~QueueUpkeep() override = default;

  // ---- what is due --------------------------------------------------------------------------------------------------

  // All that is due, so that counts are exact.
  void Settle(std::int64_t now) {
    Mine& mine = store_.mine();
    sweep_.All(mine, now);
    clearing_.ExpiredAtHead(mine, now, std::numeric_limits<std::uint32_t>::max());
  }

  // Of a queue that may be full: what has to go goes. The earliest instant at which there may be room by itself.
  std::int64_t MakeRoom(Mine& mine) {
    const std::int64_t now = store_.Now();
    Settle(now);
    return std::max(now, std::min(store_.earliest().get(), clearing_.HeadRetentionEnd(mine)));
  }

  // A little of what is due.
  void WorkOff(Mine& mine, std::int64_t now) {
    SweepSome(mine, now);
    clearing_.ExpiredAtHead(mine, now, kExpiredPerCall);
  }
  // By a sender. The head is in the receivers' caches: he leaves it alone until what he saw there may have expired.
  void WorkOffBehindTheHead(Mine& mine, std::int64_t now) {
    SweepSome(mine, now);
    if (Later(mine.head_sent_since, store_.retention()) <= now) [[unlikely]]
      mine.head_sent_since = clearing_.ExpiredAtHead(mine, now, kExpiredPerCall);
  }
  [[gnu::always_inline]] void SweepDue(Mine& mine, std::int64_t now) {
    if (store_.earliest().get() <= now) [[unlikely]]
      sweep_.Steps(mine, now, kSweepStepsPerCall);
  }

  using Base::store_;

  DueSweep<T> sweep_;
  Clearing<T> clearing_;
  Admission<T> admission_;

 private:
  static constexpr int kSweepStepsPerCall = 4;
  static constexpr std::uint32_t kExpiredPerCall = 2 * kSlotsPerSegment;

  void SweepSome(Mine& mine, std::int64_t now) {
    SweepDue(mine, now);
    sweep_.Rest(now);
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_UPKEEP_H_
