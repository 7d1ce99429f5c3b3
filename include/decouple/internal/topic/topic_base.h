// A topic of either kind and any body: who is subscribed, and how a message comes to them.

#ifndef DECOUPLE_INTERNAL_TOPIC_TOPIC_BASE_H_
#define DECOUPLE_INTERNAL_TOPIC_TOPIC_BASE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/topic/retry_queue.h"
#include "decouple/internal/topic/retry_scheduler.h"
#include "decouple/internal/topic/subscription_core.h"
#include "decouple/internal/topic/subscription_set.h"
#include "decouple/limits.h"

namespace decouple::internal {

// Holds on a body to give away, added a few at a time: one atomic addition serves many queues.
class ReferenceLot {
 public:
  explicit ReferenceLot(SharedBody& body) : body_(body) {}
  ReferenceLot(const ReferenceLot&) = delete;
  ReferenceLot& operator=(const ReferenceLot&) = delete;
  ~ReferenceLot() {
    if (left_ != 0) body_.RemoveReferences(left_);
  }

  // Before each attempt, of which each uses up one at most.
  void HaveOne() {
    if (left_ != 0) return;
    left_ = next_;
    next_ = std::min<std::int64_t>(2 * next_, kMostAtOnce);
    body_.AddReferences(left_);
  }
  void GaveOne() { --left_; }

 private:
  static constexpr std::int64_t kMostAtOnce = 64;

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

  // One more owner of a new subscription; of the one that is there, if the endpoint is the same queue.
  // kInvalidParameter: it is there with other options.
  absl::StatusOr<std::shared_ptr<SubscriptionCore>> Subscribe(std::unique_ptr<Endpoint> endpoint, FilterPolicy filter,
                                                              SubscriptionConfig settings) {
    const std::lock_guard lock(subscribing_);
    if (absl::Status status = CheckEndpoint(*endpoint); !status.ok()) return status;
    if (endpoint->queue() != nullptr) {
      if (const std::optional<SubscriptionEntry> same = FindQueue(*endpoint->queue())) {
        if (!(same->filter == filter) || !IsSame(same->core->settings(), settings)) {
          return MakeError(Error::kInvalidParameter, absl::StrCat("the queue \"", endpoint->queue()->name(),
                                                                  "\" is subscribed already, with other options"));
        }
        same->core->AddOwner();
        return same->core;
      }
    }
    const QueueBase* const queue = endpoint->queue();
    auto core = std::make_shared<SubscriptionCore>(++last_number_, identity_, retry_scheduler_, std::move(endpoint),
                                                   NewRetryQueue(), std::move(settings));
    core->AddOwner();
    set_.Add({core, std::move(filter)});
    if (queue != nullptr) of_queue_.emplace(queue, core->number());
    return core;
  }

  // False: it is not there any more.
  bool Unsubscribe(std::uint64_t number) {
    return RemoveIf(number, [] { return true; });
  }

  // One owner less: the last one ends it.
  void RemoveOwner(SubscriptionCore& core) {
    RemoveIf(core.number(), [&] { return core.RemoveOwner(); });
  }

  bool SetFilter(std::uint64_t number, FilterPolicy filter) {
    const std::lock_guard lock(subscribing_);
    return set_.SetFilter(number, std::move(filter));
  }

  // In the order in which they were made.
  std::vector<SubscriptionEntry> Subscriptions() const {
    std::vector<SubscriptionEntry> all;
    const SubscriptionSet::Reader reader(set_);
    reader->ForEach([&](const SubscriptionEntry& one) { all.push_back(one); });
    std::sort(all.begin(), all.end(), [](const SubscriptionEntry& a, const SubscriptionEntry& b) {
      return a.core->number() < b.core->number();
    });
    return all;
  }

  // None: it is not there any more.
  std::optional<FilterPolicy> FilterOf(std::uint64_t number) const {
    const std::optional<SubscriptionEntry> one = FindSubscription(number);
    return one ? std::optional<FilterPolicy>(one->filter) : std::nullopt;
  }

  // ---- the topic as a whole -----------------------------------------------------------------------------------------

  // Delivers to one subscription what was published in a span of time, once more. Returns how many that were.
  virtual absl::StatusOr<std::int64_t> Replay(std::uint64_t number, absl::Time from, absl::Time to) = 0;

  void Close() {
    closed_.store(true, std::memory_order_release);
    retry_scheduler_->Finish();
  }
  bool closed() const { return closed_.load(std::memory_order_acquire); }

 protected:
  TopicBase(QueueKind kind, const Limits& limits, const std::string& name, std::uint64_t identity, Clock* clock)
      : kind_(kind),
        limits_(limits),
        name_(std::make_shared<const std::string>(name)),
        identity_(identity),
        clock_(clock != nullptr ? *clock : SystemClock::Instance()),
        clock_or_null_(ClockOrNull(clock)),
        retry_scheduler_(std::make_shared<RetryScheduler>(clock_)) {}

