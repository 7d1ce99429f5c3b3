// Reads one shard for a worker that holds its lease: passes batches to the processor and keeps the position.
//
// A batch at which the processor fails is passed again after a second, from behind the last checkpoint on and to the
// same end. By the group's FailurePolicy it may be bisected first: its first half is passed at once, and so on down to
// single records. Each part that fails more often than is allowed is discarded.
//
// Threading: used by the worker's thread only. Its processor may end the thread (pthread_exit) in any call: what is
// begun before a call is ended by a destructor.

#ifndef DECOUPLE_INTERNAL_GROUP_SHARD_READER_H_
#define DECOUPLE_INTERNAL_GROUP_SHARD_READER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/checkpoint_store.h"
#include "decouple/discarded_batch.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/call_guard.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/group/group_core.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/internal/group/processor.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/iterator_position.h"
#include "decouple/record_batch.h"
#include "decouple/record_processor.h"
#include "decouple/result.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class ShardReader {
 public:
  // How long to wait after a failure of the processor or of the checkpoint store, and after a throttled read.
  static constexpr std::int64_t kTryAgainAfter = 1'000'000'000;
  static constexpr std::int64_t kReadAgainAfter = 200'000'000;

  // Reads from the group's checkpoint on.
  ShardReader(GroupCore<T>& group, const HeldLease& lease, std::shared_ptr<ShardCore<T>> shard)
      : group_(group),
        shard_(std::move(shard)),
        state_(new CheckpointerState{.table = group.shared_table(), .clock = group.stream().clock(), .lease = lease}),
        checkpointer_(Access::Make<Checkpointer>(state_)) {}

  const HeldLease& lease() const { return state_->lease; }
  ShardCore<T>& shard() { return *shard_; }
  Checkpointer& checkpointer() { return checkpointer_; }
  // Null until Initialize() has succeeded.
  Processor<T>* processor() { return processor_.get(); }
  // Every record has been processed, and the shard's end has been saved as the checkpoint.
  bool is_done() const { return table().IsEnded(lease().shard); }
  std::int64_t millis_behind() const { return millis_behind_; }

  // When ProcessNext() will have something to do, by what is known now; kForever: nothing.
  std::int64_t NextDue() const {
    return processor_ == nullptr || is_at_end_ || shard_->HasRecords(position_) ? retry_at_ : kForever;
  }

  // Makes the processor and initializes it. If it fails, the lease is to be given back. Called until it succeeds.
  absl::Status Initialize(const ProcessorFactory<T>& make_processor) {
    const std::optional<ShardProgress> progress = table().ProgressIn(lease().shard);
    if (!progress.has_value()) return absl::UnavailableError("a checkpoint is being saved, or the shard has gone");
    position_ = PositionOf(progress->checkpoint());
    table().Open(lease(), shard_->NumberOf(position_));
    std::unique_ptr<Processor<T>> made;
    absl::Status status = InvokeToStatus([&]() -> absl::Status {
      auto result = make_processor(lease().shard);
      if (result.ok()) made = *std::move(result);
      return result.status();
    });
    if (status.ok()) {
      InitializationInput input{lease().shard, group_.CheckpointAt(progress->checkpoint())};
      if (progress->pending().has_value()) input.pending_checkpoint = group_.CheckpointAt(*progress->pending());
      status = made->Initialize(input);
    }
    if (status.ok()) processor_ = std::move(made);
    return status;
  }

  // Passes the next batch, of at most `max_records`, to the processor. Returns the batch if that succeeded, else an
  // empty one. Requires: Initialize() has succeeded.
  RecordBatch<T> ProcessNext(std::size_t max_records) {
    if (Now() < retry_at_) return {};
    if (is_at_end_) {
      End();
      return {};
    }
    if (has_failed_ && !Resume()) return {};
    std::optional<RecordBatch<T>> batch = ReadNext(max_records);
    if (!batch.has_value()) return {};
    const bool is_discarded = !batch->empty() && is_exhausted_;
    if (is_discarded) {
      if (!Discard(*batch, DiscardCondition::kRetryAttemptsExhausted)) return {};
    } else if (!batch->empty() && !Pass(*batch)) {
      return {};
    }
    if (batch->shard_ended()) {
      is_at_end_ = true;
      table().ReachEnd(lease(), shard_->NumberBefore(shard_->end()));
      End();
    }
    return is_discarded ? RecordBatch<T>() : *std::move(batch);
  }

 private:
  // A call of the processor. If it does not return, as it ends its thread, that counts as a failure.
  class ProcessorCall {
   public:
    ProcessorCall(ShardReader& reader, std::uint64_t end) : reader_(reader), end_(end) {}
    ProcessorCall(const ProcessorCall&) = delete;
    ProcessorCall& operator=(const ProcessorCall&) = delete;
    ~ProcessorCall() {
      if (!has_returned_) reader_.CountFailure(end_, absl::AbortedError("the processor ended its thread"));
    }

    void Return() { has_returned_ = true; }

   private:
    ShardReader& reader_;
    const std::uint64_t end_;
    bool has_returned_ = false;
  };

  // Takes back what the processor was given, unless it has been processed.
  class Attempt {
   public:
    Attempt(LeaseTable& table, const HeldLease& lease, SequenceNumber last) : table_(table), lease_(lease) {
      table_.Give(lease_, last);
    }
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    ~Attempt() {
      if (!has_succeeded_) table_.TakeBack(lease_);
    }

    void Succeed() {
      table_.Settle(lease_);
      has_succeeded_ = true;
    }

   private:
    LeaseTable& table_;
    const HeldLease& lease_;
    bool has_succeeded_ = false;
  };

  LeaseTable& table() const { return *state_->table; }
  std::int64_t Now() const { return group_.stream().Now(); }
  void RetryAfter(std::int64_t duration) { retry_at_ = SaturatingAdd(Now(), duration); }

  std::uint64_t PositionOf(const CheckpointPosition& checkpoint) const {
    IteratorPosition position = TrimHorizon();
    if (const auto* const at = std::get_if<AtTimestamp>(&checkpoint)) position = *at;
    if (const auto* const after = std::get_if<AfterSequenceNumber>(&checkpoint)) position = *after;
    // Finding it does not fail: only sequence numbers of the shard's records are saved, and times that have passed.
    return shard_->Find(position, Now()).value_or(shard_->log().first());
  }

  // ---- reading ------------------------------------------------------------------------------------------------------

  // Goes on behind the last checkpoint after a failure. False: a checkpoint is just being saved, so it is not known
  // yet.
  bool Resume() {
    const std::optional<ShardProgress> progress = table().ProgressIn(lease().shard);
    if (!progress.has_value()) {
      RetryAfter(kTryAgainAfter);
      return false;
    }
    has_failed_ = false;
    if (ShardProgress::NumberIn(progress->checkpoint()).has_value()) MoveTo(PositionOf(progress->checkpoint()));
    return true;
  }

  // Moves on, unless the position is there already or behind.
  void MoveTo(std::uint64_t position) {
    if (position <= position_) return;
    position_ = position;
    failures_ = 0;
    is_exhausted_ = false;
    while (!ends_.empty() && ends_.back() <= position_) ends_.pop_back();
  }

  // Reads the next batch, without records that are too old, which it discards. None: nothing can be read at present.
  std::optional<RecordBatch<T>> ReadNext(std::size_t max_records) {
    for (;;) {
      std::uint64_t next = position_;
      const std::size_t limit = ends_.empty() ? max_records : std::min<std::size_t>(max_records, ends_.back() - next);
      Result<RecordBatch<T>> read = group_.stream().Read(*shard_, next, limit, absl::ZeroDuration());
      if (!read.ok()) {  // the shard's throughput is used up
        RetryAfter(kReadAgainAfter);
        return std::nullopt;
      }
      RecordBatch<T> batch = *std::move(read);
      MoveTo(next - batch.size());  // what was before has expired
      const std::size_t old = CountOld(batch);
      if (old == 0) return batch;
      // Of the batch at hand: another read may begin later, as records expire, or return other ones.
      if (old < batch.size()) batch.KeepFirst(old, MillisSince(batch[old].approximate_arrival_timestamp()));
      if (!Discard(batch, DiscardCondition::kRecordAgeExceeded)) return std::nullopt;
    }
  }

  // How many records at the beginning of the batch are too old to be processed.
  std::size_t CountOld(const RecordBatch<T>& batch) const {
    const std::int64_t max_age = group_.config().failures.max_age;
    std::size_t old = 0;
    if (max_age == kForever) return old;
    const std::int64_t now = Now();
    for (const auto& record : batch) {
      if (now - absl::ToUnixNanos(record.approximate_arrival_timestamp()) <= max_age) break;
      ++old;
    }
    return old;
  }

  // ---- processing ---------------------------------------------------------------------------------------------------

  // False: it is to be passed again.
  bool Pass(const RecordBatch<T>& batch) {
    const std::uint64_t end = position_ + batch.size();
    has_failed_ = true;  // until it has succeeded, also if the processor never returns
    absl::Status status;
    {
      ProcessorCall call(*this, end);
      Attempt attempt(table(), lease(), batch.back().sequence_number());
      status = processor_->Process(batch, checkpointer_);
      if (status.ok() && processor_->is_automatic()) status = checkpointer_.Checkpoint();
      call.Return();
      if (status.ok()) attempt.Succeed();
    }
    if (!status.ok()) {
      Fail(batch, end, std::move(status));
      SetMillisBehind(batch, end);
      return false;
    }
    has_failed_ = false;
    MoveTo(end);
    millis_behind_ = batch.millis_behind_latest();
    return true;
  }

  void Fail(const RecordBatch<T>& batch, std::uint64_t end, absl::Status status) {
    CountFailure(end, std::move(status));
    // What is left of it, behind the last checkpoint.
    if (is_exhausted_ && position_ == end - batch.size()) {
      Discard(batch, DiscardCondition::kRetryAttemptsExhausted);
    }  // else it is read, and discarded, by the next call
  }

  // Calls no code of the user's, as it may run while the thread ends.
  void CountFailure(std::uint64_t end, absl::Status status) {
    group_.local().failed_batches.Add(1);
    // It is not the records' fault if the store failed, or the lease was lost.
    if (table().StoreFailed(lease()) || !table().IsHeld(lease(), Now())) return RetryAfter(kTryAgainAfter);
    if (!Resume()) return;
    if (position_ >= end) return;  // a checkpoint covers it
    if (ends_.empty() || ends_.back() != end) ends_.push_back(end);
    const FailurePolicy<T>& policy = group_.config().failures;
    if (policy.bisects && end - position_ > 1) {
      ends_.push_back(position_ + (end - position_) / 2);
      failures_ = 0;
      return;
    }
    error_ = std::move(status);
    is_exhausted_ = policy.IsExhausted(++failures_);
    if (!is_exhausted_) RetryAfter(kTryAgainAfter);
  }

  // Passes over the records, which are the next ones. False: they cannot be set aside at present, and stay.
  bool Discard(const RecordBatch<T>& batch, DiscardCondition condition) {
    const FailurePolicy<T>& policy = group_.config().failures;
    if (!table().IsHeld(lease(), Now())) return false;
    if (policy.on_failure.take) {
      DiscardedBatch<T> discarded{.condition = condition,
                                  .approximate_invoke_count = failures_,
                                  .error = failures_ == 0 ? absl::OkStatus() : error_,
                                  .stream = group_.stream().options().name,
                                  .group = table().group(),
                                  .shard_id = lease().shard,
                                  .discarded_at = absl::FromUnixNanos(Now()),
                                  .records = batch};
      if (!InvokeToStatus([&] { return policy.on_failure.take(std::move(discarded)); }).ok()) {
        RetryAfter(kTryAgainAfter);
        return false;
      }
    }
    const SequenceNumber last = batch.back().sequence_number();
    const bool is_next = IsNextForCheckpoint();
    table().Skip(lease(), last);
    // If this fails, the next checkpoint covers them.
    if (is_next || processor_->is_automatic()) checkpointer_.Checkpoint(last).IgnoreError();
    group_.local().discarded_records.Add(batch.size());
    group_.local().discarded_batches.Add(1);
    MoveTo(position_ + batch.size());
    millis_behind_ = shard_->HasRecords(position_) ? std::max<std::int64_t>(batch.millis_behind_latest(), 1) : 0;
    return true;
  }

  // Whether a checkpoint covers all records before the position.
  bool IsNextForCheckpoint() const {
    const std::optional<ShardProgress> progress = table().ProgressIn(lease().shard);
    return progress.has_value() && PositionOf(progress->checkpoint()) == position_;
  }

  void End() {
    if (processor_->is_told_of_end()) {
      processor_->ShardEnded(checkpointer_);
    } else {
      checkpointer_.Checkpoint().IgnoreError();  // if it fails, it is tried again, or the lease is lost
    }
    if (!is_done()) RetryAfter(kTryAgainAfter);
  }

  // After a failure at the batch, which ends at `end`: how long the record has been waiting that is passed next.
  void SetMillisBehind(const RecordBatch<T>& batch, std::uint64_t end) {
    if (position_ >= end) {
      millis_behind_ = batch.millis_behind_latest();
      return;
    }
    const std::uint64_t begin = end - batch.size();
    millis_behind_ = MillisSince(batch[std::max(position_, begin) - begin].approximate_arrival_timestamp());
  }

  // At least 1, as for a record that has not been passed.
  std::int64_t MillisSince(absl::Time arrival) const {
    return std::max<std::int64_t>(absl::ToInt64Milliseconds(absl::FromUnixNanos(Now()) - arrival), 1);
  }

  GroupCore<T>& group_;
  const std::shared_ptr<ShardCore<T>> shard_;
  const std::shared_ptr<CheckpointerState> state_;
  Checkpointer checkpointer_;
  std::unique_ptr<Processor<T>> processor_;
  std::uint64_t position_ = 0;  // the next record to pass
  std::int64_t retry_at_ = 0;
  std::int64_t millis_behind_ = 0;
  bool is_at_end_ = false;  // the processor has had every record
  // Of a batch that failed:
  bool has_failed_ = false;          // the position is to be moved behind the last checkpoint
  std::vector<std::uint64_t> ends_;  // where the parts that are to be passed end: the next one's last, the whole first
  std::size_t failures_ = 0;         // how often the next part has failed
  bool is_exhausted_ = false;        // the next part is to be discarded
  absl::Status error_;               // of its last failure
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_SHARD_READER_H_
