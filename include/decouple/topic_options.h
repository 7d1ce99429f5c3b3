// What a topic can be told when it is created, and with a subscription; publish_options.h has what goes with a publish.
//
//   auto placed = Topic<Order>::Create({.name = "placed"});
//   placed->Subscribe(queue, {.filter = Where(&Order::price) > 100, .dead_letters = failed});
//
// Names, ranges and defaults are SNS's; sizes can be lifted by `limits`.

#ifndef DECOUPLE_TOPIC_OPTIONS_H_
#define DECOUPLE_TOPIC_OPTIONS_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/delivery_policy.h"
#include "decouple/executor.h"
#include "decouple/filter_expression.h"
#include "decouple/filter_policy.h"
#include "decouple/limits.h"
#include "decouple/queue_options.h"
#include "decouple/redrive_policy.h"

namespace decouple {

struct TopicOptions {
  Limits limits = Limits::Service();
  // For those who get its messages, and for identities: ids of two topics differ if their names do, or their seeds.
  std::string name = {};
  // One seed gives one run. 0: a random one.
  std::uint64_t seed = 0;
  // Must outlive the topic. Null: the system's.
  Clock* clock = nullptr;
};

struct FifoTopicOptions {
  // A message published without a deduplication id gets the SHA-256 of its body as one; see content_hash.h.
  bool content_based_deduplication = false;
  // SNS's FifoThroughputScope: whether ids are looked for in the whole topic, or in the message's group.
  DeduplicationScope deduplication_scope = DeduplicationScope::kQueue;
  // How long published messages are kept for replay: 1 … 365 days. By default not at all.
  std::optional<absl::Duration> archive_retention = std::nullopt;

  Limits limits = Limits::Service();
  // All three as for TopicOptions.
  std::string name = {};
  std::uint64_t seed = 0;
  Clock* clock = nullptr;
};

// A filter for messages with bodies of type T: a policy, what FilterPolicy::Parse() gives, or an expression. By default
// it lets everything through. Plain values.
template <typename T>
class SubscriptionFilter {
 public:
  SubscriptionFilter() = default;
  // Implicit, all: so that options read {.filter = Where(&Order::price) > 100}.
  // NOLINTBEGIN(google-explicit-constructor)
  SubscriptionFilter(FilterPolicy policy) : policy_(std::move(policy)) {}
  SubscriptionFilter(absl::StatusOr<FilterPolicy> policy) : policy_(std::move(policy)) {}
  SubscriptionFilter(const FilterExpression<T>& expression) : policy_(expression.Policy(Limits::Unlimited())) {}
  SubscriptionFilter(const FilterExpression<internal::AnyBody>& expression)
      : policy_(expression.Policy(Limits::Unlimited())) {}
  // NOLINTEND(google-explicit-constructor)

  // The policy, or what is wrong with it.
  const absl::StatusOr<FilterPolicy>& policy() const { return policy_; }

 private:
  absl::StatusOr<FilterPolicy> policy_ = FilterPolicy();
};

template <typename T>
struct SubscribeOptions {
  SubscriptionFilter<T> filter = {};
  // By default DeliveryPolicy() for a function, and DeliveryPolicy::OfQueues() for a queue.
  std::optional<DeliveryPolicy> delivery = std::nullopt;
  // maxReceivesPerSecond, of functions only: at least 1.
  std::optional<int> max_receives_per_second = std::nullopt;
  // A queue of T, of the topic's kind, for what could not be delivered. By default there is none.
  QueueReference dead_letters = {};
  // How many messages may wait for a retry, for the function's turn, or during a pause; the rest fails for good.
  std::int64_t max_waiting = std::numeric_limits<std::int64_t>::max();
  // Runs the function, of functions only. Called by those who publish or deliver. By default the function runs in
  // Topic::Deliver(), on the thread that calls that.
  Executor executor = {};
  // For those who list subscriptions.
  std::string name = {};
};

// What of a FIFO topic's archive is delivered once more: what was published from `from` on, before `to`.
struct ReplaySpan {
  absl::Time from = absl::InfinitePast();
  absl::Time to = absl::InfiniteFuture();
};

}  // namespace decouple

#endif  // DECOUPLE_TOPIC_OPTIONS_H_
