// The services' error codes, attached to absl::Status.
//
//   absl::Status status = queue.Delete(receipt);
//   if (decouple::ErrorOf(status) == decouple::Error::kReceiptHandleIsInvalid) …
//   std::cerr << decouple::ErrorName(status);  // "ReceiptHandleIsInvalid"
//
// The status of every failed call of the library carries one of these codes beside the absl::StatusCode that fits best,
// and a message that says what was wrong, which value was given and what is allowed. All functions here may be called
// from any thread. Codes marked as ours are not a service's.

#ifndef DECOUPLE_ERROR_H_
#define DECOUPLE_ERROR_H_

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"

namespace decouple::inline v0_1 {

enum class Error {
  kInvalidParameterValue,         // an argument is out of its range, or the message that a receipt names is gone
  kInvalidAttributeValue,         // an option of a queue is out of its range
  kMissingParameter,              // the body is an empty string, or a message in a FIFO queue has no group
  kReceiptHandleIsInvalid,        // malformed, or of another queue
  kMessageNotInflight,            // its visibility cannot change: it is not in flight, or another receiver has it
  kOverLimit,                     // more messages in flight than the queue allows
  kPurgeQueueInProgress,          // a second purge within 60 s
  kEmptyBatchRequest,             // a batch without entries
  kTooManyEntriesInBatchRequest,  // a batch of more than 10 entries
  kBatchRequestTooLong,           // the entries together are too large
  kBatchEntryIdsNotDistinct,      // two entries with the same id
  kInvalidBatchEntryId,           // an id that is empty, too long or has a character that is not allowed
  kRequestThrottled,              // more calls in a second than the queue's options allow
  kInvalidParameter,  // an argument to a topic, a subscription, a filter policy or an endpoint is not allowed
  kAccessDenied,      // the queue does not allow the topic to send to it
  kNotFound,          // the subscription or endpoint is gone
  kEndpointDisabled,  // the endpoint is disabled
  kPlatformApplicationDisabled,    // the endpoint's application is disabled
  kInvalidArgument,                // an argument to a stream, a shard or a consumer is not allowed
  kProvisionedThroughputExceeded,  // more than the stream's capacity mode allows at present
  kExpiredIterator,                // the shard iterator was not used for five minutes
  kResourceNotFound,               // the shard or the registered consumer does not exist, or no longer
  kResourceInUse,                  // the name is taken, or the shard is subscribed to
  kLimitExceeded,                  // more registered consumers than a stream may have
  kShutdown,                       // the worker no longer holds the shard's lease
  kQueueDoesNotExist,              // the queue was deleted, or a registry has none of that name
  kQueueNameExists,                // a queue of that name has other attributes, or is of another kind or type
  kQueueDeletedRecently,           // a queue of that name was deleted less than 60 s ago
  kQueueClosed,                    // ours: sending into a closed queue, receiving from one that is closed and drained
  kQueueFull,                      // ours: the queue's capacity is used up
  kTopicClosed,                    // ours: publishing on a closed topic
  kStreamClosed,                   // ours: putting into a closed stream
};

namespace internal {

inline constexpr char kErrorPayloadUrl[] = "decouple/Error";

struct ErrorEntry {
  std::string_view name;
  absl::StatusCode code;
};

// In the order of the enumerators.
inline constexpr std::array<ErrorEntry, 32> kErrors = {{
    {"InvalidParameterValue", absl::StatusCode::kInvalidArgument},
    {"InvalidAttributeValue", absl::StatusCode::kInvalidArgument},
    {"MissingParameter", absl::StatusCode::kInvalidArgument},
    {"ReceiptHandleIsInvalid", absl::StatusCode::kInvalidArgument},
    {"MessageNotInflight", absl::StatusCode::kFailedPrecondition},
    {"OverLimit", absl::StatusCode::kResourceExhausted},
    {"PurgeQueueInProgress", absl::StatusCode::kUnavailable},
    {"EmptyBatchRequest", absl::StatusCode::kInvalidArgument},
    {"TooManyEntriesInBatchRequest", absl::StatusCode::kInvalidArgument},
    {"BatchRequestTooLong", absl::StatusCode::kInvalidArgument},
    {"BatchEntryIdsNotDistinct", absl::StatusCode::kInvalidArgument},
    {"InvalidBatchEntryId", absl::StatusCode::kInvalidArgument},
    {"RequestThrottled", absl::StatusCode::kResourceExhausted},
    {"InvalidParameter", absl::StatusCode::kInvalidArgument},
    {"AccessDenied", absl::StatusCode::kPermissionDenied},
    {"NotFound", absl::StatusCode::kNotFound},
    {"EndpointDisabled", absl::StatusCode::kFailedPrecondition},
    {"PlatformApplicationDisabled", absl::StatusCode::kFailedPrecondition},
    {"InvalidArgumentException", absl::StatusCode::kInvalidArgument},
    {"ProvisionedThroughputExceededException", absl::StatusCode::kResourceExhausted},
    {"ExpiredIteratorException", absl::StatusCode::kFailedPrecondition},
    {"ResourceNotFoundException", absl::StatusCode::kNotFound},
    {"ResourceInUseException", absl::StatusCode::kFailedPrecondition},
    {"LimitExceededException", absl::StatusCode::kResourceExhausted},
    {"ShutdownException", absl::StatusCode::kAborted},
    {"QueueDoesNotExist", absl::StatusCode::kNotFound},
    {"QueueNameExists", absl::StatusCode::kAlreadyExists},
    {"QueueDeletedRecently", absl::StatusCode::kUnavailable},
    {"QueueClosed", absl::StatusCode::kFailedPrecondition},
    {"QueueFull", absl::StatusCode::kResourceExhausted},
    {"TopicClosed", absl::StatusCode::kFailedPrecondition},
    {"StreamClosed", absl::StatusCode::kFailedPrecondition},
}};

// A status with `error` attached. Allocates. Cold, so the compiler takes each branch that leads here to be unlikely.
[[gnu::cold, gnu::noinline]] inline absl::Status MakeError(Error error, const std::string& message) {
  const ErrorEntry& entry = kErrors[static_cast<std::size_t>(error)];
  absl::Status status(entry.code, message);
  status.SetPayload(kErrorPayloadUrl, absl::Cord(std::string(entry.name)));
  return status;
}

}  // namespace internal

// The service's spelling: "ReceiptHandleIsInvalid". The text has static storage duration.
constexpr std::string_view ErrorName(Error error) { return internal::kErrors[static_cast<std::size_t>(error)].name; }

// The error that `status` carries; none for OK and for a status that does not come from this library.
inline std::optional<Error> ErrorOf(const absl::Status& status) {
  const auto payload = status.GetPayload(internal::kErrorPayloadUrl);
  if (!payload.has_value()) return std::nullopt;
  const std::string name(*payload);
  for (std::size_t i = 0; i < internal::kErrors.size(); ++i) {
    if (internal::kErrors[i].name == name) return static_cast<Error>(i);
  }
  return std::nullopt;
}

// The name of the error that `status` carries; empty for OK and for a status that does not come from this library. The
// text has static storage duration.
inline std::string_view ErrorName(const absl::Status& status) {
  const std::optional<Error> error = ErrorOf(status);
  return error ? ErrorName(*error) : std::string_view();
}

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_ERROR_H_
