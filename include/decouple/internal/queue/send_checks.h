// What both kinds of queue check of what is sent to them, by batches and by topics.

#ifndef DECOUPLE_INTERNAL_QUEUE_SEND_CHECKS_H_
#define DECOUPLE_INTERNAL_QUEUE_SEND_CHECKS_H_

#include <cstddef>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/batch.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

// What a message counts towards sizes.
inline std::size_t SizeOf(const BodyType& type, const void* body, const SendOptions& options) {
  return type.BytesOf(body) + options.attributes.bytes();
}

// Returns the error that fails a batch of sends as a whole, or one result for each entry: its error, or a result that
// is to be filled in. check_options(options) checks what only the kind can.
template <typename CheckOptions>
absl::StatusOr<SendOutcomes> CheckSendBatch(const QueueState& queue, std::span<const SendRequest> requests,
                                            CheckOptions check_options) {
  // Looks at the word that the batch reads anyway: a deleted queue is closed, too.
  if (queue.gate.closed() && queue.identity.deleted()) [[unlikely]]
    return queue.identity.DoesNotExistError();
  const Limits& limits = queue.config.limits();
  if (absl::Status status = CheckBatch(requests, limits); !status.ok()) return status;
  std::size_t all_bytes = 0;
  for (const SendRequest& request : requests) all_bytes += request.bytes;
  if (absl::Status status = CheckBatchBytes(all_bytes, limits); !status.ok()) return status;
  SendOutcomes results;
  results.reserve(requests.size());
  for (const SendRequest& request : requests) {
    absl::Status status = queue.checks.CheckBody(request.is_empty_text, request.bytes);
    status.Update(check_options(request.options));
    if (status.ok()) {
      results.emplace_back(SendResult());
    } else {
      results.emplace_back(std::move(status));
    }
  }
  DECOUPLE_ASSERT(results.size() == requests.size());
  return results;
}

// kTaken: access policy and size allow the message of a topic; anything else is the reason why it is not taken.
inline Acceptance CheckTopicDelivery(const QueueState& queue, const TopicDelivery& delivery) {
  if (!queue.senders.Allows(delivery.topic)) [[unlikely]]
    return Acceptance::kDenied;
  const bool is_empty = queue.store.body_type().IsEmptyText(delivery.body->body());
  return queue.checks.CheckBody(is_empty, delivery.body->bytes()).ok() ? Acceptance::kTaken : Acceptance::kRefused;
}

// The time of the delivery by the queue's clock.
inline std::int64_t NowOf(const QueueState& queue, const TopicDelivery& delivery) {
  return delivery.clock == &queue.clock ? delivery.now : queue.store.Now();
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_SEND_CHECKS_H_
