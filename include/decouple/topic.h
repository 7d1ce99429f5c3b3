// A topic: every message published on it reaches all subscriptions whose filters let it through.
//
//   decouple::Topic<Order> placed;
//   auto shipping = placed.Subscribe(shipping_queue, {.filter = decouple::Where(&Order::price) > 100});
//   auto mail = placed.Subscribe([](const decouple::Notification<Order>& n) { return Mail(n.body()); },
//                                {.dead_letters = failed});
//   placed.Publish(Order{45}, {.attributes = {{"store", "oslo"}}}).IgnoreError();
//   placed.Deliver();                                        // calls the functions, on this thread
//
// Every subscription gets each message that passes its filter, exactly once. A topic keeps no messages: without a
// subscription a message reaches no receiver. All receivers share one immutable body, which is never copied. Publish
// brings the message into the subscribed queues before it returns, as if it were sent to them then, and never waits: a
// full queue is tried again later (see delivery_policy.h); a queue that is closed, or refuses the message, is not.
//
// Functions are called by an executor of yours, or within Deliver() on the thread that calls it; each by one thread at
// a time. A message that a function fails (by an error or an exception) is tried again or goes to the dead-letter
// queue; it does not affect other messages. A function may itself publish, subscribe and unsubscribe. The library runs
// no thread: publishing threads and Deliver() make the attempts that are due, but those to functions without an
// executor are made by Deliver() only.
//
// This is a standard topic. FifoTopic (fifo_topic.h) is the other kind, and can be used wherever a Topic can. A topic
// is a handle, as a std::shared_ptr is: copies refer to the same topic, which lives as long as one of them; then its
// subscriptions end. A topic keeps the subscribed queues alive. A function that holds a handle of its own topic keeps
// that topic alive. For a function that ends its own subscription see subscription.h.
//
// All members may be called from any thread, but not in a signal handler. Publish takes no lock as long as all
// subscriptions that get the message are queues that take it. It allocates once, for the body and its publication;
// reading JSON allocates, too. Subscribing does not delay it. O(subscriptions that get the message + filters without an
// exact condition).

#ifndef DECOUPLE_TOPIC_H_
#define DECOUPLE_TOPIC_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
#include "decouple/internal/topic/subscription_config.h"
#include "decouple/internal/topic/topic_base.h"
#include "decouple/internal/topic/topic_core.h"
#include "decouple/publication.h"
#include "decouple/queue.h"
#include "decouple/subscription.h"
#include "decouple/topic_options.h"
#include "decouple/topic_statistics.h"

namespace decouple::inline v0_1 {

template <typename T>
struct PublishBatchEntry {
  std::string id;
  T body;
  PublishOptions options = {};
};

using PublishBatchResults = BatchResults<BatchResult<absl::StatusOr<PublishResult>>>;

template <typename T>
class Topic {
 public:
  using Body = T;

  Topic() : Topic(std::make_shared<internal::StandardTopicCore<T>>(TopicOptions())) {}

  // kInvalidParameter: the delivery policy is malformed.
  static absl::StatusOr<Topic> Create(const TopicOptions& options) {
    if (absl::Status status = internal::CheckDeliveryPolicy(options.delivery); !status.ok()) return status;
    return Topic(std::make_shared<internal::StandardTopicCore<T>>(options));
  }

  // Publishes a message to all subscriptions whose filters let it through. The body is moved from only on success.
  // kInvalidParameter: the body is an empty text, the message is too large, the subject is malformed, or a FIFO topic
  // got no group or deduplication id. kInvalidParameterValue: an attribute, group or id is malformed. kTopicClosed.
  absl::StatusOr<PublishResult> Publish(T&& body, PublishOptions options = {}) {
    return core_->Publish(std::move(body), std::move(options));
  }
  absl::StatusOr<PublishResult> Publish(const T& body,
                                        PublishOptions options = {}) requires std::copy_constructible<T> {
    return core_->Publish(T(body), std::move(options));
  }

