// Where a subscription's messages go: a queue, a queue of another type, or a function. Streams are in
// stream_subscription.h.

#ifndef DECOUPLE_INTERNAL_TOPIC_ENDPOINT_H_
#define DECOUPLE_INTERNAL_TOPIC_ENDPOINT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_core.h"
#include "decouple/internal/topic/published_body.h"
#include "decouple/message.h"
#include "decouple/publication.h"

namespace decouple::internal {

// kFailed may be better another time, kRefused will not.
enum class Outcome { kDelivered, kFailed, kRefused };

constexpr Outcome OutcomeOf(Acceptance acceptance) {
  switch (acceptance) {
    case Acceptance::kTaken:
      return Outcome::kDelivered;
    case Acceptance::kFull:
    case Acceptance::kThrottled:
      return Outcome::kFailed;
    default:
      return Outcome::kRefused;
  }
}

class Endpoint {
 public:
  Endpoint() = default;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  virtual ~Endpoint() = default;

  // `attempt` counts from 1. When it is delivered, one hold of the caller's on the body is used up.
  virtual Outcome Attempt(const TopicDelivery& published, int attempt) = 0;
  // The queue; null: it is none.
  virtual QueueBase* queue() const { return nullptr; }
  // Its code may do anything, so it is called by itself, with no lock held.
  virtual bool is_function() const { return false; }
};

template <typename T>
class QueueEndpoint final : public Endpoint {
 public:
  explicit QueueEndpoint(std::shared_ptr<QueueBase> queue) : queue_(std::move(queue)) {}

  Outcome Attempt(const TopicDelivery& published, int) override {
    return OutcomeOf(static_cast<QueueCore<T>*>(queue_.get())->Enqueue(published));
  }
  QueueBase* queue() const override { return queue_.get(); }

 private:
  const std::shared_ptr<QueueBase> queue_;
};

// Runs code of the user's. What throws counts as a failure.
template <typename Call>
Outcome InvokeToOutcome(Call call) {
#if defined(__cpp_exceptions)
  try {
    return call();
  } catch (...) {
    return Outcome::kFailed;
  }
#else
  return call();
#endif
}

template <typename T>
struct ConvertedType {
  using Type = T;
};
template <typename T>
struct ConvertedType<absl::StatusOr<T>> {
  using Type = T;
};

// Convert: const T& to U, or to absl::StatusOr<U>, whose error is a failure as a function's is.
template <typename T, typename U, typename Convert>
class ConvertingEndpoint final : public Endpoint {
 public:
  ConvertingEndpoint(std::shared_ptr<QueueBase> queue, Convert convert)
      : queue_(std::move(queue)), convert_(std::move(convert)) {}

  Outcome Attempt(const TopicDelivery& published, int) override {
    const T& body = *static_cast<const T*>(published.body->body());
    return InvokeToOutcome([&] {
      if constexpr (std::is_same_v<std::invoke_result_t<const Convert&, const T&>, U>) {
        return Deliver(published, std::invoke(std::as_const(convert_), body));
      } else {
        absl::StatusOr<U> converted = std::invoke(std::as_const(convert_), body);
        if (converted.ok()) return Deliver(published, *std::move(converted));
        return IsPermanentFailure(converted.status()) ? Outcome::kRefused : Outcome::kFailed;
      }
    });
  }
  QueueBase* queue() const override { return queue_.get(); }

 private:
  Outcome Deliver(const TopicDelivery& published, U&& body) {
    const std::size_t bytes = MessageSize(std::as_const(body)) + published.body->publication()->attributes.bytes();
    BodyReference converted(new ConvertedBody<U>(std::move(body), *published.body, bytes));
    TopicDelivery of_other_type = published;
    of_other_type.body = converted.get();
    const Outcome outcome = OutcomeOf(static_cast<QueueCore<U>*>(queue_.get())->Enqueue(of_other_type));
    if (outcome == Outcome::kDelivered) {
      converted.Release();
      published.body->RemoveReferences(1);
    }
    return outcome;
  }

  const std::shared_ptr<QueueBase> queue_;
  const Convert convert_;
};

// Function: takes const Notification<T>& or const T&, and gives nothing or an absl::Status.
template <typename T, typename Function>
class FunctionEndpoint final : public Endpoint {
 public:
  explicit FunctionEndpoint(Function function) : function_(std::move(function)) {}

  Outcome Attempt(const TopicDelivery& published, int attempt) override {
    const T& body = *static_cast<const T*>(published.body->body());
    const Outcome outcome = InvokeToOutcome([&] {
      if constexpr (std::is_invocable_v<Function&, const Notification<T>&>) {
        return Call(Access::Make<Notification<T>>(body, *published.body->publication(), attempt));
      } else {
        return Call(body);
      }
    });
    if (outcome == Outcome::kDelivered) published.body->RemoveReferences(1);
    return outcome;
  }
  bool is_function() const override { return true; }

 private:
  template <typename Argument>
  Outcome Call(const Argument& argument) {
    if constexpr (std::is_convertible_v<std::invoke_result_t<Function&, const Argument&>, absl::Status>) {
      const absl::Status status = std::invoke(function_, argument);
      if (status.ok()) return Outcome::kDelivered;
      return IsPermanentFailure(status) ? Outcome::kRefused : Outcome::kFailed;
    } else {
      static_cast<void>(std::invoke(function_, argument));
      return Outcome::kDelivered;
    }
  }

  Function function_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_ENDPOINT_H_