  // What still waits goes with the topic.
  virtual ~TopicBase() {
    for (const SubscriptionEntry& one : Subscriptions()) one.core->End();
  }

  std::int64_t Now() const { return NowNanos(clock_or_null_); }

  // None: it is not there any more.
  std::optional<SubscriptionEntry> FindSubscription(std::uint64_t number) const {
    const SubscriptionSet::Reader reader(set_);
    const SubscriptionEntry* const one = reader->Find(number);
    return one == nullptr ? std::nullopt : std::optional<SubscriptionEntry>(*one);
  }

  // Brings a message to all whose filter lets it through: deliver(core, published) as SubscriptionCore::Deliver().
  // `reader` looks for them: with it ends what was perhaps unsubscribed meanwhile, functions and queues of the user's,
  // so it must not end under a lock.
  template <typename Deliver>
  void FanOut(const TopicDelivery& published, const FilterInput& view, SubscriptionSet::Reader& reader,
              Deliver deliver) {
    LocalTopicCounts& local = retry_scheduler_->local();
    std::uint64_t delivered = 0;
    FilterCounts through;
    ReferenceLot holds(*published.body);
    const SubscriptionSnapshot& subscriptions = reader.Look(set_);
    subscriptions.ForEachMatch(
        view, [&](const SubscriptionEntry& one) __attribute__((always_inline)) {
          through.Count(one.filter, 1);
          holds.HaveOne();
          if (!deliver(*one.core, published)) return;
          holds.GaveOne();
          ++delivered;
          local.delivered_to.Add(one.core->counter(), 1);
        });
    CountFilteredOut(local, subscriptions.filters(), through, view);
    local.delivered.Add(delivered);
  }

  const QueueKind kind_;
  const Limits limits_;
  const std::shared_ptr<const std::string> name_;
  const std::uint64_t identity_;
  Clock& clock_;
  Clock* const clock_or_null_;
  const std::shared_ptr<RetryScheduler> retry_scheduler_;

 private:
  // For its subscriptions, by the topic's kind.
  virtual std::unique_ptr<RetryQueue> NewRetryQueue() const = 0;
  virtual absl::Status CheckEndpointKind(const Endpoint& endpoint) const = 0;

  absl::Status CheckEndpoint(const Endpoint& endpoint) const {
    if (absl::Status status = CheckEndpointKind(endpoint); !status.ok()) return status;
    if (endpoint.queue() == nullptr || endpoint.queue()->senders().Allows(identity_)) return absl::OkStatus();
    return MakeError(Error::kAccessDenied,
                     absl::StrCat("the queue \"", endpoint.queue()->name(), "\" does not allow the topic \"", name(),
                                  "\" to send to it; its senders policy says who may"));
  }

  // Asks under the mutex, so that nobody becomes an owner meanwhile.
  template <typename IsToGo>
  bool RemoveIf(std::uint64_t number, IsToGo is_to_go) {
    std::optional<SubscriptionEntry> removed;
    {
      const std::lock_guard lock(subscribing_);
      if (!is_to_go()) return false;
      removed = set_.Remove(number);
      if (removed) of_queue_.erase(removed->core->endpoint().queue());
    }
    if (removed) removed->core->End();
    return removed.has_value();
  }

  // Under the mutex.
  std::optional<SubscriptionEntry> FindQueue(const QueueBase& queue) const {
    const auto found = of_queue_.find(&queue);
    if (found == of_queue_.end()) return std::nullopt;
    return FindSubscription(found->second);
  }

  static bool IsSame(const SubscriptionConfig& a, const SubscriptionConfig& b) {
    const auto queue = [](const std::shared_ptr<Endpoint>& endpoint) {
      return endpoint == nullptr ? nullptr : endpoint->queue();
    };
    return a.name == b.name && a.delivery == b.delivery && a.max_waiting == b.max_waiting &&
           queue(a.dead_letters) == queue(b.dead_letters);
  }

  static void CountFilteredOut(LocalTopicCounts& local, const FilterCounts& all, const FilterCounts& through,
                               const FilterInput& view) {
    const auto by_attributes = static_cast<std::uint64_t>(all.by_attributes - through.by_attributes);
    const auto by_body = static_cast<std::uint64_t>(all.by_body - through.by_body);
    if (by_attributes != 0) {
      if (!view.has_attributes()) {
        local.filtered_without_attributes.Add(by_attributes);
      } else if (view.has_malformed_attribute()) {
        local.filtered_by_invalid_attributes.Add(by_attributes);
      } else {
        local.filtered_by_attributes.Add(by_attributes);
      }
    }
    if (by_body != 0)
      (view.has_malformed_body() ? local.filtered_by_invalid_body : local.filtered_by_body).Add(by_body);
  }

  SubscriptionSet set_;
  std::mutex subscribing_;
  // Both under the mutex.
  std::uint64_t last_number_ = 0;
  absl::flat_hash_map<const QueueBase*, std::uint64_t> of_queue_;  // the subscription of a queue
  std::atomic<bool> closed_{false};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_TOPIC_BASE_H_