  // Publishes up to ten messages of at most 262 144 bytes together, in their order; see batch.h. A batch with an entry
  // that Publish() would refuse fails as a whole with the error of the first: nothing is published, which would leave a
  // hole in the order of a group, and nothing is moved from. Otherwise every entry is published.
  absl::StatusOr<PublishBatchResults> PublishBatch(std::span<PublishBatchEntry<T>> entries) {
    const Limits& limits = core_->limits();
    if (absl::Status status = internal::CheckBatch(entries, limits); !status.ok()) return status;
    std::size_t bytes = 0;
    for (const auto& entry : entries) bytes += internal::TopicCore<T>::SizeOf(entry.body, entry.options);
    if (bytes > limits.max_published_message_size) {
      return internal::MakeError(
          Error::kBatchRequestTooLong,
          absl::StrCat("a batch of ", bytes, " bytes; allowed are at most ", limits.max_published_message_size));
    }
    for (const auto& entry : entries) {
      const absl::Status status = core_->Check(entry.body, entry.options);
      if (!status.ok()) return internal::AtBatchEntry(status, entry.id);
    }
    PublishBatchResults results;
    for (auto& entry : entries) {
      results.emplace_back(entry.id, core_->PublishChecked(std::move(entry.body), std::move(entry.options)));
    }
    return results;
  }
  // Same as above, for entries in braces: PublishBatch({{"a", Order{1}}, {"b", Order{2}}}).
  template <std::size_t kSize>
  absl::StatusOr<PublishBatchResults> PublishBatch(PublishBatchEntry<T> (&&entries)[kSize]) {
    return PublishBatch(std::span<PublishBatchEntry<T>>(entries));
  }

  // Subscribes a queue: a standard queue or, to a FIFO topic, also a FIFO queue. The subscription ends with its handle:
  // keep it, or Detach() it. Subscribing the same queue again with the same options returns the same subscription.
  // Takes a mutex; O(log subscriptions), amortized.
  // kInvalidParameter: an option is malformed or not allowed for this topic, the filter exceeds its limits, or the
  // queue is subscribed with other options. kAccessDenied: the queue's senders policy does not allow the topic.
  // kQueueDoesNotExist: the queue, or the dead-letter queue, has been deleted.
  absl::StatusOr<Subscription<T>> Subscribe(const Queue<T>& queue, SubscribeOptions<T> options = {}) {
    return Add(std::make_unique<internal::QueueEndpoint>(internal::Access::Core(queue)), std::move(options));
  }

  // Subscribes a queue with another type of bodies. `convert` takes a const T& and returns a U, or an
  // absl::StatusOr<U>, whose error fails the delivery as a function's error does. Publishing threads call it, possibly
  // several at a time; it must not use the topic. If the queue is subscribed already, the first conversion stays in
  // use.
  template <typename U, typename Convert>
  requires(std::invocable<const Convert&, const T&>)  //
      absl::StatusOr<Subscription<T>> Subscribe(const Queue<U>& queue, Convert convert,
                                                SubscribeOptions<T> options = {}) {
    return Add(std::make_unique<internal::ConvertingEndpoint<T, U, Convert>>(internal::Access::Core(queue),
                                                                             std::move(convert)),
               std::move(options));
  }

  // Subscribes a function of a const Notification<T>& or a const T& that returns void or an absl::Status: see
  // IsPermanentFailure() for what its error means. A notification is not converted: one of a const std::any& gets the
  // body. A lambda of `const auto&` gets the notification. Not for FIFO topics.
  template <typename Function>
  requires(std::invocable<Function&, const Notification<T>&> || std::invocable<Function&, const T&>)  //
      absl::StatusOr<Subscription<T>> Subscribe(Function function, SubscribeOptions<T> options = {}) {
    return Add(std::make_unique<internal::FunctionEndpoint<T, Function>>(std::move(function)), std::move(options));
  }

  // Subscribes another kind of receiver, such as a stream: see stream_subscription.h.
  template <std::derived_from<internal::Endpoint> Endpoint>
  absl::StatusOr<Subscription<T>> Subscribe(std::unique_ptr<Endpoint> endpoint, SubscribeOptions<T> options = {}) {
    return Add(std::move(endpoint), std::move(options));
  }

  // All subscriptions, in the order in which they were made.
  std::vector<SubscriptionReference<T>> Subscriptions() const {
    std::vector<SubscriptionReference<T>> all;
    for (const internal::SubscriptionEntry& entry : core_->Subscriptions()) {
      all.push_back(internal::Access::Make<SubscriptionReference<T>>(core_, entry.core));
    }
    return all;
  }

  // Makes attempts until none is due; hands those of functions with an executor to that. Messages that functions
  // publish meanwhile are delivered, too. Returns how many attempts were made on this thread.
  std::size_t Deliver() { return core_->retry_scheduler().Deliver(); }

  // When Deliver() will have something to do, as far as known now; absl::InfiniteFuture() if nothing waits.
  absl::Time NextDelivery() const {
    const std::int64_t due = core_->retry_scheduler().NextDue();
    return due == internal::kForever ? absl::InfiniteFuture() : absl::FromUnixNanos(due);
  }

