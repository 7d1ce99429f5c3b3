// Subscriptions of a topic: one refers to a subscription (SubscriptionReference), the other owns it (Subscription).
//
//   auto subscription = topic.Subscribe(queue, {.filter = …});      // ends with this handle, unless
//   subscription->Detach();                                         // it is let go of: then it lasts as the topic does
//   subscription->Pause();                                          // what is published meanwhile waits
//   subscription->SetFilter(Where(&Order::price) > 200).IgnoreError();
//   subscription->Resume();
//
// All members of both may be called from any thread, and after the topic has gone, too: then nothing happens any more,
// and what can fail says kNotFound. They keep alive what is subscribed, the queue or the function, but not the topic.

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

namespace decouple {

namespace internal {

// The policy, if messages with bodies of type T can be filtered by it.
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

// Copies refer to the same subscription.
template <typename T>
class SubscriptionReference {
 public:
  // Takes another filter for all that is published from now on: a publish goes by the old one or by the new.
  // kInvalidParameter, kFilterPolicyLimitExceeded: as for Topic::Subscribe(). kNotFound: it has ended.
  absl::Status SetFilter(const SubscriptionFilter<T>& filter) const {
    const std::shared_ptr<internal::TopicBase> topic = topic_.lock();
    if (topic == nullptr) return Ended();
    absl::StatusOr<FilterPolicy> policy = internal::CheckFilter(filter, topic->limits());
    if (!policy.ok()) return policy.status();
    return topic->SetFilter(core_->number(), *std::move(policy)) ? absl::OkStatus() : Ended();
  }

  // None: it has ended.
  std::optional<FilterPolicy> filter() const {
    const std::shared_ptr<internal::TopicBase> topic = topic_.lock();
    return topic == nullptr ? std::nullopt : topic->FilterOf(core_->number());
  }

  // From now on messages wait, in order, until Resume(); also those that wait for a retry.
  void Pause() const { core_->Pause(); }
  // What waited in a queue's subscription is delivered by the next publish or Topic::Deliver().
  void Resume() const { core_->Resume(); }
  bool paused() const { return core_->is_paused(); }

  // Ends the subscription, whoever owns it. What still waits is abandoned. Returns when no other thread is within the
  // subscribed function any more: so it must not be called with a lock that the function needs. kNotFound: it has ended
  // before.
  absl::Status Unsubscribe() const {
    const std::shared_ptr<internal::TopicBase> topic = topic_.lock();
    return topic != nullptr && topic->Unsubscribe(core_->number()) ? absl::OkStatus() : Ended();
  }
  bool ended() const { return core_->IsEnded(); }

  // Delivers once more what a FIFO topic's archive holds of a span of time and the filter lets through, in the order of
  // publication, with the same ids and without others in between; what is published after it comes after it.
  // Delivery::replayed() says so. A queue takes it though it has had the deduplication id. Returns how many messages
  // that are. O(archive).
  // kInvalidParameter: the topic has no archive, or the span is empty. kNotFound: it has ended.
  absl::StatusOr<std::int64_t> Replay(const ReplaySpan& span = {}) const {
    const std::shared_ptr<internal::TopicBase> topic = topic_.lock();
    if (topic == nullptr) return Ended();
    return topic->Replay(core_->number(), span.from, span.to);
  }

  SubscriptionStatistics Statistics() const { return core_->Statistics(); }
  const std::string& name() const { return core_->settings().name; }
  // The subscribed queue; none if it is a function.
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

// Ends its subscription when it goes, by Unsubscribe(). Where a queue was subscribed twice, the last one does.
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

  // The subscription lasts as long as the topic, or until Unsubscribe(), whatever becomes of its owners.
  SubscriptionReference<T> Detach() {
    is_owner_ = false;  // it stays counted: nobody is the last
    return *this;
  }

 private:
  friend struct internal::Access;

  // The topic has counted one owner more.
  using SubscriptionReference<T>::SubscriptionReference;

  void End() {
    if (!is_owner_) return;
    if (const std::shared_ptr<internal::TopicBase> topic = this->topic_.lock()) topic->Disown(*this->core_);
  }

  bool is_owner_ = true;
};

}  // namespace decouple

#endif  // DECOUPLE_SUBSCRIPTION_H_
