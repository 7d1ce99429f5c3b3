// Record processors: what a consumer group's worker passes records to. A processor is a plain object, one for each
// shard that the worker holds, or a function.
//
//   struct Totals {
//     explicit Totals(decouple::ShardId shard);
//     // Required. May return void. A batch for which it fails or throws is passed again after a second, without the
//     // records that a checkpoint covers by then; see also ConsumerGroupOptions::maximum_retry_attempts.
//     absl::Status ProcessRecords(const decouple::RecordBatch<Click>& batch, decouple::Checkpointer& checkpointer);
//     // All optional; any may return an absl::Status or void.
//     absl::Status Initialize(const decouple::InitializationInput& input);  // before the first batch; or of a ShardId
//     void LeaseLost();                                                     // another worker may have the shard
//     void ShardEnded(decouple::Checkpointer& checkpointer);                // must Checkpoint(), or is called again
//     void ShutdownRequested(decouple::Checkpointer& checkpointer);         // the last chance to Checkpoint()
//   };
//
// ProcessRecords() may omit the checkpointer; then a checkpoint is made after each batch that succeeds. Without
// ShardEnded() a shard is finished when its last batch has succeeded. Names are those of the Kinesis Client Library.
//
// If a processor cannot be made, or Initialize() fails or throws, the lease is given back: another worker that has not
// its share takes it, or the same one a second later, which makes a new processor. No record is passed before.
//
// A processor is called by its worker's thread only, one call at a time, and is destroyed when the worker no longer
// holds the lease. A call that ends its thread (pthread_exit, cancellation) counts as one that failed.

#ifndef DECOUPLE_RECORD_PROCESSOR_H_
#define DECOUPLE_RECORD_PROCESSOR_H_

#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/checkpoint_store.h"
#include "decouple/clock.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/sequence_number.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1 {

namespace internal {

// Shared by the worker of a shard and the shard's checkpointers.
struct CheckpointerState {
  std::shared_ptr<LeaseTable> table;
  Clock& clock;
  HeldLease lease;
};

}  // namespace internal

// What a processor is told before its first batch.
struct InitializationInput {
  ShardId shard_id;
  // Where the processor begins: the checkpoint of the last worker of the shard, or the group's start.
  Checkpoint checkpoint;
  // A checkpoint that a former processor of the shard prepared and did not make: it was about to (see
  // Checkpointer::PrepareCheckpoint()). Records up to there come again.
  std::optional<Checkpoint> pending_checkpoint = std::nullopt;
};

// A checkpoint that has been announced, to be made once the work that it stands for is done. Copies may be kept and
// used by any thread at any time.
class PreparedCheckpoint {
 public:
  // Where it will be.
  const CheckpointPosition& position() const { return position_; }

  // Makes the checkpoint. Errors as those of Checkpointer::Checkpoint(SequenceNumber): it cannot be made any more if
  // the lease has gone, a later checkpoint has been made, or the processor has failed at records that it covers.
  absl::Status Checkpoint() {
    const auto* const after = std::get_if<AfterSequenceNumber>(&position_);
    if (after == nullptr && !std::holds_alternative<ShardEnd>(position_)) return absl::OkStatus();  // the group's start
    return state_->table->Save(state_->lease, after == nullptr ? std::nullopt : std::optional(after->sequence_number),
                               state_->clock);
  }

 private:
  friend class Checkpointer;

  PreparedCheckpoint(std::shared_ptr<internal::CheckpointerState> state, CheckpointPosition position)
      : state_(std::move(state)), position_(position) {}

  std::shared_ptr<internal::CheckpointerState> state_;
  CheckpointPosition position_;
};

// Records the progress in a shard: the next worker of the shard continues there. Copies may be kept and used by any
// thread at any time; they fail once the lease has gone. Checkpoints of a shard are made one at a time: a call waits
// for another one's store.
class Checkpointer {
 public:
  // Makes a checkpoint at the last record that was passed to the processor, and did not fail; within ShardEnded(), at
  // the end of the shard. Within ProcessRecords() the batch is included. If there is no such record, the former
  // checkpoint holds. kShutdown: the worker no longer holds the lease, so another worker processes the records again.
  // Else the store's error; Unknown if it threw.
  absl::Status Checkpoint() { return Save(std::nullopt); }

  // Makes a checkpoint at this record; within ShardEnded(), at the end of the shard if it is the last one.
  // kInvalidArgument: it is before an earlier checkpoint, was not yet passed to the processor, or is of another shard;
  // or the processor failed at it or at one before it, and has not been passed that again. Other errors as above.
  absl::Status Checkpoint(SequenceNumber sequence_number) { return Save(sequence_number); }

  // Announces a checkpoint where Checkpoint() would make one, and makes it when PreparedCheckpoint::Checkpoint() is
  // called. If the worker fails before, the next processor's Initialize() is told of it: so what has a commit of its
  // own, such as a file to rename, can be finished or undone. The announcement is kept in memory, not in the store.
  // Errors as above, except the store's.
  absl::StatusOr<PreparedCheckpoint> PrepareCheckpoint() { return Prepare(std::nullopt); }
  absl::StatusOr<PreparedCheckpoint> PrepareCheckpoint(SequenceNumber sequence_number) {
    return Prepare(sequence_number);
  }

  // Renews all leases of the worker for another lease duration, as a processor that takes longer must. kShutdown: the
  // worker no longer holds this shard's lease.
  absl::Status Renew() {
    const std::int64_t now = state_->clock.NowNanos();
    state_->table->Renew(state_->lease.worker, now);
    return state_->table->CheckHeld(state_->lease, now);
  }

  ShardId shard_id() const { return state_->lease.shard; }

 private:
  friend struct internal::Access;

  explicit Checkpointer(std::shared_ptr<internal::CheckpointerState> state) : state_(std::move(state)) {}

  absl::Status Save(std::optional<SequenceNumber> number) {
    return state_->table->Save(state_->lease, number, state_->clock);
  }
  absl::StatusOr<PreparedCheckpoint> Prepare(std::optional<SequenceNumber> number) {
    auto position = state_->table->Prepare(state_->lease, number, state_->clock.NowNanos());
    if (!position.ok()) return position.status();
    return PreparedCheckpoint(state_, *std::move(position));
  }

  std::shared_ptr<internal::CheckpointerState> state_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_RECORD_PROCESSOR_H_
