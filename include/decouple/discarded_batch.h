// The records that a consumer group has given up, as it was told to: what its on-failure destination gets.
//
//   auto discarded = decouple::StandardQueue<decouple::DiscardedBatch<Click>>::Create({}).value();
//   auto group = decouple::ConsumerGroup<Click>::Create(
//       clicks, {.name = "billing", .maximum_retry_attempts = 3, .bisect_batch_on_function_error = true}, discarded);
//   …
//   for (auto& delivery : discarded.Receive({}).value()) {
//     for (const auto& record : delivery.body().records) Log(record.partition_key(), delivery.body().error);
//   }
//
// It has what Lambda's event source mappings send to an on-failure destination, and the records themselves, whose
// memory it keeps, also when they expire in the stream. Plain values.

#ifndef DECOUPLE_DISCARDED_BATCH_H_
#define DECOUPLE_DISCARDED_BATCH_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "decouple/record_batch.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1 {

// Lambda's names for it.
enum class DiscardCondition {
  kRetryAttemptsExhausted,  // the processor failed once more than ConsumerGroupOptions::maximum_retry_attempts
  kRecordAgeExceeded,       // the records are older than ConsumerGroupOptions::maximum_record_age
};

template <typename T>
struct DiscardedBatch {
  DiscardCondition condition = DiscardCondition::kRetryAttemptsExhausted;
  // How often the processor got the batch, as it is here; 0 if never.
  std::size_t approximate_invoke_count = 0;
  // How the processor failed last; OK if it was not called.
  absl::Status error = absl::OkStatus();
  std::string stream = {};
  std::string group = {};
  ShardId shard_id = ShardId();
  absl::Time discarded_at = absl::InfinitePast();
  // Never empty.
  RecordBatch<T> records = {};
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_DISCARDED_BATCH_H_
