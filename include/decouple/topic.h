// A topic: what is published on it reaches everybody who is subscribed.
//
//   decouple::Topic<Order> placed;
//   auto shipping = placed.Subscribe(shipping_queue, {.filter = Where(&Order::price) > 100});
//   auto mail = placed.Subscribe([](const decouple::Notification<Order>& n) { return Mail(n.body()); },
//                                {.dead_letters = failed});
//   placed.Publish(Order{45}, {.attributes = {{"store", "oslo"}}}).IgnoreError();
//   placed.Deliver();                                        // calls the functions, on this thread
//
// Every subscription gets each message that its filter lets through, exactly one each. Nobody subscribed, nobody gets
// it: a topic keeps nothing. All share one immutable body, which is never copied. A publish brings the message into the
// subscribed queues before it returns, as if it were sent to them then; it waits for nobody: a queue that is full is
// tried again later (see delivery_policy.h), one that is closed, or refuses the message, is not.
//
// Functions are called by an executor of yours, or in Deliver() on the thread that calls it; each by one thread at a
// time, and messages that one fails, however (an error, an exception), are tried again or end in the dead-letter queue
// without troubling others. A function may publish, subscribe and unsubscribe itself. No thread of ours runs: what is
// due is worked off by those who publish, but for functions without an executor, and by Deliver().
//
// This is a standard topic; FifoTopic (fifo_topic.h) is the other kind, and can be used as one of these. A topic is a
// handle, as a std::shared_ptr is: copies are the same topic, which lives as long as one of them; then its
// subscriptions end. It keeps the subscribed queues alive. A function that holds a handle of its topic keeps that
// alive.
//
// All members may be called from any thread. Publish takes no lock while all who get the message are queues that take
// it, and allocates once, for the body and what is said of it; reading JSON allocates, too. Subscribing does not hold
// it up. O(subscriptions that get the message + filters that ask for nothing exact).

#ifndef DECOUPLE_TOPIC_H_
#define DECOUPLE_TOPIC_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/batch.h"
#include "decouple/delivery_policy.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/topic/endpoint.h"
#include "decouple/internal/topic/subscription_core.h"
#include "decouple/internal/topic/topic_base.h"
#include "decouple/internal/topic/topic_core.h"
#include "decouple/publication.h"
#include "decouple/queue.h"
#include "decouple/subscription.h"
#include "decouple/topic_options.h"
#include "decouple/topic_statistics.h"

namespace decouple {

template <typename T>
struct PublishBatchEntry {
  std::string id;
  T body;
  PublishOptions options = {};
};

using PublishBatchResults = BatchResults<absl::StatusOr<PublishResult>>;

template <typename T>
class Topic {
 public:
  using Body = T;

  Topic() : Topic(std::make_shared<internal::StandardTopicCore<T>>(TopicOptions())) {}

  // Never fails; for the sake of those kinds that can.
  static absl::StatusOr<Topic> Create(const TopicOptions& options) {
    return Topic(std::make_shared<internal::StandardTopicCore<T>>(options));
  }

  // Brings a message to all whose filter lets it through.
  // kInvalidParameter: empty text, too large, a malformed subject, or in a FIFO topic no group or deduplication id.
  // kInvalidParameterValue: a malformed attribute, group or id. kTopicClosed. The body is consumed only on success.
  absl::StatusOr<PublishResult> Publish(T&& body, PublishOptions options = {}) noexcept {
    return core_->Publish(std::move(body), std::move(options));
  }
  absl::StatusOr<PublishResult> Publish(const T& body,
                                        PublishOptions options = {}) requires std::copy_constructible<T> {
    return core_->Publish(T(body), std::move(options));
  }

