// What a consumer group's worker hands records to, one for each shard that it has: a plain object, or a function.
//
//   struct Totals {
//     explicit Totals(decouple::ShardId shard);
//     // Needed. Nothing or an absl::Status: what fails, or throws, comes again after a second.
//     absl::Status ProcessRecords(const decouple::RecordBatch<Click>& batch, decouple::Checkpointer& checkpointer);
//     // All optional.
//     void Initialize(decouple::ShardId shard);                         // before the first batch
//     void LeaseLost();                                                 // another worker has the shard by now
//     void ShardEnded(decouple::Checkpointer& checkpointer);            // must Checkpoint(), or is asked again
//     void ShutdownRequested(decouple::Checkpointer& checkpointer);     // the last chance to Checkpoint()
//   };
//
// ProcessRecords() may leave the checkpointer out: then there is a checkpoint after each batch that succeeds. Without
// ShardEnded() a shard is done with when its last batch has succeeded. Names are those of the Kinesis Client Library.
//
// A processor is called by its worker's thread alone, one call at a time, and ends when the worker has no lease any
// more.

#ifndef DECOUPLE_RECORD_PROCESSOR_H_
#define DECOUPLE_RECORD_PROCESSOR_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/checkpoint_store.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/message.h"
#include "decouple/shard.h"

namespace decouple {

namespace internal {

// What a worker and its checkpointers of one shard share.
struct CheckpointerState {
  std::shared_ptr<LeaseTable> table;
  Clock& clock;
  HeldLease lease;
  std::atomic<std::uint64_t> given{0};  // the last sequence number
  std::atomic<bool> at_end{false};      // all records have been given, and worked off
  std::atomic<bool> is_ended{false};    // and that has been saved
};

}  // namespace internal

// Says how far a shard has been worked off: who takes it over later goes on there. Copies may be kept, and used by any
// thread at any time; when the lease has gone they fail.
class Checkpointer {
 public:
  // Up to the last record that was given to the processor; within ShardEnded() the whole shard. kShutdown: the lease
  // is not this worker's any more, so another one will do, or has done, the work again. Or the store's error.
  absl::Status Checkpoint() {
    if (state_->at_end.load(std::memory_order_acquire)) {
      absl::Status status = Save(ShardEnd());
      if (status.ok()) state_->is_ended.store(true, std::memory_order_release);
      return status;
    }
    const std::uint64_t given = state_->given.load(std::memory_order_acquire);
    if (given == 0) return absl::OkStatus();  // as it was
    return Save(AfterSequenceNumber{SequenceNumber(given)});
  }

  // Up to this record. kInvalidArgument: it is before an earlier checkpoint, or has not been given to the processor.
  absl::Status Checkpoint(SequenceNumber sequence_number) {
    const std::uint64_t given = state_->given.load(std::memory_order_acquire);
    if (sequence_number.value() == 0 || sequence_number.value() > given) {
      return internal::MakeError(
          Error::kInvalidArgument,
          absl::StrCat("a checkpoint at ", sequence_number.ToString(), "; allowed are numbers up to ",
                       SequenceNumber(given).ToString(), ", the last that the processor was given"));
    }
    return Save(AfterSequenceNumber{sequence_number});
  }

  ShardId shard_id() const { return state_->lease.shard; }

 private:
  friend struct internal::Access;

  explicit Checkpointer(std::shared_ptr<internal::CheckpointerState> state) : state_(std::move(state)) {}

  absl::Status Save(const decouple::Checkpoint& checkpoint) {
    return state_->table->Save(state_->lease, checkpoint, state_->clock.NowNanos());
  }

  std::shared_ptr<internal::CheckpointerState> state_;
};

}  // namespace decouple

#endif  // DECOUPLE_RECORD_PROCESSOR_H_
