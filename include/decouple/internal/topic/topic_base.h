// A topic of either kind and any body type: its subscriptions, and the fan-out of a message to them.

#ifndef DECOUPLE_INTERNAL_TOPIC_TOPIC_BASE_H_
#define DECOUPLE_INTERNAL_TOPIC_TOPIC_BASE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/clock.h"
#include "decouple/delivery_policy.h"
#include "decouple/error.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/identity.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/topic/retry_queue.h"
#include "decouple/internal/topic/retry_scheduler.h"
#include "decouple/internal/topic/subscription_config.h"
#include "decouple/internal/topic/subscription_core.h"
#include "decouple/internal/topic/subscription_set.h"
#include "decouple/limits.h"
#include "decouple/topic_options.h"

namespace decouple::inline v0_1::internal {

// References on a body for the endpoints of a fan-out, added in lots of up to 64: one atomic addition serves many
// queues. Those left over are removed at the end.
class ReferenceLot {
 public:
  explicit ReferenceLot(SharedBody& body) : body_(body) {}
  ReferenceLot(const ReferenceLot&) = delete;
  ReferenceLot& operator=(const ReferenceLot&) = delete;
  ~ReferenceLot() {
    if (left_ != 0) body_.RemoveReferences(left_);
  }

  // Called before each attempt, which consumes at most one reference.
  void Reserve() {
    if (left_ != 0) return;
    left_ = next_;
    next_ = std::min<std::int64_t>(2 * next_, kMaxLot);
    body_.AddReferences(left_);
  }
  // Called after an attempt that consumed one.
  void Consume() {
    DECOUPLE_ASSERT(left_ > 0);
    --left_;
  }

 private:
  static constexpr std::int64_t kMaxLot = 64;

  SharedBody& body_;
  std::int64_t left_ = 0;
  std::int64_t next_ = 4;
};

class TopicBase : public std::enable_shared_from_this<TopicBase> {
 public:
  TopicBase(const TopicBase&) = delete;
  TopicBase& operator=(const TopicBase&) = delete;

  const std::string& name() const { return *name_; }
  std::uint64_t identity() const { return identity_; }
  QueueKind kind() const { return kind_; }
  const Limits& limits() const { return limits_; }
  RetryScheduler& retry_scheduler() { return *retry_scheduler_; }

  // ---- subscriptions ------------------------------------------------------------------------------------------------

  // Adds an owner: to a new subscription, or to the present one if the endpoint is a queue that is subscribed already.
  // kInvalidParameter: that queue is subscribed with other options.
  absl::StatusOr<std::shared_ptr<SubscriptionCore>> Subscribe(std::unique_ptr<Endpoint> endpoint, FilterPolicy filter,
                                                              SubscriptionConfig config)
      ABSL_LOCKS_EXCLUDED(subscriptions_mutex_) {
    SubscriptionSet::Former former;  // destroyed after the mutex is released
    const MutexLock lock(subscriptions_mutex_);
    if (absl::Status status = CheckEndpoint(*endpoint); !status.ok()) return status;
    if (endpoint->queue() != nullptr) {
      if (const std::optional<SubscriptionEntry> same = FindQueue(*endpoint->queue())) {
        if (!(same->filter == filter) || same->core->name() != config.name ||
            !same->core->HasSettings(config.settings)) {
          return MakeError(Error::kInvalidParameter, absl::StrCat("the queue \"", endpoint->queue()->name(),
                                                                  "\" is subscribed already, with other options"));
        }
        same->core->AddOwner();
        return same->core;
      }
    }
    const QueueBase* const queue = endpoint->queue();
    config.settings.default_delivery = endpoint->is_function() ? default_delivery_ : DeliveryPolicy::OfQueues();
    auto core = std::make_shared<SubscriptionCore>(++last_number_, identity_, retry_scheduler_, std::move(endpoint),
                                                   NewRetryQueue(), std::move(config));
    core->AddOwner();
    set_.Add({core, std::move(filter)}, former);
    if (queue != nullptr) number_of_queue_.emplace(queue, core->number());
    return core;
  }

  // False: the subscription has ended already.
  bool Unsubscribe(std::uint64_t number) ABSL_LOCKS_EXCLUDED(subscriptions_mutex_) {
    return RemoveIf(number, [] { return true; });
  }

  // Removes an owner; the subscription ends with the last one.
  void RemoveOwner(SubscriptionCore& core) ABSL_LOCKS_EXCLUDED(subscriptions_mutex_) {
    RemoveIf(core.number(), [&] { return core.RemoveOwner(); });
  }

  // Changes the filter, if one is given, and the settings. False: the subscription has ended.
  bool Change(std::uint64_t number, std::optional<FilterPolicy> filter, SettingsChange change)
      ABSL_LOCKS_EXCLUDED(subscriptions_mutex_) {
    std::optional<SubscriptionEntry> entry;  // these two are destroyed after the mutex is released
    SubscriptionSet::Former former;
    {
      const MutexLock lock(subscriptions_mutex_);
      entry = FindSubscription(number);
      if (!entry) return false;
      if (filter) set_.SetFilter(number, *std::move(filter), former);
    }
    entry->core->Change(std::move(change));  // may call an executor, so without the mutex
    return true;
  }