  // Publishes up to ten messages, together of at most 262 144 bytes; see batch.h. The bodies and options of entries
  // that were published are moved from.
  absl::StatusOr<PublishBatchResults> PublishBatch(std::span<PublishBatchEntry<T>> entries) noexcept {
    const Limits& limits = core_->limits();
    if (absl::Status status = internal::CheckBatch(entries, limits); !status.ok()) return status;
    std::size_t bytes = 0;
    for (const auto& entry : entries) bytes += internal::TopicCore<T>::SizeOf(entry.body, entry.options);
    if (bytes > limits.max_published_message_size) {
      return internal::MakeError(
          Error::kBatchRequestTooLong,
          absl::StrCat("a batch of ", bytes, " bytes; allowed are at most ", limits.max_published_message_size));
    }
    PublishBatchResults results;
    for (auto& entry : entries) results.push_back(core_->Publish(std::move(entry.body), std::move(entry.options)));
    return results;
  }

  // Subscribes a queue: a standard one, or to a FIFO topic also a FIFO queue. The subscription ends with its handle:
  // keep it, or Detach() it. The same queue with the same options again gives the same subscription. Takes a mutex;
  // O(log subscriptions), amortized.
  // kInvalidParameter: an option is not allowed, malformed, or does not go with the topic; or the queue is subscribed
  // with other options. kFilterPolicyLimitExceeded. kAccessDenied: the queue's senders policy does not allow it.
  absl::StatusOr<Subscription<T>> Subscribe(const Queue<T>& queue, SubscribeOptions<T> options = {}) {
    return Add(std::make_unique<internal::QueueEndpoint<T>>(internal::Access::Core(queue)), std::move(options));
  }

  // A queue of another type. `convert` takes a const T&, and gives a U, or an absl::StatusOr<U> whose error fails the
  // delivery as a function's does. It is called by those who publish and must not use the topic; by several threads at
  // a time. Of a queue that is subscribed already the first conversion stays.
  template <typename U, typename Convert>
  requires(std::invocable<const Convert&, const T&>)  //
      absl::StatusOr<Subscription<T>> Subscribe(const Queue<U>& queue, Convert convert,
                                                SubscribeOptions<T> options = {}) {
    return Add(std::make_unique<internal::ConvertingEndpoint<T, U, Convert>>(internal::Access::Core(queue),
                                                                             std::move(convert)),
               std::move(options));
  }

  // A function of a const Notification<T>& or a const T&, that gives nothing, or an absl::Status: see
  // IsPermanentFailure() for what becomes of the message. Not to a FIFO topic.
  template <typename Function>
  requires(std::invocable<Function&, const Notification<T>&> || std::invocable<Function&, const T&>)  //
      absl::StatusOr<Subscription<T>> Subscribe(Function function, SubscribeOptions<T> options = {}) {
    return Add(std::make_unique<internal::FunctionEndpoint<T, Function>>(std::move(function)), std::move(options));
  }

  // What else takes messages, as a stream does: see stream_subscription.h.
  template <std::derived_from<internal::Endpoint> Endpoint>
  absl::StatusOr<Subscription<T>> Subscribe(std::unique_ptr<Endpoint> endpoint, SubscribeOptions<T> options = {}) {
    return Add(std::move(endpoint), std::move(options));
  }

  // In the order in which they were made.
  std::vector<SubscriptionReference<T>> Subscriptions() const {
    std::vector<SubscriptionReference<T>> all;
    for (const internal::Subscribed& one : core_->Subscriptions()) {
      all.push_back(internal::Access::Make<SubscriptionReference<T>>(core_, one.core));
    }
    return all;
  }

  // Makes all attempts that are due, until none is, and gives those of functions with an executor to it. Returns how
  // many were made here. What functions publish meanwhile is delivered, too.
  std::size_t Deliver() { return core_->retry_scheduler().Deliver(); }

  // When Deliver() will have something to do; absl::InfiniteFuture() if nothing waits, as things are.
  absl::Time NextDelivery() const {
    const std::int64_t due = core_->retry_scheduler().NextDue();
    return due == internal::kForever ? absl::InfiniteFuture() : absl::FromUnixNanos(due);
  }

