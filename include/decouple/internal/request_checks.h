// Whether what a caller asks for is allowed: each check says what was wrong, with which value, and what is allowed.

#ifndef DECOUPLE_INTERNAL_REQUEST_CHECKS_H_
#define DECOUPLE_INTERNAL_REQUEST_CHECKS_H_

#include <concepts>
#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/attributes.h"
#include "decouple/error.h"
#include "decouple/internal/queue_settings.h"
#include "decouple/limits.h"
#include "decouple/queue_options.h"

namespace decouple::internal {

class RequestChecks {
 public:
  explicit RequestChecks(const QueueSettings& settings) : settings_(settings) {}

  const Limits& limits() const { return settings_.limits(); }

  // `size` is that of body and attributes.
  template <typename T>
  absl::Status CheckBody(const T& body, std::size_t size) const {
    if constexpr (std::convertible_to<const T&, std::string_view>) {
      if (std::string_view(body).empty()) [[unlikely]] {
        return MakeError(Error::kMissingParameter, "an empty message body; it must have at least one character");
      }
    }
    if (size > settings_.max_message_size()) [[unlikely]] {
      return MakeError(Error::kInvalidParameterValue,
                       absl::StrCat("a message of ", size, " bytes; allowed are at most ", settings_.max_message_size(),
                                    ", attributes included"));
    }
    return absl::OkStatus();
  }

  absl::Status CheckSendOptions(const SendOptions& options) const {
    const Limits& limits = settings_.limits();
    absl::Status status;
    if (options.delay) {
      status.Update(CheckDuration(Error::kInvalidParameterValue, "delay", *options.delay, absl::ZeroDuration(),
                                  limits.max_delay));
    }
    if (!options.attributes.empty()) {
      status.Update(CheckAttributes(options.attributes, limits.max_message_attributes));
    }
    if (!options.group.empty()) status.Update(CheckGroup(options.group));
    return status;
  }

  absl::Status CheckReceiveOptions(const ReceiveOptions& options) const {
    const Limits& limits = settings_.limits();
    if (options.max_messages < 1 || options.max_messages > limits.max_messages_per_receive) [[unlikely]] {
      return CheckNumber(Error::kInvalidParameterValue, "maximum of messages", options.max_messages, std::size_t{1},
                         limits.max_messages_per_receive);
    }
    if (options.visibility_timeout) {
      if (absl::Status status = CheckVisibility(*options.visibility_timeout); !status.ok()) return status;
    }
    if (options.wait) {
      return CheckDuration(Error::kInvalidParameterValue, "wait time", *options.wait, absl::ZeroDuration(),
                           limits.max_wait);
    }
    return absl::OkStatus();
  }

  absl::Status CheckVisibility(absl::Duration timeout) const {
    return CheckDuration(Error::kInvalidParameterValue, "visibility timeout", timeout, absl::ZeroDuration(),
                         settings_.limits().max_visibility_timeout);
  }

 private:
  const QueueSettings& settings_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_REQUEST_CHECKS_H_
