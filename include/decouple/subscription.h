// Subscriptions of a topic: a Subscription owns one, a SubscriptionReference refers to one.
//
//   auto subscription = topic.Subscribe(queue, {.filter = …});      // ends with this handle, unless it is detached:
//   subscription->Detach();                                         // then it lasts as long as the topic
//   subscription->Pause();                                          // messages published meanwhile wait
//   subscription->SetFilter(Where(&Order::price) > 200).IgnoreError();
//   subscription->Resume();
//
// All members of both may be called from any thread. They may also be called after the topic has gone: then they have
// no effect, and those that can fail return kNotFound. Both keep the subscribed queue or function alive, but not the
// topic.

#ifndef DECOUPLE_SUBSCRIPTION_H_
#define DECOUPLE_SUBSCRIPTION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/filter/filter_input.h"
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

}  // namespace internal

// Refers to a subscription; so do its copies.
template <typename T>
class SubscriptionReference {
 public:
  // Replaces the filter for later publishes; a concurrent publish uses either the old filter or the new.
  // kInvalidParameter, kFilterPolicyLimitExceeded: as for Topic::Subscribe(). kNotFound: the subscription has ended.
  absl::Status SetFilter(const SubscriptionFilter<T>& filter) const {
    const std::shared_ptr<internal::TopicBase> topic = topic_.lock();
    if (topic == nullptr) return Ended();
    absl::StatusOr<FilterPolicy> policy = internal::CheckFilter(filter, topic->limits());
    if (!policy.ok()) return policy.status();
    return topic->SetFilter(core_->number(), *std::move(policy)) ? absl::OkStatus() : Ended();
  }

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
  // kNotFound: the subscription had ended before.
  absl::Status Unsubscribe() const {
    const std::shared_ptr<internal::TopicBase> topic = topic_.lock();
    return topic != nullptr && topic->Unsubscribe(core_->number()) ? absl::OkStatus() : Ended();
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

  SubscriptionStatistics Statistics() const { return core_->Statistics(); }
  const std::string& name() const { return core_->config().name; }
  // The subscribed queue; no queue if a function or a stream is subscribed.
  QueueReference queue() const {
    internal::QueueBase* const queue = core_->endpoint().queue();
    return queue == nullptr ? QueueReference() : internal::Access::Make<QueueReference>(queue->shared_from_this());
  }

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
