// Validates a stream's options, and each put and read.

#ifndef DECOUPLE_INTERNAL_STREAM_STREAM_CHECKS_H_
#define DECOUPLE_INTERNAL_STREAM_STREAM_CHECKS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/base/range_checks.h"
#include "decouple/limits.h"
#include "decouple/message.h"
#include "decouple/stream_options.h"

namespace decouple::inline v0_1::internal {

inline absl::Status CheckStreamRetention(absl::Duration retention, const Limits& limits) {
  return CheckDuration(Error::kInvalidArgument, "retention period", retention, limits.min_stream_retention,
                       limits.max_stream_retention);
}

inline absl::Status CheckStreamOptions(const StreamOptions& options) {
  constexpr auto kError = Error::kInvalidArgument;
  constexpr auto kMost = std::numeric_limits<std::size_t>::max();
  absl::Status status = CheckNumber(kError, "number of shards", options.shards, std::size_t{1}, kMost);
  status.Update(CheckStreamRetention(options.retention, options.limits));
  // Whatever the limits say: a record's size is kept in 32 bits (record_segment.h).
  const std::size_t largest_record =
      std::min<std::size_t>(options.limits.largest_max_record_size, std::numeric_limits<std::uint32_t>::max());
  status.Update(CheckNumber(kError, "maximum record size", options.max_record_size, std::size_t{1}, largest_record));
  status.Update(
      CheckNumber(kError, "retained bytes per shard", options.retained_bytes_per_shard, std::size_t{1}, kMost));
  return status;
}

class StreamChecks {
 public:
  // `options` must outlive the checks.
  explicit StreamChecks(const StreamOptions& options) : options_(options) {}

  absl::Status CheckRecord(std::string_view key, std::size_t bytes) const {
    if (key.empty() || !IsWithin(key, options_.limits.max_partition_key_characters)) [[unlikely]] {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("partition key \"", std::string(key), "\"; allowed are 1 to ",
                                    options_.limits.max_partition_key_characters, " characters"));
    }
    if (bytes > options_.max_record_size) [[unlikely]] {
      return MakeError(Error::kInvalidArgument, absl::StrCat("a record of ", bytes, " bytes; allowed are at most ",
                                                             options_.max_record_size, ", partition key included"));
    }
    return absl::OkStatus();
  }

  template <typename T>
  absl::Status CheckPutBatch(std::span<PutBatchEntry<T>> entries) const {
    const std::size_t most = options_.limits.max_records_per_put;
    if (entries.empty() || entries.size() > most) {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("a batch of ", entries.size(), " records; allowed are 1 to ", most));
    }
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const std::size_t size = MessageSize(std::as_const(entries[i].body)) + entries[i].partition_key.size();
      if (const absl::Status status = CheckRecord(entries[i].partition_key, size); !status.ok()) {
        return MakeError(Error::kInvalidArgument,
                         absl::StrCat("record ", i, " of the batch, counted from 0: ", std::string(status.message())));
      }
      bytes += size;
    }
    if (bytes <= options_.limits.max_bytes_per_put) return absl::OkStatus();
    return MakeError(Error::kInvalidArgument, absl::StrCat("a batch of ", bytes, " bytes; allowed are at most ",
                                                           options_.limits.max_bytes_per_put, ", keys included"));
  }

  absl::Status CheckRead(std::size_t limit, absl::Duration wait) const {
    absl::Status status = CheckNumber(Error::kInvalidArgument, "number of records to read", limit, std::size_t{1},
                                      options_.limits.max_records_per_read);
    status.Update(CheckDuration(Error::kInvalidArgument, "wait", wait, absl::ZeroDuration(), absl::InfiniteDuration()));
    return status;
  }

 private:
  // Whether `text`, in UTF-8, has at most `most` characters. In a malformed sequence each byte that does not continue
  // another counts as one.
  static bool IsWithin(std::string_view text, std::size_t most) {
    if (text.size() <= most) [[likely]]
      return true;
    const auto begins_character = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character)) <= most;
  }

  const StreamOptions& options_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_STREAM_CHECKS_H_
