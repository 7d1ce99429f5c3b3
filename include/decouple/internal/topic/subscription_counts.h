// What a subscription counts, for itself and for its topic.

#ifndef DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_COUNTS_H_
#define DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_COUNTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "decouple/internal/base/counter_array.h"
#include "decouple/internal/topic/retry_scheduler.h"
#include "decouple/topic_statistics.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread.
class SubscriptionCounts {
 public:
  // `topic` outlives it.
  explicit SubscriptionCounts(RetryScheduler& topic)
      : topic_(topic),
        number_(topic.counter_numbers().Take()),
        place_(number_),
        delivered_before_(topic.DeliveredTo(place_)) {}
  SubscriptionCounts(const SubscriptionCounts&) = delete;
  SubscriptionCounts& operator=(const SubscriptionCounts&) = delete;
  ~SubscriptionCounts() { topic_.counter_numbers().GiveBack(number_); }

  // The counter of deliveries in LocalTopicCounts::delivered_to, where publishers count them for themselves.
  const CounterArray::Place& place() const { return place_; }

  void CountDelivered() {
    LocalTopicCounts& local = topic_.local();
    local.delivered.Add(1);
    local.delivered_to.Add(place_, 1);
  }
  void CountRetried() {
    Increment(retried_);
    topic_.local().retried.Add(1);
  }
  void CountFailed() {
    Increment(failed_);
    topic_.local().failed.Add(1);
  }
  void CountRedriven() {
    Increment(redriven_);
    topic_.local().redriven.Add(1);
  }
  void CountFailedToRedrive() {
    Increment(failed_to_redrive_);
    topic_.local().failed_to_redrive.Add(1);
  }
  void CountAbandoned(std::size_t deliveries) { topic_.local().abandoned.Add(deliveries); }

  // All but what is waiting.
  SubscriptionStatistics Sums() const {
    SubscriptionStatistics sums;
    sums.number_of_notifications_delivered = topic_.DeliveredTo(place_) - delivered_before_;
    sums.number_of_notifications_failed = failed_.load(std::memory_order_relaxed);
    sums.number_of_notifications_redriven_to_dlq = redriven_.load(std::memory_order_relaxed);
    sums.number_of_notifications_failed_to_redrive_to_dlq = failed_to_redrive_.load(std::memory_order_relaxed);
    sums.number_of_notifications_retried = retried_.load(std::memory_order_relaxed);
    return sums;
  }

 private:
  // Relaxed: statistics only.
  static void Increment(std::atomic<std::uint64_t>& count) { count.fetch_add(1, std::memory_order_relaxed); }

  RetryScheduler& topic_;
  // The number may have been another subscription's before: this one's deliveries begin at delivered_before_.
  const std::uint32_t number_;
  const CounterArray::Place place_;
  const std::uint64_t delivered_before_;
  std::atomic<std::uint64_t> failed_{0};
  std::atomic<std::uint64_t> redriven_{0};
  std::atomic<std::uint64_t> failed_to_redrive_{0};
  std::atomic<std::uint64_t> retried_{0};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_COUNTS_H_
