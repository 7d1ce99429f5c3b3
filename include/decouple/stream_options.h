// What a stream can be told when it is created, and with a put.
//
//   auto clicks = Stream<Click>::Create({.shards = 4, .retention = absl::Hours(48)});
//   clicks->Put("user-1", Click{"/"}, {.explicit_hash_key = HashKey(0)});
//
// Names, ranges and defaults are Kinesis's; sizes and durations can be lifted by `limits`. Plain values.

#ifndef DECOUPLE_STREAM_OPTIONS_H_
#define DECOUPLE_STREAM_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/batch.h"
#include "decouple/clock.h"
#include "decouple/hash_key.h"
#include "decouple/limits.h"
#include "decouple/message.h"
#include "decouple/shard.h"

namespace decouple {

// How much a stream takes and gives in a second.
enum class CapacityMode {
  // As much as there is.
  kUnlimited,
  // Each shard takes 1 MiB and 1 000 records, and gives 2 MiB and 5 reads, all its readers together.
  kProvisioned,
  // The stream takes 4 MiB and 4 000 records, or twice the most of any minute of the last 30 days if that is more, and
  // gives twice the bytes that it takes; each shard gives 5 reads.
  kOnDemand,
};

struct StreamOptions {
  // How many it begins with, of equal ranges: at least 1.
  std::size_t shards = 1;
  // How long records stay: 24 … 8 760 h.
  absl::Duration retention = absl::Hours(24);
  // Ours: how many bytes of records a shard keeps. Beyond that its oldest go, some hundred or thousand at a time.
  std::size_t retained_bytes_per_shard = std::numeric_limits<std::size_t>::max();
  // Of one record with its key, in bytes: up to 10 MiB.
  std::size_t max_record_size = 1'048'576;
  CapacityMode capacity_mode = CapacityMode::kUnlimited;
  PartitionHash partition_hash = PartitionHash::kMd5;

  Limits limits = Limits::Service();
  // For those who list streams.
  std::string name = {};
  // Must outlive the stream. Null: the system's.
  Clock* clock = nullptr;
};

struct PutOptions {
  // Overrides the hash of the partition key.
  std::optional<HashKey> explicit_hash_key = std::nullopt;
  // The number that the previous put of this key gave: this record's number is greater. Puts that wait for one another
  // are in order anyhow, so it only checks that the number is one that the stream has given.
  std::optional<SequenceNumber> sequence_number_for_ordering = std::nullopt;
};

struct PutResult {
  ShardId shard_id;
  SequenceNumber sequence_number;
};

template <typename T>
struct PutBatchEntry {
  std::string partition_key;
  T body;
  PutOptions options = {};
};

using PutBatchResults = BatchResults<absl::StatusOr<PutResult>>;

}  // namespace decouple

#endif  // DECOUPLE_STREAM_OPTIONS_H_
