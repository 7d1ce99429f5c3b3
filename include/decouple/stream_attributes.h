// What a stream says of itself: Kinesis's DescribeStreamSummary.
//
//   const decouple::StreamAttributes now = clicks.attributes();
//   std::cout << now.name << " keeps records for " << now.retention << " in " << now.open_shards << " shards\n";
//
// Plain values.

#ifndef DECOUPLE_STREAM_ATTRIBUTES_H_
#define DECOUPLE_STREAM_ATTRIBUTES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "decouple/hash_key.h"
#include "decouple/stream_options.h"

namespace decouple::inline v0_1 {

struct StreamAttributes {
  std::string name = {};
  std::uint64_t incarnation = 0;
  absl::Time created_at = {};
  bool closed = false;
  std::size_t open_shards = 0;
  std::size_t registered_consumers = 0;
  absl::Duration retention = {};
  CapacityMode capacity_mode = CapacityMode::kUnlimited;
  // What the stream takes in a second at present, all its shards together; none in the mode kUnlimited.
  std::optional<std::int64_t> write_bytes_per_second = std::nullopt;
  std::optional<std::int64_t> write_records_per_second = std::nullopt;
  // As in StreamOptions.
  std::size_t max_record_size = 0;
  std::size_t retained_bytes_per_shard = 0;
  PartitionHash partition_hash = PartitionHash::kMd5;

  friend bool operator==(const StreamAttributes&, const StreamAttributes&) = default;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_STREAM_ATTRIBUTES_H_
