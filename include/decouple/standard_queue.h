// A queue hands each message to one receiver at a time and keeps it until that receiver deletes it.
//
//   decouple::StandardQueue<Job> jobs;
//   jobs.Send(Job{"encode", "cat.mp4"}).IgnoreError();
//   for (auto& job : jobs.Receive({.wait = absl::Seconds(20)}).value()) {
//     if (Encode(job.body()).ok()) job.Delete().IgnoreError();  // else it is visible again after 30 s
//   }
//
// Delivery is at least once, approximately in the order of sending. A message leaves the queue when it is deleted, when
// its retention ends, by a purge, or as a dead letter; the statistics count each of these. What else a queue can do:
// queue.h.
//
// Send, Receive and Delete take no lock and, in the steady state, no memory. They cost O(messages concerned), plus now
// and then a bounded share of the work on timeouts.

#ifndef DECOUPLE_STANDARD_QUEUE_H_
#define DECOUPLE_STANDARD_QUEUE_H_

#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/batch.h"
#include "decouple/delivery.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/queue/fast_receive.h"
#include "decouple/internal/queue/fast_send.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_core.h"
#include "decouple/internal/queue/standard_kind.h"
#include "decouple/internal/queue/standard_receiver.h"
#include "decouple/internal/queue/standard_sender.h"
#include "decouple/internal/queue/standard_state.h"
#include "decouple/queue.h"
#include "decouple/queue_kind.h"
#include "decouple/queue_options.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1 {

template <typename T>
class StandardQueue : public Queue<T> {
 public:
  // A queue with the documented defaults.
  StandardQueue() : StandardQueue(QueueOptions()) { this->SetAttributes(this->AttributesOf({})).IgnoreError(); }

  // kInvalidAttributeValue: an option is out of its range, or is for FIFO queues only.
  static absl::StatusOr<StandardQueue> Create(QueueOptions options) {
    const QueueAttributes attributes = StandardQueue::AttributesOf(options);
    StandardQueue queue(std::move(options));
    if (absl::Status status = queue.SetAttributes(attributes); !status.ok()) return status;
    return queue;
  }

  // The queue that `reference` refers to, if it is a standard queue with bodies of type T.
  static std::optional<StandardQueue> From(const QueueReference& reference) {
    std::optional<Queue<T>> queue = Queue<T>::From(reference);
    if (!queue || internal::Access::Core(*queue)->kind() != QueueKind::kStandard) return std::nullopt;
    return StandardQueue(*std::move(queue));
  }

  // Same as Queue's Send(), and a short form for a message without options.
  absl::StatusOr<SendResult> Send(T&& body) noexcept {
    return internal::FastSend<T>::Send(*this->core_, std::move(body));
  }
  absl::StatusOr<SendResult> Send(const T& body) requires std::copy_constructible<T> {
    return internal::FastSend<T>::Send(*this->core_, T(body));
  }
  using Queue<T>::Send;

  // Same as Queue's SendBatch(), and a short form for up to ten messages without options.
  absl::StatusOr<SentBatch> SendBatch(std::span<T> bodies) noexcept {
    return internal::FastSend<T>::SendBatch(*this->core_, bodies);
  }
  // Same as above, for bodies in braces: SendBatch({Job{1}, Job{2}}), or values of another type that convert to bodies.
  template <std::convertible_to<T> Body, std::size_t kSize>
  absl::StatusOr<SentBatch> SendBatch(Body (&&bodies)[kSize]) {
    if constexpr (std::same_as<Body, T>) {
      return SendBatch(std::span<T>(bodies));
    } else {
      absl::InlinedVector<T, 10> converted(std::make_move_iterator(bodies), std::make_move_iterator(bodies + kSize));
      return SendBatch(std::span<T>(converted));
    }
  }
  using Queue<T>::SendBatch;

  ReceiveResult<T> Receive() noexcept {
    return internal::FastReceive<T>::Receive(*this->core_);
  }  // at most one message; the fastest form
  ReceiveResult<T> Receive(const ReceiveOptions& options) noexcept {
    return internal::FastReceive<T>::Receive(*this->core_, options);
  }

 private:
  using Core = internal::QueueCore<internal::StandardKind>;

  explicit StandardQueue(Queue<T> queue) : Queue<T>(std::move(queue)) {}
  explicit StandardQueue(QueueOptions options)
      : Queue<T>(Queue<T>::Own(
            new Core(internal::kBodyType<T>, options.limits, std::move(options.name), options.seed, options.clock))) {}
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_STANDARD_QUEUE_H_
