// Record processors: what a consumer group's worker passes records to. A processor is a plain object, one for each
// shard that the worker holds, or a function.
//
//   struct Totals {
//     explicit Totals(decouple::ShardId shard);
//     // Required. May return void. A batch for which it fails or throws is passed again after a second.
//     absl::Status ProcessRecords(const decouple::RecordBatch<Click>& batch, decouple::Checkpointer& checkpointer);
//     // All optional.
//     void Initialize(decouple::ShardId shard);                         // before the first batch
//     void LeaseLost();                                                 // another worker may have the shard
//     void ShardEnded(decouple::Checkpointer& checkpointer);            // must Checkpoint(), or is called again
//     void ShutdownRequested(decouple::Checkpointer& checkpointer);     // the last chance to Checkpoint()
//   };
//
// ProcessRecords() may omit the checkpointer; then a checkpoint is made after each batch that succeeds. Without
// ShardEnded() a shard is finished when its last batch has succeeded. Names are those of the Kinesis Client Library.
//
// A processor is called by its worker's thread only, one call at a time, and is destroyed when the worker no longer
// holds the lease.

#ifndef DECOUPLE_RECORD_PROCESSOR_H_
#define DECOUPLE_RECORD_PROCESSOR_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/checkpoint_store.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/message.h"
#include "decouple/sequence_number.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1 {

namespace internal {

// Shared by the worker of a shard and the shard's checkpointers.
struct CheckpointerState {
  std::shared_ptr<LeaseTable> table;
  Clock& clock;
  HeldLease lease;
  std::uint64_t origin;                 // of the shard's sequence numbers
  std::atomic<std::uint64_t> given{0};  // the last sequence number passed to the processor; 0: none yet
  std::atomic<bool> at_end{false};      // all records of the shard have been processed
  std::atomic<bool> is_ended{false};    // the end of the shard has been saved
};

}  // namespace internal

// Records the progress in a shard: the next worker of the shard continues there. Copies may be kept and used by any
// thread at any time; they fail once the lease has gone.
class Checkpointer {
 public:
  // Makes a checkpoint at the last record that was passed to the processor; within ShardEnded(), at the end of the
  // shard. kShutdown: the worker no longer holds the lease, so another worker processes the records again. Else the
  // store's error.
  absl::Status Checkpoint() {
    if (state_->at_end.load(std::memory_order_acquire)) {
      absl::Status status = Save(ShardEnd());
      if (status.ok()) state_->is_ended.store(true, std::memory_order_release);
      return status;
    }
    const std::uint64_t given = state_->given.load(std::memory_order_acquire);
    if (given == 0) return absl::OkStatus();  // nothing was processed: the former checkpoint holds
    return Save(AfterSequenceNumber{NumberOf(given)});
  }

  // Makes a checkpoint at this record. kInvalidArgument: it is before an earlier checkpoint, was not yet passed to
  // the processor, or another shard gave it, such as a parent of this one. Other errors as above.
  absl::Status Checkpoint(SequenceNumber sequence_number) {
    const std::uint64_t given = state_->given.load(std::memory_order_acquire);
    if (internal::Access::Origin(sequence_number) != state_->origin || sequence_number.value() > given) {
      return internal::MakeError(
          Error::kInvalidArgument,
          absl::StrCat("a checkpoint at ", sequence_number.ToString(), " for ", shard_id().ToString(),
                       given == 0 ? std::string("; the processor has not been given a record yet")
                                  : absl::StrCat("; allowed are the shard's numbers up to ", NumberOf(given).ToString(),
                                                 ", the last that the processor was given")));
    }
    return Save(AfterSequenceNumber{sequence_number});
  }

  ShardId shard_id() const { return state_->lease.shard; }

 private:
  friend struct internal::Access;

  explicit Checkpointer(std::shared_ptr<internal::CheckpointerState> state) : state_(std::move(state)) {}

  SequenceNumber NumberOf(std::uint64_t value) const {
    return internal::Access::Make<SequenceNumber>(value, state_->origin);
  }
  absl::Status Save(const decouple::Checkpoint& checkpoint) {
    return state_->table->Save(state_->lease, checkpoint, state_->clock.NowNanos());
  }

  std::shared_ptr<internal::CheckpointerState> state_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_RECORD_PROCESSOR_H_