  // All subscriptions, in the order in which they were made.
  std::vector<SubscriptionEntry> Subscriptions() const {
    std::vector<SubscriptionEntry> all;
    const SubscriptionSet::Reader reader(set_);
    reader->ForEach([&](const SubscriptionEntry& entry) { all.push_back(entry); });
    std::sort(all.begin(), all.end(), [](const SubscriptionEntry& a, const SubscriptionEntry& b) {
      return a.core->number() < b.core->number();
    });
    return all;
  }

  // None: the subscription has ended.
  std::optional<FilterPolicy> FilterOf(std::uint64_t number) const {
    const std::optional<SubscriptionEntry> entry = FindSubscription(number);
    return entry ? std::optional<FilterPolicy>(entry->filter) : std::nullopt;
  }

  // ---- the topic as a whole -----------------------------------------------------------------------------------------

  // On an error nothing changes.
  absl::Status SetAttributes(const TopicAttributes& attributes) ABSL_LOCKS_EXCLUDED(subscriptions_mutex_) {
    if (absl::Status status = CheckTopicAttributes(attributes); !status.ok()) return status;
    ApplyOwnAttributes(attributes);
    std::vector<SubscriptionEntry> all;  // destroyed after the mutex is released
    const MutexLock lock(subscriptions_mutex_);
    if (attributes.delivery) {
      default_delivery_ = *attributes.delivery;
      all = Subscriptions();
      for (const SubscriptionEntry& entry : all) {
        if (entry.core->endpoint().is_function()) entry.core->SetDefaultDelivery(default_delivery_);
      }
    }
    last_modified_at_ = std::max(last_modified_at_, Now());
    return absl::OkStatus();
  }

  // All that SetAttributes() can set.
  virtual TopicAttributes attributes() const = 0;

  std::int64_t created_at() const { return created_at_; }
  std::int64_t last_modified_at() const ABSL_LOCKS_EXCLUDED(subscriptions_mutex_) {
    const MutexLock lock(subscriptions_mutex_);
    return last_modified_at_;
  }

  // The earliest time from which Replay() can find everything; none: there is no archive.
  virtual std::optional<std::int64_t> ArchiveBegin() const = 0;

  // Delivers to one subscription once more what was published in a span of time. Returns the number of messages.
  virtual absl::StatusOr<std::int64_t> Replay(std::uint64_t number, absl::Time from, absl::Time to) = 0;

  void Close() {
    closed_.store(true, std::memory_order_release);  // pairs with closed()
    retry_scheduler_->Finish();
  }
  bool closed() const { return closed_.load(std::memory_order_acquire); }

 protected:
  TopicBase(QueueKind kind, const Limits& limits, const std::string& name, std::uint64_t seed, Clock* clock,
            const DeliveryPolicy& default_delivery)
      : kind_(kind),
        limits_(limits),
        name_(std::make_shared<const std::string>(name)),
        message_identity_(seed, absl::StrCat("topic ", name)),
        clock_(clock != nullptr ? *clock : SystemClock::Instance()),
        clock_or_null_(ClockOrNull(clock)),
        retry_scheduler_(std::make_shared<RetryScheduler>(clock_)),
        created_at_(Now()),
        last_modified_at_(created_at_),
        default_delivery_(default_delivery) {}

  // Pending deliveries are abandoned with the topic.
  virtual ~TopicBase() {
    for (const SubscriptionEntry& entry : Subscriptions()) entry.core->End();
  }

  std::int64_t Now() const { return NowNanos(clock_or_null_); }

  DeliveryPolicy default_delivery() const ABSL_LOCKS_EXCLUDED(subscriptions_mutex_) {
    const MutexLock lock(subscriptions_mutex_);
    return default_delivery_;
  }

  // None: the subscription has ended.
  std::optional<SubscriptionEntry> FindSubscription(std::uint64_t number) const {
    const SubscriptionSet::Reader reader(set_);
    const SubscriptionEntry* const found = reader->Find(number);
    return found == nullptr ? std::nullopt : std::optional<SubscriptionEntry>(*found);
  }

