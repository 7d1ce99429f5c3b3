// Subscriptions of a topic: a Subscription owns one, a SubscriptionReference refers to one.
//
//   auto subscription = topic.Subscribe(queue, {.filter = …});      // ends with this handle, unless it is detached:
//   subscription->Detach();                                         // then it lasts as long as the topic
//   subscription->Pause();                                          // messages published meanwhile wait
//   subscription->SetFilter(Where(&Order::price) > 200).IgnoreError();
//   subscription->SetAttributes({.dead_letters = failed}).IgnoreError();   // takes what is failing already, too
//   subscription->Resume();
//
// A function that is to end its own subscription must not own it, nor keep it alive by a shared pointer: the
// subscription keeps the function, and neither would ever be freed. It holds a weak pointer to the owner:
//
//   auto own = std::make_shared<std::optional<decouple::Subscription<Order>>>();   // kept by the subscriber
//   *own = topic.Subscribe([weak = std::weak_ptr(own)](const Order& order) {
//     const auto owner = weak.lock();
//     if (owner != nullptr && IsLast(order)) owner->reset();                       // ends it; does not wait for itself
//   }).value();
//
// With an executor the function may be called before `own` is assigned: guard that by a mutex.
//
// All members of both may be called from any thread. They may also be called after the topic has gone: then they have
// no effect, and those that can fail return kNotFound, but for Unsubscribe(). Both keep the subscribed queue or
// function alive, but not the topic.

#ifndef DECOUPLE_SUBSCRIPTION_H_
#define DECOUPLE_SUBSCRIPTION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/delivery_policy.h"
#include "decouple/error.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/topic/endpoint.h"
#include "decouple/internal/topic/subscription_config.h"
#include "decouple/internal/topic/subscription_core.h"
#include "decouple/internal/topic/topic_base.h"
#include "decouple/limits.h"
#include "decouple/redrive_policy.h"
#include "decouple/topic_options.h"
#include "decouple/topic_statistics.h"

namespace decouple::inline v0_1 {

namespace internal {

// Returns the filter's policy, if it can filter messages with bodies of type T.
template <typename T>
absl::StatusOr<FilterPolicy> CheckFilter(const SubscriptionFilter<T>& filter, const Limits& limits) {
  if (!filter.policy().ok()) return filter.policy().status();
  const FilterPolicy& policy = *filter.policy();
  if (policy.looks_at_body() && !kHasReadableBody<T>) {
    return MakeError(Error::kInvalidParameter,
                     "a filter policy on the body of messages that cannot be looked into; describe the fields of the "
                     "type by DecoupleFields(), or let it be text");
  }
  if (!policy.lets_all_through()) {
    if (absl::Status status = Access::CheckSize(policy, limits); !status.ok()) return status;
  }
  return policy;
}

inline absl::Status CheckMaxWaiting(std::int64_t max_waiting) {
  if (max_waiting >= 0) return absl::OkStatus();
  return MakeError(Error::kInvalidParameter,
                   absl::StrCat("at most ", max_waiting, " messages waiting; allowed is at least 0"));
}

inline absl::Status CheckMaxReceivesPerSecond(int max_receives_per_second, int least, const Endpoint& endpoint) {
  if (!endpoint.is_function()) {
    return MakeError(Error::kInvalidParameter,
                     "a maximum of receives per second for a queue or a stream; only functions have one");
  }
  if (max_receives_per_second >= least) return absl::OkStatus();
  return MakeError(Error::kInvalidParameter, absl::StrCat("maximum of ", max_receives_per_second,
                                                          " receives per second; allowed is at least ", least));
}

// Returns the endpoint for dead letters of a subscription of `endpoint` to `topic`, if `queue` can take them.
template <typename T>
absl::StatusOr<std::shared_ptr<Endpoint>> DeadLettersOf(const QueueReference& queue, const TopicBase& topic,
                                                        const Endpoint& endpoint) {
  QueueBase& to = *Access::Core(queue);
  if (to.deleted()) return DoesNotExistError(to);
  const QueueKind kind = endpoint.queue() == nullptr ? topic.kind() : endpoint.queue()->kind();
  if (to.kind() != kind || to.body_type() != kTypeIdentity<T>) {
    return MakeError(Error::kInvalidParameter,
                     absl::StrCat("the dead-letter queue \"", to.name(), "\"; allowed is a ", NameOf(kind),
                                  " queue, as the ", endpoint.queue() == nullptr ? "topic" : "subscribed queue",
                                  " is, with the topic's type of bodies"));
  }
  if (!to.senders().Allows(topic.identity())) {
    return MakeError(Error::kAccessDenied,
                     absl::StrCat("the dead-letter queue \"", to.name(), "\" does not allow the topic \"", topic.name(),
                                  "\" to send to it"));
  }
  return std::make_shared<QueueEndpoint>(Access::Core(queue));
}

}  // namespace internal

// Refers to a subscription; so do its copies.
template <typename T>
class SubscriptionReference {
 public:
  // Replaces the filter for later publishes; a concurrent publish uses either the old filter or the new.
  // A policy parsed from {} removes it. kInvalidParameter: as for Topic::Subscribe(). kNotFound: the subscription has
  // ended.
  absl::Status SetFilter(const SubscriptionFilter<T>& filter) const { return SetAttributes({.filter = filter}); }

