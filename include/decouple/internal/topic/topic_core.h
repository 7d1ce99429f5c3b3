// A topic with bodies of type T: the checks of a publish, and how a standard topic publishes.

#ifndef DECOUPLE_INTERNAL_TOPIC_TOPIC_CORE_H_
#define DECOUPLE_INTERNAL_TOPIC_TOPIC_CORE_H_

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/delivery_policy.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/topic/endpoint.h"
#include "decouple/internal/topic/published_body.h"
#include "decouple/internal/topic/retry_queue.h"
#include "decouple/internal/topic/subscription_core.h"
#include "decouple/internal/topic/subscription_set.h"
#include "decouple/internal/topic/topic_base.h"
#include "decouple/limits.h"
#include "decouple/message.h"
#include "decouple/message_attributes.h"
#include "decouple/publication.h"
#include "decouple/topic_options.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class TopicCore : public TopicBase {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "decouple: a message body must be movable and destructible without throwing; mark both noexcept");

 public:
  virtual absl::StatusOr<PublishResult> Publish(T&& body, PublishOptions&& options) = 0;

  // What Publish() checks, and the rest of it. For batches, whose entries are all checked before the first is
  // published.
  virtual absl::Status Check(const T& body, const PublishOptions& options) const = 0;
  virtual PublishResult PublishChecked(T&& body, PublishOptions&& options) = 0;

  static std::size_t SizeOf(const T& body, const PublishOptions& options) {
    return MessageSize(body) + options.attributes.bytes();
  }

 protected:
  TopicCore(QueueKind kind, const Limits& limits, const std::string& name, std::uint64_t seed, Clock* clock,
            const DeliveryPolicy& default_delivery = {})
      : TopicBase(kind, limits, name, seed, clock, default_delivery) {}

  absl::Status CheckPublish(const T& body, const PublishOptions& options) const {
    if (this->closed()) return MakeError(Error::kTopicClosed, "the topic is closed; nothing can be published any more");
    if constexpr (std::convertible_to<const T&, std::string_view>) {
      if (std::string_view(body).empty()) {
        return MakeError(Error::kInvalidParameter, "an empty message; it must have at least one character");
      }
    }
    const std::size_t size = SizeOf(body, options);
    if (size > this->limits_.max_published_message_size) {
      return MakeError(Error::kInvalidParameter,
                       absl::StrCat("a message of ", size, " bytes; allowed are at most ",
                                    this->limits_.max_published_message_size, ", attributes included"));
    }
    absl::Status status;
    if (!options.subject.empty()) status.Update(CheckSubject(options.subject));
    if (!options.attributes.empty()) {
      status.Update(CheckAttributes(options.attributes, this->limits_.max_message_attributes));
    }
    if (options.group) status.Update(CheckToken("message group", *options.group));
    if (options.deduplication_id) status.Update(CheckToken("message deduplication id", *options.deduplication_id));
    return status;
  }

  Publication PublicationOf(PublishOptions&& options) const {
    return Access::Make<Publication>(std::move(options), this->name_);
  }

  // Requires: the publication of `body` is complete.
  TopicDelivery TopicDeliveryOf(SharedBody& body, std::int64_t now) const {
    const Publication& publication = *body.publication();
    return {.body = &body,
            .topic = this->identity_,
            .group = publication.group,
            .deduplication_id = publication.deduplication_id,
            .clock = &this->clock_,
            .now = now};
  }

  static FilterInput FilterInputOf(const SharedBody& body) {
    return FilterInput(body.publication()->attributes, *static_cast<const T*>(body.body()));
  }

 private:
  absl::Status CheckSubject(const std::string& subject) const {
    bool valid = subject.size() <= this->limits_.max_subject_length && subject.front() != ' ';
    for (const char c : subject) valid = valid && absl::ascii_isprint(static_cast<unsigned char>(c));
    if (valid) return absl::OkStatus();
    return MakeError(Error::kInvalidParameter,
                     absl::StrCat("subject \"", subject, "\"; allowed are 1 to ", this->limits_.max_subject_length,
                                  " printable characters of ASCII, the first of which is no space"));
  }
};

template <typename T>
class StandardTopicCore final : public TopicCore<T> {
  using Base = TopicCore<T>;

 public:
  // Requires: `options` have been checked.
  explicit StandardTopicCore(const TopicOptions& options)
      : Base(QueueKind::kStandard, options.limits, options.name, options.seed, options.clock, options.delivery) {}

  absl::StatusOr<PublishResult> Publish(T&& body, PublishOptions&& options) override {
    if (absl::Status status = Check(body, options); !status.ok()) return status;
    return PublishChecked(std::move(body), std::move(options));
  }

  absl::Status Check(const T& body, const PublishOptions& options) const override {
    absl::Status status = this->CheckPublish(body, options);
    if (options.deduplication_id) {
      status.Update(
          MakeError(Error::kInvalidParameter, absl::StrCat("message deduplication id \"", *options.deduplication_id,
                                                           "\" for a standard topic; only FIFO topics take "
                                                           "one")));
    }
    return status;
  }

  PublishResult PublishChecked(T&& body, PublishOptions&& options) override {
    const std::size_t size = Base::SizeOf(body, options);
    const std::int64_t now = this->Now();
    Publication publication = this->PublicationOf(std::move(options));
    // Relaxed: ids need only be unique.
    publication.id = MessageId(this->message_identity_.value(), published_.fetch_add(1, std::memory_order_relaxed));
    publication.published_at = absl::FromUnixNanos(now);
    const MessageId id = publication.id;
    const BodyReference published(new PublishedBody<T>(std::move(body), std::move(publication), size));
    LocalTopicCounts& local = this->retry_scheduler_->local();
    local.published.Add(1);
    local.bytes.Add(size);
    SubscriptionSet::Reader reader;
    this->FanOut(
        this->TopicDeliveryOf(*published, now), Base::FilterInputOf(*published), reader,
        [](SubscriptionCore& subscription, const TopicDelivery& delivery) { return subscription.Deliver(delivery); });
    this->retry_scheduler_->RunSomeRetries(now);
    return PublishResult{id};
  }

  absl::StatusOr<std::int64_t> Replay(std::uint64_t, absl::Time, absl::Time) override {
    return MakeError(Error::kInvalidParameter, "replay of a standard topic; only FIFO topics have an archive");
  }

  TopicAttributes attributes() const override { return {.delivery = this->default_delivery()}; }
  std::optional<std::int64_t> ArchiveBegin() const override { return std::nullopt; }

 private:
  absl::Status CheckTopicAttributes(const TopicAttributes& attributes) const override {
    if (attributes.content_based_deduplication || attributes.deduplication_scope || attributes.archive_retention) {
      return MakeError(Error::kInvalidParameter,
                       "deduplication or an archive for a standard topic; only FIFO topics have these");
    }
    return attributes.delivery ? CheckDeliveryPolicy(*attributes.delivery) : absl::OkStatus();
  }
  void ApplyOwnAttributes(const TopicAttributes&) override {}

  std::unique_ptr<RetryQueue> NewRetryQueue() const override { return std::make_unique<UnorderedRetryQueue>(); }

  absl::Status CheckEndpointKind(const Endpoint& endpoint) const override {
    if (endpoint.queue() == nullptr || endpoint.queue()->kind() == QueueKind::kStandard) return absl::OkStatus();
    return MakeError(Error::kInvalidParameter,
                     absl::StrCat("the FIFO queue \"", endpoint.queue()->name(),
                                  "\" for a standard topic; it takes standard queues, streams and functions"));
  }

  std::atomic<std::uint64_t> published_{0};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_TOPIC_CORE_H_
