// The options of a consumer group, checked, and what it does with batches at which its processors fail.

#ifndef DECOUPLE_INTERNAL_GROUP_GROUP_CONFIG_H_
#define DECOUPLE_INTERNAL_GROUP_GROUP_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
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
    std::string differs;
    const auto compare = [&](const char* option, const std::string& its_own, const std::string& given) {
      if (differs.empty() && its_own != given) differs = absl::StrCat(option, " ", its_own, ", and not ", given);
    };
    compare("start", NameOf(start), NameOf(other.start));
    compare("lease_duration", DurationText(lease_duration), DurationText(other.lease_duration));
    compare("max_records", absl::StrCat(max_records), absl::StrCat(other.max_records));
    compare("maximum_retry_attempts", CountText(failures.max_retries), CountText(other.failures.max_retries));
    compare("bisect_batch_on_function_error", BoolText(failures.bisects), BoolText(other.failures.bisects));
    compare("maximum_record_age", DurationText(failures.max_age), DurationText(other.failures.max_age));
    compare("an on-failure destination that is", NameOf(failures.on_failure), NameOf(other.failures.on_failure));
    if (differs.empty() && failures.on_failure.queue != other.failures.on_failure.queue) {
      differs = "another queue as its on-failure destination";
    }
    if (differs.empty()) return absl::OkStatus();
    return MakeError(Error::kResourceInUse,
                     absl::StrCat("the consumer group \"", name, "\" exists with ", differs,
                                  "; allowed are the same options, or another name or checkpoint store"));
  }

  IteratorPosition start;
  std::int64_t lease_duration = 0;
  std::size_t max_records = 0;
  FailurePolicy<T> failures = {};

 private:
  static std::string NameOf(const IteratorPosition& position) {
    if (std::holds_alternative<TrimHorizon>(position)) return "TrimHorizon";
    return std::holds_alternative<Latest>(position) ? "Latest" : "AtTimestamp";
  }
  static std::string NameOf(const typename FailurePolicy<T>::Destination& destination) {
    if (destination.take == nullptr) return "none";
    return destination.queue == nullptr ? "a function" : "a queue";
  }
  // Exact, so that durations that differ read differently.
  static std::string DurationText(std::int64_t nanos) {
    return nanos == kForever ? "inf" : absl::FormatDuration(absl::Nanoseconds(nanos));
  }
  static std::string CountText(std::optional<std::size_t> count) { return count ? absl::StrCat(*count) : "none"; }
  static std::string BoolText(bool value) { return value ? "true" : "false"; }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_GROUP_CONFIG_H_
