// Checks of a caller's request. Each error says what was wrong, with which value, and what is allowed.

#ifndef DECOUPLE_INTERNAL_QUEUE_REQUEST_CHECKS_H_
#define DECOUPLE_INTERNAL_QUEUE_REQUEST_CHECKS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/limits.h"
#include "decouple/message_attributes.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

class RequestChecks {
 public:
  explicit RequestChecks(const QueueConfig& config) : config_(config) {}

  const Limits& limits() const { return config_.limits(); }

  // `size`: of body and attributes together. A body is an empty text, if it is a text at all.
  absl::Status CheckBody(bool is_empty_text, std::size_t size) const {
    if (is_empty_text) [[unlikely]] {
      return MakeError(Error::kMissingParameter, "an empty message body; it must have at least one character");
    }
    if (size > config_.max_message_size()) [[unlikely]] {
      return MakeError(Error::kInvalidParameterValue,
                       absl::StrCat("a message of ", size, " bytes; allowed are at most ", config_.max_message_size(),
                                    ", attributes included"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckStandardSendOptions(const SendOptions& options) const {
    absl::Status status;
    if (options.delay) {
      status.Update(CheckDuration(Error::kInvalidParameterValue, "delay", *options.delay, absl::ZeroDuration(),
                                  config_.limits().max_delay));
    }
    status.Update(CheckAttributesAndGroup(options));
    if (options.deduplication_id) {
      status.Update(MakeError(Error::kInvalidParameterValue,
                              absl::StrCat("message deduplication id \"", *options.deduplication_id,
                                           "\" for a standard queue; only FIFO queues take one")));
    }
    return status;
  }

  // Without what CheckOrderingKeys() checks (ordering_keys.h).
  absl::Status CheckFifoSendOptions(const SendOptions& options) const {
    absl::Status status;
    if (options.delay && *options.delay != absl::ZeroDuration()) {
      status.Update(MakeError(Error::kInvalidParameterValue,
                              absl::StrCat("delay of ", absl::FormatDuration(*options.delay),
                                           " for one message; in a FIFO queue only the queue itself has a delay")));
    }
    status.Update(CheckAttributesAndGroup(options));
    if (options.deduplication_id) status.Update(CheckToken("message deduplication id", *options.deduplication_id));
    return status;
  }

  // Whether CheckReceiveOptions() finds nothing wrong, and no option but the number of messages is given.
  bool IsPlain(const ReceiveOptions& options) const {
    return options.max_messages - 1 < config_.limits().max_messages_per_receive && !options.visibility_timeout &&
           !options.wait && !options.attempt_id;
  }

  absl::Status CheckReceiveOptions(const ReceiveOptions& options) const {
    const Limits& limits = config_.limits();
    if (options.max_messages < 1 || options.max_messages > limits.max_messages_per_receive) [[unlikely]] {
      return CheckNumber(Error::kInvalidParameterValue, "maximum of messages", options.max_messages, std::size_t{1},
                         limits.max_messages_per_receive);
    }
    if (options.visibility_timeout) {
      if (absl::Status status = CheckVisibility(*options.visibility_timeout); !status.ok()) return status;
    }
    if (options.wait) {
      if (absl::Status status = CheckDuration(Error::kInvalidParameterValue, "wait time", *options.wait,
                                              absl::ZeroDuration(), limits.max_wait);
          !status.ok()) {
        return status;
      }
    }
    if (options.attempt_id) return CheckToken("receive request attempt id", *options.attempt_id);
    return absl::OkStatus();
  }

  absl::Status CheckVisibility(absl::Duration timeout) const {
    return CheckDuration(Error::kInvalidParameterValue, "visibility timeout", timeout, absl::ZeroDuration(),
                         config_.limits().max_visibility_timeout);
  }

 private:
  absl::Status CheckAttributesAndGroup(const SendOptions& options) const {
    absl::Status status;
    if (!options.attributes.empty()) {
      status.Update(CheckAttributes(options.attributes, config_.limits().max_message_attributes));
    }
    if (options.group) status.Update(CheckToken("message group", *options.group));
    return status;
  }

  const QueueConfig& config_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REQUEST_CHECKS_H_
