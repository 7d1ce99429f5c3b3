// Where a subscription's messages go: a queue, a queue of another body type, or a function. The endpoint for streams is
// in decouple/stream_subscription.h.

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
#include "decouple/internal/base/call_guard.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/topic/published_body.h"
#include "decouple/message.h"
#include "decouple/publication.h"

namespace decouple::inline v0_1::internal {

// The result of an attempt. kFailed is worth a retry, kRefused is not.
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

  // `attempt` counts from 1. kDelivered consumes one of the caller's references on the body; no other outcome does.
  // An exception of user code does not leave it: the attempt is kFailed.
  virtual Outcome Attempt(const TopicDelivery& delivery, int attempt) = 0;
  // Null if the endpoint is no queue.
  virtual QueueBase* queue() const { return nullptr; }
  // A function's code may do anything, so it is called by one thread at a time, with no lock held.
  virtual bool is_function() const { return false; }
};

class QueueEndpoint final : public Endpoint {
 public:
  explicit QueueEndpoint(std::shared_ptr<QueueBase> queue) : queue_(std::move(queue)) {}

  Outcome Attempt(const TopicDelivery& delivery, int) override { return OutcomeOf(queue_->Enqueue(delivery)); }
  QueueBase* queue() const override { return queue_.get(); }

 private:
  const std::shared_ptr<QueueBase> queue_;
};

// Calls code of the user's that gives an Outcome; an exception is kFailed.
template <typename Call>
Outcome InvokeToOutcome(Call call) {
  Outcome outcome = Outcome::kFailed;
  InvokeToStatus([&] { outcome = call(); }).IgnoreError();  // after an exception `outcome` is still kFailed
  return outcome;
}

template <typename T>
struct ConvertedType {
  using Type = T;
};
template <typename T>
struct ConvertedType<absl::StatusOr<T>> {
  using Type = T;
};

// Convert: from const T& to U, or to absl::StatusOr<U>, whose error fails the delivery as a function's does.
template <typename T, typename U, typename Convert>
class ConvertingEndpoint final : public Endpoint {
 public:
  ConvertingEndpoint(std::shared_ptr<QueueBase> queue, Convert convert)
      : queue_(std::move(queue)), convert_(std::move(convert)) {}

  Outcome Attempt(const TopicDelivery& delivery, int) override {
    const T& body = *static_cast<const T*>(delivery.body->body());
    return InvokeToOutcome([&] {
      if constexpr (std::is_same_v<std::invoke_result_t<const Convert&, const T&>, U>) {
        return Deliver(delivery, std::invoke(std::as_const(convert_), body));
      } else {
        absl::StatusOr<U> converted = std::invoke(std::as_const(convert_), body);
        if (converted.ok()) return Deliver(delivery, *std::move(converted));
        return IsPermanentFailure(converted.status()) ? Outcome::kRefused : Outcome::kFailed;
      }
    });
  }
  QueueBase* queue() const override { return queue_.get(); }

 private:
  Outcome Deliver(const TopicDelivery& delivery, U&& body) {
    const std::size_t bytes = MessageSize(std::as_const(body)) + delivery.body->publication()->attributes.bytes();
    BodyReference converted(new ConvertedBody<U>(std::move(body), *delivery.body, bytes));
    TopicDelivery of_other_type = delivery;
    of_other_type.body = converted.get();
    const Outcome outcome = OutcomeOf(queue_->Enqueue(of_other_type));
    if (outcome == Outcome::kDelivered) {
      converted.Release();
      delivery.body->RemoveReferences(1);
    }
    return outcome;
  }

  const std::shared_ptr<QueueBase> queue_;
  const Convert convert_;
};

// Whether a class has an operator() for just this argument, perhaps by a template, and not by a conversion of it.
template <typename Function, typename Argument, typename Result>
concept HasOperatorFor = requires {
  static_cast<Result (Function::*)(const Argument&) const>(&Function::operator());
}
|| requires { static_cast<Result (Function::*)(const Argument&)>(&Function::operator()); }
|| requires { static_cast<Result (Function::*)(Argument) const>(&Function::operator()); }
|| requires { static_cast<Result (Function::*)(Argument)>(&Function::operator()); };

template <typename Function>
struct IsReference : std::false_type {};
template <typename Function>
struct IsReference<std::reference_wrapper<Function>> : std::true_type {};

// Whether a function that takes a const T& or a const Notification<T>& is called with the body. If a notification would
// only do by a conversion, as for a function of a const std::any&, the body comes first. A lambda of `const auto&` gets
// the notification: whether the body would do, too, cannot be asked without compiling the lambda for the body.
// std::ref() and std::bind() have such a template, too, and stand for what is behind it.
template <typename T, typename Function>
constexpr bool TakesBody() {
  using Message = Notification<T>;
  if constexpr (IsReference<Function>::value) {
    return TakesBody<T, typename Function::type>();
  } else if constexpr (std::is_invocable_v<Function&, const Message&>) {
    using Result = std::invoke_result_t<Function&, const Message&>;
    constexpr bool is_bound = std::is_bind_expression_v<Function> && std::is_convertible_v<const Message&, T>;
    if constexpr (!is_bound && HasOperatorFor<std::remove_const_t<Function>, Message, Result>) {
      return false;
    } else {
      return std::is_invocable_v<Function&, const T&>;
    }
  } else {
    return true;
  }
}

// Function: takes a const Notification<T>& or a const T&, and returns nothing or an absl::Status.
template <typename T, typename Function>
class FunctionEndpoint final : public Endpoint {
 public:
  explicit FunctionEndpoint(Function function) : function_(std::move(function)) {}

  Outcome Attempt(const TopicDelivery& delivery, int attempt) override {
    const T& body = *static_cast<const T*>(delivery.body->body());
    const Outcome outcome = InvokeToOutcome([&] {
      if constexpr (TakesBody<T, Function>()) {
        return Call(body);
      } else {
        return Call(Access::Make<Notification<T>>(body, *delivery.body->publication(), attempt));
      }
    });
    if (outcome == Outcome::kDelivered) delivery.body->RemoveReferences(1);
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

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_ENDPOINT_H_
