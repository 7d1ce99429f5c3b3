// The options of a topic and of a subscription. Those of a publish are in publication.h.
//
//   auto placed = Topic<Order>::Create({.name = "placed"});
//   auto dear = placed->Subscribe(queue, {.filter = Where(&Order::price) > 100, .dead_letters = failed});
//
// Names, ranges and defaults are SNS's; sizes can be lifted by `limits`.

#ifndef DECOUPLE_TOPIC_OPTIONS_H_
#define DECOUPLE_TOPIC_OPTIONS_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>

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

namespace decouple::inline v0_1 {

struct TopicOptions {
  // How often functions without a policy of their own are tried again; see delivery_policy.h.
  DeliveryPolicy delivery = {};

  Limits limits = Limits::Service();
  // Shown to receivers. Need not be unique.
  std::string name = {};
  // Runs that make topics with the same names and seeds, in the same order, have the same message ids; two topics that
  // live at the same time never have. 0: a random seed.
  std::uint64_t seed = 0;
  // Must outlive the topic. Null: the system clock.
  Clock* clock = nullptr;
};

struct FifoTopicOptions {
  // A message published without a deduplication id gets the SHA-256 of its body as one; see content_hash.h.
  bool content_based_deduplication = false;
  // SNS's FifoThroughputScope: whether duplicates are looked for in the whole topic or in the message's group.
  DeduplicationScope deduplication_scope = DeduplicationScope::kQueue;
  // How long published messages are kept for replay: 1 … 365 days. By default, and with 0, they are not kept.
  std::optional<absl::Duration> archive_retention = std::nullopt;

  Limits limits = Limits::Service();
  // These three are as for TopicOptions.
  std::string name = {};
  std::uint64_t seed = 0;
  Clock* clock = nullptr;
};

// The options that can change while the topic lives: Topic::SetAttributes() changes those that are given, and
// Topic::attributes() gives all that the topic's kind has.
struct TopicAttributes {
  // For standard topics only. Applies at once to all functions that have no policy of their own, from the next attempt
  // of each message on.
  std::optional<DeliveryPolicy> delivery = std::nullopt;

  // The next three are for FIFO topics only. What was published in the last five minutes counts by the new scope, too.
  std::optional<bool> content_based_deduplication = std::nullopt;
  std::optional<DeduplicationScope> deduplication_scope = std::nullopt;
  // A shorter retention drops at once what is older. 0 ends the archive and drops all of it.
  std::optional<absl::Duration> archive_retention = std::nullopt;

  friend bool operator==(const TopicAttributes&, const TopicAttributes&) = default;
};

// A filter for messages with bodies of type T: a policy, the result of FilterPolicy::Parse(), or an expression. By
// default it lets every message through. A plain value.
template <typename T>
class SubscriptionFilter {
 public:
  SubscriptionFilter() = default;
  // All are implicit, so that options read {.filter = Where(&Order::price) > 100}.
  // NOLINTBEGIN(google-explicit-constructor)
  SubscriptionFilter(FilterPolicy policy) : policy_(std::move(policy)) {}
  SubscriptionFilter(absl::StatusOr<FilterPolicy> policy) : policy_(std::move(policy)) {}
  SubscriptionFilter(const FilterExpression<T>& expression) : policy_(expression.Policy(Limits::Unlimited())) {}
  SubscriptionFilter(const FilterExpression<internal::AnyBody>& expression)
      : policy_(expression.Policy(Limits::Unlimited())) {}
  // NOLINTEND(google-explicit-constructor)

  // The policy, or the error in it.
  const absl::StatusOr<FilterPolicy>& policy() const { return policy_; }

  friend bool operator==(const SubscriptionFilter&, const SubscriptionFilter&) = default;

 private:
  absl::StatusOr<FilterPolicy> policy_ = FilterPolicy();
};

template <typename T>
struct SubscribeOptions {
  SubscriptionFilter<T> filter = {};
  // By default that of the topic for a function, and DeliveryPolicy::OfQueues() for a queue or a stream.
  std::optional<DeliveryPolicy> delivery = std::nullopt;
  // maxReceivesPerSecond, for functions only: at least 1.
  std::optional<int> max_receives_per_second = std::nullopt;
  // A queue of T that gets messages which could not be delivered: of the subscribed queue's kind or, for a function or
  // a stream, of the topic's. By default there is none.
  QueueReference dead_letters = {};
  // How many messages may wait for a retry, for the function's turn, or during a pause; further ones fail permanently.
  std::int64_t max_waiting = std::numeric_limits<std::int64_t>::max();
  // Runs the function; for functions only. Publishing and delivering threads call it. By default the function runs
  // within Topic::Deliver(), on the thread that calls that.
  Executor executor = {};
  // For your own use, as in lists of subscriptions.
  std::string name = {};
};

// Stands for the delivery policy of a subscription that has none of its own: see SubscribeOptions::delivery.
struct DefaultDelivery {
  friend bool operator==(const DefaultDelivery&, const DefaultDelivery&) = default;
};

// The options that can change while the subscription lives: SetAttributes() changes those that are given, and
// attributes() gives all of them. A filter decides about what is published later. The others are in force for every
// attempt that begins later, also of messages that wait already: those that are failing go to a dead-letter queue that
// is set now, and by a lower max_waiting no message that waits is dropped.
template <typename T>
struct SubscriptionAttributes {
  std::optional<SubscriptionFilter<T>> filter = std::nullopt;
  std::optional<std::variant<DefaultDelivery, DeliveryPolicy>> delivery = std::nullopt;
  std::optional<int> max_receives_per_second = std::nullopt;  // 0 removes the maximum
  std::optional<QueueReference> dead_letters = std::nullopt;  // QueueReference() removes the dead-letter queue
  std::optional<std::int64_t> max_waiting = std::nullopt;

  friend bool operator==(const SubscriptionAttributes&, const SubscriptionAttributes&) = default;
};

// Selects the messages of a FIFO topic's archive to deliver again: those published at `from` or later and before `to`.
struct ReplaySpan {
  absl::Time from = absl::InfinitePast();
  absl::Time to = absl::InfiniteFuture();

  friend bool operator==(const ReplaySpan&, const ReplaySpan&) = default;
};

// How far the replays of a subscription have come.
enum class ReplayState { kNone, kInProgress, kCompleted };

struct ReplayStatus {
  // kNone: nothing was ever replayed. kCompleted: no replayed message waits any more; each was delivered or has failed
  // for good.
  ReplayState state = ReplayState::kNone;
  std::int64_t messages = 0;          // of all replays together
  std::int64_t messages_waiting = 0;  // now

  friend bool operator==(const ReplayStatus&, const ReplayStatus&) = default;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_TOPIC_OPTIONS_H_