  // Brings a message to all subscriptions whose filter lets it through, by deliver(core, delivery), which is
  // SubscriptionCore::Deliver() or DeliverInOrder(). `reader` reads the set and keeps alive what it read: with it,
  // subscriptions may be destroyed that have ended meanwhile, and with these functions and queues of the user's. So it
  // must not be destroyed under a lock.
  template <typename Deliver>
  void FanOut(const TopicDelivery& delivery, const FilterInput& input, SubscriptionSet::Reader& reader,
              Deliver deliver) {
    LocalTopicCounts& local = retry_scheduler_->local();
    std::uint64_t delivered = 0;
    FilterCounts through;
    ReferenceLot references(*delivery.body);
    const SubscriptionSnapshot& subscriptions = reader.Look(set_);
    subscriptions.ForEachMatch(
        input, [&](const SubscriptionEntry& entry) __attribute__((always_inline)) {
          through.Count(entry.filter, 1);
          references.Reserve();
          if (!deliver(*entry.core, delivery)) return;
          references.Consume();
          ++delivered;
          local.delivered_to.Add(entry.core->counter(), 1);
        });
    CountFilteredOut(local, subscriptions.filters(), through, input);
    local.delivered.Add(delivered);
  }

  const QueueKind kind_;
  const Limits limits_;
  const std::shared_ptr<const std::string> name_;
  // By this one others know the topic. Not by the seed, so that no later topic takes the place of this one.
  const std::uint64_t identity_ = IdentityOf(0, {});
  const Identity message_identity_;  // that of its message ids
  Clock& clock_;
  Clock* const clock_or_null_;
  const std::shared_ptr<RetryScheduler> retry_scheduler_;

 private:
  virtual absl::Status CheckTopicAttributes(const TopicAttributes& attributes) const = 0;
  // Sets what only this kind of topic has. Requires: CheckTopicAttributes() found nothing wrong with them.
  virtual void ApplyOwnAttributes(const TopicAttributes& attributes) = 0;
  // Makes the retry queue of a new subscription; its type depends on the topic's kind.
  virtual std::unique_ptr<RetryQueue> NewRetryQueue() const = 0;
  virtual absl::Status CheckEndpointKind(const Endpoint& endpoint) const = 0;

  absl::Status CheckEndpoint(const Endpoint& endpoint) const {
    if (absl::Status status = CheckEndpointKind(endpoint); !status.ok()) return status;
    if (endpoint.queue() != nullptr && endpoint.queue()->deleted()) return DoesNotExistError(*endpoint.queue());
    if (endpoint.queue() == nullptr || endpoint.queue()->senders().Allows(identity_)) return absl::OkStatus();
    return MakeError(Error::kAccessDenied,
                     absl::StrCat("the queue \"", endpoint.queue()->name(), "\" does not allow the topic \"", name(),
                                  "\" to send to it; its senders policy says who may"));
  }

  // Evaluates the condition under the mutex, so that no owner is added meanwhile. The subscription ends after the mutex
  // is released: End() may wait for a function of the user's.
  template <typename Condition>
  bool RemoveIf(std::uint64_t number, Condition condition) ABSL_LOCKS_EXCLUDED(subscriptions_mutex_) {
    std::optional<SubscriptionEntry> removed;
    SubscriptionSet::Former former;
    {
      const MutexLock lock(subscriptions_mutex_);
      if (!condition()) return false;
      removed = set_.Remove(number, former);
      if (removed) number_of_queue_.erase(removed->core->endpoint().queue());
    }
    if (removed) removed->core->End();
    return removed.has_value();
  }

  // None: the queue is not subscribed.
  std::optional<SubscriptionEntry> FindQueue(const QueueBase& queue) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(subscriptions_mutex_) {
    const auto found = number_of_queue_.find(&queue);
    if (found == number_of_queue_.end()) return std::nullopt;
    return FindSubscription(found->second);
  }

  static void CountFilteredOut(LocalTopicCounts& local, const FilterCounts& all, const FilterCounts& through,
                               const FilterInput& input) {
    const auto by_attributes = static_cast<std::uint64_t>(all.by_attributes - through.by_attributes);
    const auto by_body = static_cast<std::uint64_t>(all.by_body - through.by_body);
    if (by_attributes != 0) {
      if (!input.has_attributes()) {
        local.filtered_without_attributes.Add(by_attributes);
      } else if (input.has_malformed_attribute()) {
        local.filtered_by_invalid_attributes.Add(by_attributes);
      } else {
        local.filtered_by_attributes.Add(by_attributes);
      }
    }
    if (by_body != 0) {
      (input.has_malformed_body() ? local.filtered_by_invalid_body : local.filtered_by_body).Add(by_body);
    }
  }

  SubscriptionSet set_;  // read without a lock, changed under the mutex
  const std::int64_t created_at_;
  mutable Mutex subscriptions_mutex_;
  std::int64_t last_modified_at_ ABSL_GUARDED_BY(subscriptions_mutex_);
  // The delivery policy of functions that have none of their own.
  DeliveryPolicy default_delivery_ ABSL_GUARDED_BY(subscriptions_mutex_);
  std::uint64_t last_number_ ABSL_GUARDED_BY(subscriptions_mutex_) = 0;
  // The numbers of the queues' subscriptions.
  absl::flat_hash_map<const QueueBase*, std::uint64_t> number_of_queue_ ABSL_GUARDED_BY(subscriptions_mutex_);
  std::atomic<bool> closed_{false};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_TOPIC_BASE_H_
