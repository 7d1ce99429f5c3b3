// The options of a stream: for its creation, and for a single put.
//
//   auto clicks = Stream<Click>::Create({.shards = 4, .retention = absl::Hours(48)});
//   clicks->Put("user-1", Click{"/"}, {.explicit_hash_key = HashKey(0)}).IgnoreError();
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

namespace decouple::inline v0_1 {

// How much a stream accepts and returns in a second.
enum class CapacityMode {
  // Without a limit.
  kUnlimited,
  // Each shard accepts 1 MiB and 1 000 records, and returns 2 MiB in 5 reads, for all its readers together.
  kProvisioned,
  // The stream accepts 4 MiB and 4 000 records, or twice the most of any minute of the last 30 days if that is more,
  // and returns twice the bytes that it accepts; each shard allows 5 reads. As that moves, a put, Shards() or
  // Statistics() splits or merges the shards, so that each 4 MiB and 4 000 records have as many as the stream had at
  // first: with 4, as on the service, each has 1 MiB and 1 000 records.
  kOnDemand,
};

struct StreamOptions {
  // The number of shards at the beginning, with equal ranges: at least 1.
  std::size_t shards = 1;
  // How long records stay: 24 … 8 760 h.
  absl::Duration retention = absl::Hours(24);
  // Ours: the most bytes of records that a shard keeps. Beyond that its oldest records go, some hundreds or thousands
  // at a time.
  std::size_t retained_bytes_per_shard = std::numeric_limits<std::size_t>::max();
  // The most bytes of one record with its key: up to 10 MiB.
  std::size_t max_record_size = 1'048'576;
  CapacityMode capacity_mode = CapacityMode::kUnlimited;
  PartitionHash partition_hash = PartitionHash::kMd5;

  Limits limits = Limits::Service();
  // For your own use, as in lists of streams.
  std::string name = {};
  // Must outlive the stream. Null: the system clock.
  Clock* clock = nullptr;
};

struct PutOptions {
  // Used instead of the hash of the partition key.
  std::optional<HashKey> explicit_hash_key = std::nullopt;
  // The number that the previous put returned: if that was of the same key, this record gets a greater one. Puts that
  // wait for one another are in order in any case, so the stream only checks that it has given the number; one of
  // another shard is accepted.
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

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_STREAM_OPTIONS_H_
