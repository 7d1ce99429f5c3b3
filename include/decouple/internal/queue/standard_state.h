// The state of a standard queue. It has no fields but those of every queue, and no attributes of its own.

#ifndef DECOUPLE_INTERNAL_QUEUE_STANDARD_STATE_H_
#define DECOUPLE_INTERNAL_QUEUE_STANDARD_STATE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "decouple/error.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

class StandardState {
 public:
  explicit StandardState(QueueState& the_queue) : queue(the_queue) {}

  QueueState& queue;

  // Calls are not counted, and receives are not repeated.
  absl::Status BeginReceive(const ReceiveOptions& options, std::int64_t) {
    if (!options.attempt_id) return absl::OkStatus();
    return MakeError(Error::kInvalidParameterValue,
                     "a receive request attempt id for a standard queue; only FIFO queues take one");
  }
  bool RepeatAttempt(const ReceiveOptions&, std::int64_t, std::int64_t, ReceivedMessages&) { return false; }
  void RememberAttempt(const ReceiveOptions&, const ReceivedMessages&) {}
  absl::Status TakeDelete() { return absl::OkStatus(); }

  // The attributes that only one kind of queue has, or that have another meaning there.
  absl::Status CheckOwnAttributes(const QueueAttributes& attributes) const { return CheckOwnOfNew(attributes); }
  // What a new queue says to them.
  static absl::Status CheckOwnOfNew(const QueueAttributes& attributes) {
    const bool has_fifo_ones = attributes.content_based_deduplication || attributes.deduplication_scope ||
                               attributes.fifo_throughput_limit || attributes.max_calls_per_second;
    if (!has_fifo_ones) return absl::OkStatus();
    return MakeError(Error::kInvalidAttributeValue,
                     "deduplication, a throughput limit or a quota of calls for a standard queue; only FIFO queues "
                     "have them");
  }
  void ApplyOwnAttributes(const QueueAttributes&) {}
  void ReadOwnAttributes(QueueAttributes&) const {}

  // Called after a purge.
  void ForgetSends() {}
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_STATE_H_
