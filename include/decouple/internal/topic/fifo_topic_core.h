// A FIFO topic: accepts each deduplication id once, and brings the messages of a group to every queue in one order.
//
// Lock order of a publish: the shard of its deduplication id, then the shard of its group (32 of each). While both are
// held: the archive's mutex, then the mutexes of the subscriptions one after the other; under a subscription's, the
// locks of its queue. The only user code that runs under them: conversions to queues of another type, what a filter
// reads, and destructors of bodies that a queue finds expired.

#ifndef DECOUPLE_INTERNAL_TOPIC_FIFO_TOPIC_CORE_H_
#define DECOUPLE_INTERNAL_TOPIC_FIFO_TOPIC_CORE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/content_hash.h"
#include "decouple/error.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/range_checks.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/fifo/deduplication.h"
#include "decouple/internal/fifo/ordering_keys.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/topic/endpoint.h"
#include "decouple/internal/topic/published_body.h"
#include "decouple/internal/topic/retry_queue.h"
#include "decouple/internal/topic/subscription_core.h"
#include "decouple/internal/topic/subscription_set.h"
#include "decouple/internal/topic/topic_archive.h"
#include "decouple/internal/topic/topic_core.h"
#include "decouple/message.h"
#include "decouple/publication.h"
#include "decouple/topic_options.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class FifoTopicCore final : public TopicCore<T> {
  using Base = TopicCore<T>;

 public:
  // Requires: `options` have been checked.
  explicit FifoTopicCore(const FifoTopicOptions& options)
      : Base(QueueKind::kFifo, options.limits, options.name, options.seed, options.clock),
        is_content_based_(options.content_based_deduplication) {
    deduplication_.SetScope(options.deduplication_scope, this->Now());
    if (options.archive_retention) SetArchiveRetention(*options.archive_retention);
  }

  absl::StatusOr<PublishResult> Publish(T&& body, PublishOptions&& options) override {
    if (absl::Status status = Check(body, options); !status.ok()) return status;
    return PublishChecked(std::move(body), std::move(options));
  }

  absl::Status Check(const T& body, const PublishOptions& options) const override {
    if (absl::Status status = this->CheckPublish(body, options); !status.ok()) return status;
    return CheckOrderingKeys(options, !is_content_based_.load(std::memory_order_relaxed), kOrderingKeysOfTopic);
  }

  PublishResult PublishChecked(T&& body, PublishOptions&& options) override {
    if (!options.deduplication_id) {
      if constexpr (HasContent<T>) options.deduplication_id = ContentHashOf(std::as_const(body));
    }
    const std::size_t size = Base::SizeOf(body, options);
    auto* const published = new PublishedBody<T>(std::move(body), this->PublicationOf(std::move(options)), size);
    const BodyReference reference(published);  // destroyed after the locks are released
    SubscriptionSet::Reader reader;            // likewise
    const Publication& publication = *published->publication();
    LocalTopicCounts& local = this->retry_scheduler_->local();
    const std::string_view group = publication.group;
    const std::string_view id = publication.deduplication_id;
    std::uint64_t number = 0;
    bool is_new = false;
    {
      Deduplication::DeduplicationGuard guard(deduplication_, deduplication_.Prefetch(group, id), group, id);
      const std::int64_t now = this->Now();
      is_new = guard.TryRemember(now, number);
      if (is_new) {
        number = PublishInGroup(*published, now, reader);
        guard.Succeed(number);
      }
    }
    local.published.Add(1);
    local.bytes.Add(size);
    if (!is_new) local.duplicates.Add(1);
    this->retry_scheduler_->RunSomeRetries(this->Now());
    return PublishResult{MessageId(this->message_identity_.value(), number), SequenceNumberOf(number)};
  }

  absl::StatusOr<std::int64_t> Replay(std::uint64_t number, absl::Time from, absl::Time to) override {
    if (archive_.retention() == 0) {
      return MakeError(Error::kInvalidParameter, "replay of a topic without an archive");
    }
    if (from >= to) {
      return MakeError(Error::kInvalidParameter,
                       absl::StrCat("replay from ", absl::FormatTime(from), " to ", absl::FormatTime(to),
                                    "; the end must be after the beginning"));
    }
    const std::optional<SubscriptionEntry> entry = this->FindSubscription(number);
    if (!entry) return MakeError(Error::kNotFound, "the subscription has ended");
    const std::int64_t now = this->Now();
    std::vector<BodyReference> replayed;
    for (BodyReference& body : archive_.Between(ToNanos(from), ToNanos(to), now)) {
      const T& content = *static_cast<const T*>(body->body());
      if (!entry->filter.Matches(body->publication()->attributes, content)) continue;
      replayed.push_back(std::move(body));
    }
    const auto count = static_cast<std::int64_t>(replayed.size());
    entry->core->EnqueueReplayed(std::move(replayed), now);
    this->retry_scheduler_->RunSomeRetries(now);
    return count;
  }

  TopicAttributes attributes() const override {
    return {.content_based_deduplication = is_content_based_.load(std::memory_order_relaxed),
            .deduplication_scope = deduplication_.scope(),
            .archive_retention = absl::Nanoseconds(archive_.retention())};
  }

  std::optional<std::int64_t> ArchiveBegin() const override { return archive_.Begin(this->Now()); }

  static absl::Status CheckContentBased(bool is_content_based) {
    if (!is_content_based || HasContent<T>) return absl::OkStatus();
    return MakeError(Error::kInvalidParameter,
                     "content-based deduplication of bodies without a content; see content_hash.h");
  }

  static absl::Status CheckArchiveRetention(absl::Duration retention) {
    return CheckDuration(Error::kInvalidParameter, "archive retention", retention, absl::Hours(24),
                         absl::Hours(365 * 24));  // SNS
  }

 private:
  static constexpr std::size_t kShards = 32;

  absl::Status CheckTopicAttributes(const TopicAttributes& attributes) const override {
    if (attributes.delivery) {
      return MakeError(Error::kInvalidParameter,
                       "a delivery policy of functions for a FIFO topic; it takes queues and streams only");
    }
    if (attributes.content_based_deduplication) {
      absl::Status status = CheckContentBased(*attributes.content_based_deduplication);
      if (!status.ok()) return status;
    }
    if (!attributes.archive_retention || *attributes.archive_retention == absl::ZeroDuration()) return absl::OkStatus();
    return CheckArchiveRetention(*attributes.archive_retention);
  }

  void ApplyOwnAttributes(const TopicAttributes& attributes) override {
    if (attributes.content_based_deduplication) {
      is_content_based_.store(*attributes.content_based_deduplication, std::memory_order_relaxed);  // for later calls
    }
    if (attributes.deduplication_scope) deduplication_.SetScope(*attributes.deduplication_scope, this->Now());
    if (attributes.archive_retention) SetArchiveRetention(*attributes.archive_retention);
  }

  void SetArchiveRetention(absl::Duration retention) {
    // What is dropped is destroyed here, with no lock held.
    static_cast<void>(archive_.SetRetention(absl::ToInt64Nanoseconds(retention), this->Now()));
  }

  std::uint64_t PublishInGroup(PublishedBody<T>& published, std::int64_t now, SubscriptionSet::Reader& reader) {
    const MutexLock lock(group_mutexes_[absl::HashOf(published.publication()->group) % kShards]);
    // Relaxed: numbers need only ascend within a group, and its mutex sees to that.
    const std::uint64_t number = published_.fetch_add(1, std::memory_order_relaxed);
    published.Complete(MessageId(this->message_identity_.value(), number), SequenceNumberOf(number),
                       absl::FromUnixNanos(now));
    // Archived before the subscriptions are read: a subscription made meanwhile that is replayed afterwards gets the
    // message from the fan-out or from the archive.
    if (archive_.retention() != 0) archive_.Add(BodyReference::On(published), now);
    this->FanOut(this->TopicDeliveryOf(published, now), Base::FilterInputOf(published), reader,
                 [](SubscriptionCore& subscription, const TopicDelivery& delivery) {
                   return subscription.DeliverInOrder(delivery);
                 });
    return number;
  }

  // Sequence numbers grow in the same steps as those of a FIFO queue.
  static SequenceNumber SequenceNumberOf(std::uint64_t number) { return SequenceNumber((number + 1) * 256); }

  static std::int64_t ToNanos(absl::Time time) {
    if (time == absl::InfinitePast()) return std::numeric_limits<std::int64_t>::min();
    return time == absl::InfiniteFuture() ? kForever : absl::ToUnixNanos(time);
  }

  std::unique_ptr<RetryQueue> NewRetryQueue() const override { return std::make_unique<OrderedRetryQueue>(); }

  absl::Status CheckEndpointKind(const Endpoint& endpoint) const override {
    if (!endpoint.is_function()) return absl::OkStatus();
    return MakeError(Error::kInvalidParameter, "a function for a FIFO topic; it takes queues and streams");
  }

  std::atomic<bool> is_content_based_;
  Deduplication deduplication_;
  TopicArchive archive_;
  std::array<Mutex, kShards> group_mutexes_;  // by the hash of the group
  std::atomic<std::uint64_t> published_{0};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_FIFO_TOPIC_CORE_H_