  // Changes the options that are given; see SubscriptionAttributes. On an error nothing changes. Takes a mutex; with a
  // filter as Topic::Subscribe() does.
  // kInvalidParameter, kAccessDenied, kQueueDoesNotExist: as for Topic::Subscribe(). kNotFound: the subscription has
  // ended.
  absl::Status SetAttributes(const SubscriptionAttributes<T>& attributes) const {
    const std::shared_ptr<internal::TopicBase> topic = topic_.lock();
    if (topic == nullptr) return Ended();
    std::optional<FilterPolicy> filter;
    if (attributes.filter) {
      absl::StatusOr<FilterPolicy> policy = internal::CheckFilter(*attributes.filter, topic->limits());
      if (!policy.ok()) return policy.status();
      filter = *std::move(policy);
    }
    absl::StatusOr<internal::SettingsChange> change = ChangeOf(attributes, *topic);
    if (!change.ok()) return change.status();
    return topic->Change(core_->number(), std::move(filter), *std::move(change)) ? absl::OkStatus() : Ended();
  }

  // All attributes, as they are now; a subscription that has ended has no filter.
  SubscriptionAttributes<T> attributes() const {
    const internal::SubscriptionSettings settings = core_->settings();
    SubscriptionAttributes<T> all;
    if (std::optional<FilterPolicy> policy = filter()) all.filter = *std::move(policy);
    all.delivery.emplace();
    if (settings.delivery) all.delivery = *settings.delivery;
    all.max_receives_per_second = settings.max_receives_per_second.value_or(0);
    all.dead_letters.emplace();
    if (settings.dead_letters != nullptr) all.dead_letters = ReferenceTo(settings.dead_letters->queue());
    all.max_waiting = settings.max_waiting;
    return all;
  }

  // SNS's EffectiveDeliveryPolicy: its own, or the one that stands in for it.
  DeliveryPolicy effective_delivery() const { return core_->settings().effective_delivery(); }

  // When it was created, and when it or an attribute of it was set last.
  absl::Time created_at() const { return absl::FromUnixNanos(core_->created_at()); }
  absl::Time last_modified_at() const { return absl::FromUnixNanos(core_->last_modified_at()); }

  // None if the subscription has ended.
  std::optional<FilterPolicy> filter() const {
    const std::shared_ptr<internal::TopicBase> topic = topic_.lock();
    return topic == nullptr ? std::nullopt : topic->FilterOf(core_->number());
  }

  // Makes messages wait, in order, until Resume(), including those that wait for a retry.
  void Pause() const { core_->Pause(); }
  // The next publish or Topic::Deliver() delivers the messages that waited in a queue's subscription.
  void Resume() const { core_->Resume(); }
  bool paused() const { return core_->is_paused(); }

  // Ends the subscription, even if it has other owners. Messages that still wait are abandoned. Returns when no other
  // thread is within the subscribed function any more, so the caller must not hold a lock that the function needs.
  // Always succeeds, as the service does, also when the subscription had ended before.
  absl::Status Unsubscribe() const {
    if (const std::shared_ptr<internal::TopicBase> topic = topic_.lock()) topic->Unsubscribe(core_->number());
    return absl::OkStatus();
  }
  bool ended() const { return core_->IsEnded(); }

  // Delivers again those messages in a FIFO topic's archive that were published within `span` and pass the filter: in
  // the order of publication, with the same ids and without others in between. Messages that are published later come
  // after them. Delivery::replayed() is true for them, and a queue takes them even if it has seen their deduplication
  // ids. Returns the number of these messages. O(archive).
  // kInvalidParameter: the topic has no archive, or the span is empty. kNotFound: the subscription has ended.
  absl::StatusOr<std::int64_t> Replay(const ReplaySpan& span = {}) const {
    const std::shared_ptr<internal::TopicBase> topic = topic_.lock();
    if (topic == nullptr) return Ended();
    return topic->Replay(core_->number(), span.from, span.to);
  }