  // Delivers whatever becomes due, and sleeps on the topic's clock in between: to be called on a thread of yours, not
  // by a subscribed function. Returns when the topic is closed and no message waits, except for the end of a pause:
  // those that other threads and executors are at have been delivered, too, or have failed for good. So an executor has
  // to run its tasks, or to destroy them; and of a publish that is still under way at Close() a message may be left.
  void RunDeliveries() { core_->retry_scheduler().Run(); }

  // Makes all later publishes fail with kTopicClosed. Messages that wait are still delivered.
  void Close() noexcept { core_->Close(); }
  bool closed() const noexcept { return core_->closed(); }

  // Changes the options that are given. On an error nothing changes. Takes a mutex; O(subscriptions), and O(what the
  // archive drops).
  // kInvalidParameter: an attribute is malformed, or not allowed for this kind of topic.
  absl::Status SetAttributes(const TopicAttributes& attributes) { return core_->SetAttributes(attributes); }

  // All attributes that this kind of topic has, as they are now.
  TopicAttributes attributes() const { return core_->attributes(); }

  // When the topic was created, and when it or an attribute of it was set last.
  absl::Time created_at() const { return absl::FromUnixNanos(core_->created_at()); }
  absl::Time last_modified_at() const { return absl::FromUnixNanos(core_->last_modified_at()); }

  // SNS's BeginningArchiveTime: what was published after this time can be replayed. None: the topic has no archive.
  std::optional<absl::Time> archive_begin() const {
    const std::optional<std::int64_t> begin = core_->ArchiveBegin();
    return begin ? std::optional<absl::Time>(absl::FromUnixNanos(*begin)) : std::nullopt;
  }

  // O(threads).
  TopicStatistics Statistics() const { return core_->retry_scheduler().Sums(); }

  const std::string& name() const { return core_->name(); }
  // Distinguishes the topic from all others, also from those of the same name and seed; a TopicReference compares it.
  // It differs from run to run.
  std::uint64_t identity() const { return core_->identity(); }

  // Whether both are handles of one topic.
  friend bool operator==(const Topic&, const Topic&) = default;

 protected:
  explicit Topic(std::shared_ptr<internal::TopicCore<T>> core) : core_(std::move(core)) {}

 private:
  absl::StatusOr<Subscription<T>> Add(std::unique_ptr<internal::Endpoint> endpoint, SubscribeOptions<T> options) {
    absl::StatusOr<FilterPolicy> filter = internal::CheckFilter(options.filter, core_->limits());
    if (!filter.ok()) return filter.status();
    absl::StatusOr<internal::SubscriptionConfig> config = ConfigOf(std::move(options), *endpoint);
    if (!config.ok()) return config.status();
    auto core = core_->Subscribe(std::move(endpoint), *std::move(filter), *std::move(config));
    if (!core.ok()) return core.status();
    return internal::Access::Make<Subscription<T>>(core_, *std::move(core));
  }

  absl::StatusOr<internal::SubscriptionConfig> ConfigOf(SubscribeOptions<T> options,
                                                        const internal::Endpoint& endpoint) const {
    if (options.delivery) {
      if (absl::Status status = internal::CheckDeliveryPolicy(*options.delivery); !status.ok()) return status;
    }
    if (options.max_receives_per_second) {
      absl::Status status = internal::CheckMaxReceivesPerSecond(*options.max_receives_per_second, 1, endpoint);
      if (!status.ok()) return status;
    }
    if (absl::Status status = internal::CheckMaxWaiting(options.max_waiting); !status.ok()) return status;
    if (options.executor && !endpoint.is_function()) {
      return internal::MakeError(Error::kInvalidParameter,
                                 "an executor for a queue or a stream; only functions have one");
    }
    internal::SubscriptionConfig config;
    if (options.dead_letters) {
      auto dead_letters = internal::DeadLettersOf<T>(options.dead_letters, *core_, endpoint);
      if (!dead_letters.ok()) return dead_letters.status();
      config.settings.dead_letters = *std::move(dead_letters);
    }
    config.settings.delivery = options.delivery;
    config.settings.max_receives_per_second = options.max_receives_per_second;
    config.settings.max_waiting = options.max_waiting;
    config.executor = std::move(options.executor);
    config.name = std::move(options.name);
    return config;
  }

  std::shared_ptr<internal::TopicCore<T>> core_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_TOPIC_H_
