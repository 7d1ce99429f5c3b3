// Reads one shard for a worker that holds its lease: passes batches to the processor and keeps the position.

#ifndef DECOUPLE_INTERNAL_GROUP_SHARD_READER_H_
#define DECOUPLE_INTERNAL_GROUP_SHARD_READER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "decouple/checkpoint_store.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/internal/group/processor.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/record_batch.h"
#include "decouple/record_processor.h"
#include "decouple/result.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class ShardReader {
 public:
  // Reads from `position` on.
  ShardReader(StreamCore<T>& stream, const std::shared_ptr<LeaseTable>& table, const HeldLease& lease,
              std::shared_ptr<ShardCore<T>> shard, std::uint64_t position, const ProcessorFactory<T>& make_processor)
      : stream_(stream),
        shard_(std::move(shard)),
        position_(position),
        state_(new CheckpointerState{.table = table,
                                     .clock = stream.clock(),
                                     .lease = lease,
                                     .origin = Access::Origin(shard_->NumberBefore(0))}),
        checkpointer_(Access::Make<Checkpointer>(state_)),
        processor_(make_processor(lease.shard)) {}

  const HeldLease& lease() const { return state_->lease; }
  ShardCore<T>& shard() { return *shard_; }
  Processor<T>& processor() { return *processor_; }
  Checkpointer& checkpointer() { return checkpointer_; }
  // Every record has been processed, and the shard's end has been saved as the checkpoint.
  bool is_done() const { return state_->is_ended.load(std::memory_order_acquire); }
  std::int64_t millis_behind() const { return millis_behind_; }

  // When ProcessNext() will have something to do, by what is known now; kForever: nothing.
  std::int64_t NextDue() const { return is_at_end_ || shard_->HasRecords(position_) ? retry_at_ : kForever; }

  // Passes the next batch, of at most `max_records`, to the processor. Returns the batch if that succeeded, else an
  // empty one.
  RecordBatch<T> ProcessNext(std::size_t max_records) {
    if (stream_.Now() < retry_at_) return {};
    if (is_at_end_) {
      End();
      return {};
    }
    std::uint64_t next = position_;
    Result<RecordBatch<T>> read = stream_.Read(*shard_, next, max_records, absl::ZeroDuration());
    if (!read.ok()) {  // the shard's throughput is used up
      RetryAfter(kReadAgainAfter);
      return {};
    }
    RecordBatch<T> batch = *std::move(read);
    if (!batch.empty()) {
      // A batch that failed is read again from the same position, so it does not end earlier.
      DECOUPLE_ASSERT(state_->given.load(std::memory_order_relaxed) <= batch.back().sequence_number().value());
      state_->given.store(batch.back().sequence_number().value(), std::memory_order_release);
      absl::Status status = processor_->Process(batch, checkpointer_);
      if (status.ok() && processor_->is_automatic()) status = checkpointer_.Checkpoint();
      if (!status.ok()) {
        RetryAfter(kTryAgainAfter);
        return {};
      }
    }
    DECOUPLE_ASSERT(position_ <= next);
    position_ = next;
    millis_behind_ = batch.millis_behind_latest();
    if (batch.shard_ended()) {
      is_at_end_ = true;
      End();
    }
    return batch;
  }

 private:
  // How long to wait after a failure of the processor or of the checkpoint store, and after a throttled read.
  static constexpr std::int64_t kTryAgainAfter = 1'000'000'000;
  static constexpr std::int64_t kReadAgainAfter = 200'000'000;

  void RetryAfter(std::int64_t duration) { retry_at_ = SaturatingAdd(stream_.Now(), duration); }

  void End() {
    state_->at_end.store(true, std::memory_order_release);
    if (processor_->is_told_of_end()) {
      processor_->ShardEnded(checkpointer_);
    } else {
      checkpointer_.Checkpoint().IgnoreError();  // if it fails, it is tried again, or the lease is lost
    }
    if (!is_done()) RetryAfter(kTryAgainAfter);
  }

  StreamCore<T>& stream_;
  const std::shared_ptr<ShardCore<T>> shard_;
  std::uint64_t position_;
  const std::shared_ptr<CheckpointerState> state_;
  Checkpointer checkpointer_;
  const std::unique_ptr<Processor<T>> processor_;
  std::int64_t retry_at_ = 0;
  std::int64_t millis_behind_ = 0;
  bool is_at_end_ = false;  // the processor has had every record
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_SHARD_READER_H_