  // Delivers whatever becomes due, asleep on the topic's clock in between: for a thread of yours. Returns when the
  // topic is closed and nothing waits any more but for the end of a pause.
  void RunDeliveries() { core_->retry_scheduler().Run(); }

  // No more publishes from now on: they fail with kTopicClosed. What waits is still delivered.
  void Close() noexcept { core_->Close(); }
  bool closed() const noexcept { return core_->closed(); }

  // O(threads).
  TopicStatistics Statistics() const { return core_->retry_scheduler().Sums(); }

  const std::string& name() const { return core_->name(); }
  // Tells it from all other topics, as in TopicReference.
  std::uint64_t identity() const { return core_->identity(); }

  // Whether both are handles of one topic.
  friend bool operator==(const Topic&, const Topic&) = default;

 protected:
  explicit Topic(std::shared_ptr<internal::TopicCore<T>> core) : core_(std::move(core)) {}

 private:
  [[gnu::cold]] static absl::Status Refuse(const std::string& what) {
    return internal::MakeError(Error::kInvalidParameter, what);
  }

  absl::StatusOr<Subscription<T>> Add(std::unique_ptr<internal::Endpoint> endpoint, SubscribeOptions<T> options) {
    absl::StatusOr<FilterPolicy> filter = internal::CheckFilter(options.filter, core_->limits());
    if (!filter.ok()) return filter.status();
    const bool is_function = endpoint->is_function();
    absl::StatusOr<internal::SubscriptionConfig> settings = SettingsOf(std::move(options), is_function);
    if (!settings.ok()) return settings.status();
    auto core = core_->Subscribe(std::move(endpoint), *std::move(filter), *std::move(settings));
    if (!core.ok()) return core.status();
    return internal::Access::Make<Subscription<T>>(core_, *std::move(core));
  }

  absl::StatusOr<internal::SubscriptionConfig> SettingsOf(SubscribeOptions<T> options, bool is_function) const {
    internal::SubscriptionConfig settings;
    settings.delivery = options.delivery.value_or(is_function ? DeliveryPolicy() : DeliveryPolicy::OfQueues());
    if (options.delivery) {
      if (absl::Status status = internal::CheckDeliveryPolicy(*options.delivery); !status.ok()) return status;
    }
    if (options.max_receives_per_second && !is_function) {
      return Refuse("a maximum of receives per second for a queue or a stream; only functions have one");
    }
    if (options.max_receives_per_second && *options.max_receives_per_second < 1) {
      return Refuse(
          absl::StrCat("maximum of ", *options.max_receives_per_second, " receives per second; allowed is at least 1"));
    }
    if (options.max_waiting < 0) {
      return Refuse(absl::StrCat("at most ", options.max_waiting, " messages waiting; allowed is at least 0"));
    }
    if (options.executor && !is_function) return Refuse("an executor for a queue or a stream; only functions have one");
    if (options.dead_letters) {
      internal::QueueBase& queue = *internal::Access::Core(options.dead_letters);
      if (queue.kind() != core_->kind() || queue.body_type() != &internal::kBodyType<T>) {
        return Refuse(absl::StrCat("the dead-letter queue \"", queue.name(), "\"; allowed is a ",
                                   internal::NameOf(core_->kind()), " queue with the topic's type of bodies"));
      }
      if (!queue.senders().Allows(core_->identity())) {
        return internal::MakeError(Error::kAccessDenied,
                                   absl::StrCat("the dead-letter queue \"", queue.name(),
                                                "\" does not allow the topic \"", name(), "\" to send to it"));
      }
      settings.dead_letters =
          std::make_shared<internal::QueueEndpoint<T>>(internal::Access::Core(options.dead_letters));
    }
    settings.max_receives_per_second = options.max_receives_per_second;
    settings.max_waiting = options.max_waiting;
    settings.executor = std::move(options.executor);
    settings.name = std::move(options.name);
    return settings;
  }

  std::shared_ptr<internal::TopicCore<T>> core_;
};

}  // namespace decouple

#endif  // DECOUPLE_TOPIC_H_