  // How far its replays have come.
  ReplayStatus replay_status() const {
    const internal::SubscriptionCore::Replayed replayed = core_->replayed();
    ReplayStatus status{.messages = replayed.all, .messages_waiting = replayed.pending};
    if (replayed.has_begun) status.state = replayed.pending > 0 ? ReplayState::kInProgress : ReplayState::kCompleted;
    return status;
  }

  SubscriptionStatistics Statistics() const { return core_->Statistics(); }
  const std::string& name() const { return core_->name(); }
  // The subscribed queue; no queue if a function or a stream is subscribed.
  QueueReference queue() const { return ReferenceTo(core_->endpoint().queue()); }

  friend bool operator==(const SubscriptionReference& a, const SubscriptionReference& b) { return a.core_ == b.core_; }

 protected:
  friend struct internal::Access;

  SubscriptionReference(std::weak_ptr<internal::TopicBase> topic, std::shared_ptr<internal::SubscriptionCore> core)
      : topic_(std::move(topic)), core_(std::move(core)) {}

  std::weak_ptr<internal::TopicBase> topic_;
  std::shared_ptr<internal::SubscriptionCore> core_;

 private:
  [[gnu::cold]] static absl::Status Ended() {
    return internal::MakeError(Error::kNotFound, "the subscription has ended");
  }

  static QueueReference ReferenceTo(internal::QueueBase* queue) {
    return queue == nullptr ? QueueReference() : internal::Access::Make<QueueReference>(queue->shared_from_this());
  }

  // All but the filter, checked.
  absl::StatusOr<internal::SettingsChange> ChangeOf(const SubscriptionAttributes<T>& attributes,
                                                    const internal::TopicBase& topic) const {
    internal::SettingsChange change;
    if (attributes.delivery) {
      change.delivery.emplace();
      if (const auto* const policy = std::get_if<DeliveryPolicy>(&*attributes.delivery)) {
        if (absl::Status status = internal::CheckDeliveryPolicy(*policy); !status.ok()) return status;
        change.delivery = *policy;
      }
    }
    if (const std::optional<int>& most = attributes.max_receives_per_second) {
      change.max_receives_per_second.emplace();
      // 0 says that there is no maximum, as it always is for a queue.
      if (*most != 0) {
        if (absl::Status status = internal::CheckMaxReceivesPerSecond(*most, 0, core_->endpoint()); !status.ok()) {
          return status;
        }
        change.max_receives_per_second = *most;
      }
    }
    if (attributes.max_waiting) {
      if (absl::Status status = internal::CheckMaxWaiting(*attributes.max_waiting); !status.ok()) return status;
      change.max_waiting = attributes.max_waiting;
    }
    if (!attributes.dead_letters) return change;
    change.dead_letters.emplace();
    if (*attributes.dead_letters) {
      auto dead_letters = internal::DeadLettersOf<T>(*attributes.dead_letters, topic, core_->endpoint());
      if (!dead_letters.ok()) return dead_letters.status();
      change.dead_letters = *std::move(dead_letters);
    }
    return change;
  }
};

// Owns a subscription: ends it by Unsubscribe() when destroyed. If a queue was subscribed twice, the last owner ends
// it.
template <typename T>
class [[nodiscard]] Subscription : public SubscriptionReference<T> {
 public:
  Subscription(Subscription&& other) noexcept
      : SubscriptionReference<T>(other), is_owner_(std::exchange(other.is_owner_, false)) {}
  Subscription& operator=(Subscription&& other) noexcept {
    if (this != &other) {
      End();
      SubscriptionReference<T>::operator=(other);
      is_owner_ = std::exchange(other.is_owner_, false);
    }
    return *this;
  }
  ~Subscription() { End(); }

  // Makes the subscription last as long as the topic, or until Unsubscribe(), independently of its owners.
  SubscriptionReference<T> Detach() {
    is_owner_ = false;  // stays counted as an owner, so no other owner is the last
    return *this;
  }

 private:
  friend struct internal::Access;

  // Requires: the topic has counted this owner already.
  using SubscriptionReference<T>::SubscriptionReference;

  void End() {
    if (!is_owner_) return;
    if (const std::shared_ptr<internal::TopicBase> topic = this->topic_.lock()) topic->RemoveOwner(*this->core_);
  }

  bool is_owner_ = true;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_SUBSCRIPTION_H_
