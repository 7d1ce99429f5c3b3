// The options of a consumer group, checked, and what it does with batches at which its processors fail.

#ifndef DECOUPLE_INTERNAL_GROUP_GROUP_CONFIG_H_
#define DECOUPLE_INTERNAL_GROUP_GROUP_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/discarded_batch.h"
#include "decouple/error.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/iterator_position.h"

namespace decouple::inline v0_1::internal {

template <typename T>
struct FailurePolicy {
  // Where discarded records go. Without a function they are only counted.
  struct Destination {
    std::function<absl::Status(DiscardedBatch<T>)> take = nullptr;
    const void* queue = nullptr;  // which queue it is, if it is one
  };

  // Whether a batch that has failed so often is discarded.
  bool IsExhausted(std::size_t failures) const { return max_retries.has_value() && failures > *max_retries; }

  std::optional<std::size_t> max_retries = std::nullopt;  // none: any number
  bool bisects = false;
  std::int64_t max_age = kForever;
  Destination on_failure = {};
};

template <typename T>
struct GroupConfig {
  // kResourceInUse: `other`, of a group of the same name, says something else. Of starting times the first counts, as
  // two callers who say "an hour ago" mean the same; functions cannot be compared, and count as the same.
  absl::Status CheckSame(const GroupConfig& other, const std::string& name) const {
    const char* differs = nullptr;
    if (start.index() != other.start.index()) differs = "start";
    if (lease_duration != other.lease_duration) differs = "lease_duration";
    if (max_records != other.max_records) differs = "max_records";
    if (failures.max_retries != other.failures.max_retries) differs = "maximum_retry_attempts";
    if (failures.bisects != other.failures.bisects) differs = "bisect_batch_on_function_error";
    if (failures.max_age != other.failures.max_age) differs = "maximum_record_age";
    if (failures.on_failure.queue != other.failures.on_failure.queue ||
        (failures.on_failure.take == nullptr) != (other.failures.on_failure.take == nullptr)) {
      differs = "on-failure destination";
    }
    if (differs == nullptr) return absl::OkStatus();
    return MakeError(Error::kResourceInUse,
                     absl::StrCat("the consumer group \"", name, "\" exists with another ", differs,
                                  "; allowed are the same options, or another name or checkpoint store"));
  }

  IteratorPosition start;
  std::int64_t lease_duration = 0;
  std::size_t max_records = 0;
  FailurePolicy<T> failures = {};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_GROUP_CONFIG_H_
