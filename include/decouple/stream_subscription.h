// Streams as subscribers of topics: what is published is put into the stream, and can be read any number of times.
//
//   auto kept = placed.Subscribe(decouple::IntoStream(orders, [](const Order& order) { return order.customer; }),
//                                {.filter = Where(&Order::price) > 100});
//
// The stream's records share the published bodies; nothing is copied. A record is in the stream when Publish() returns.
// If the stream's capacity mode does not allow it, the delivery is tried again, as with a full queue. A FIFO topic
// keeps the order of its groups if the records of a group have the same key.

#ifndef DECOUPLE_STREAM_SUBSCRIPTION_H_
#define DECOUPLE_STREAM_SUBSCRIPTION_H_

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/internal/topic/endpoint.h"
#include "decouple/publication.h"
#include "decouple/stream.h"

namespace decouple::inline v0_1 {

namespace internal {

template <typename T, typename KeyOf>
class StreamEndpoint final : public Endpoint {
 public:
  StreamEndpoint(std::shared_ptr<StreamCore<T>> stream, KeyOf key_of)
      : stream_(std::move(stream)), key_of_(std::move(key_of)) {}

  Outcome Attempt(const TopicDelivery& delivery, int attempt) override {
    return InvokeToOutcome([&] {
      const auto put = stream_->PutShared(Key(delivery, attempt), *delivery.body);
      if (put.ok()) return Outcome::kDelivered;
      return ErrorOf(put.status()) == Error::kProvisionedThroughputExceeded ? Outcome::kFailed : Outcome::kRefused;
    });
  }

 private:
  std::string Key(const TopicDelivery& delivery, int attempt) const {
    const T& body = *static_cast<const T*>(delivery.body->body());
    if constexpr (TakesBody<T, const KeyOf>()) {
      return std::string(std::invoke(key_of_, body));
    } else {
      return std::string(
          std::invoke(key_of_, Access::Make<Notification<T>>(body, *delivery.body->publication(), attempt)));
    }
  }

  const std::shared_ptr<StreamCore<T>> stream_;
  const KeyOf key_of_;
};

}  // namespace internal

// The argument for Topic<T>::Subscribe(). `key_of` takes a const T& or a const Notification<T>& and returns the
// record's partition key. Publishing threads call it, possibly several at a time; it must not use the topic. A key that
// the stream refuses, or a closed stream, makes the delivery fail permanently.
template <typename T, typename KeyOf>
requires(std::invocable<const KeyOf&, const T&> || std::invocable<const KeyOf&, const Notification<T>&>)  //
    std::unique_ptr<internal::StreamEndpoint<T, KeyOf>> IntoStream(const Stream<T>& stream, KeyOf key_of) {
  return std::make_unique<internal::StreamEndpoint<T, KeyOf>>(internal::Access::Core(stream), std::move(key_of));
}

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_STREAM_SUBSCRIPTION_H_
