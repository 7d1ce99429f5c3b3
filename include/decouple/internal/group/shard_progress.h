// How far a group has come in one shard: its checkpoint, and what the next checkpoint may cover.
//
// A checkpoint covers all records up to the one that it names, so it must never name one behind a record that was not
// processed. What it may cover at most grows when a batch is given to the processor, which may make a checkpoint from
// within the call; if the processor then fails, the batch is taken back, except for what a checkpoint has covered.
//
// Plain values, which LeaseTable guards.

#ifndef DECOUPLE_INTERNAL_GROUP_SHARD_PROGRESS_H_
#define DECOUPLE_INTERNAL_GROUP_SHARD_PROGRESS_H_

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/checkpoint_store.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/iterator_position.h"
#include "decouple/sequence_number.h"

namespace decouple::inline v0_1::internal {

class ShardProgress {
 public:
  explicit ShardProgress(CheckpointPosition checkpoint) : checkpoint_(checkpoint) {}

  const CheckpointPosition& checkpoint() const { return checkpoint_; }
  bool is_ended() const { return std::holds_alternative<ShardEnd>(checkpoint_); }
  // A checkpoint that was prepared, and not made since.
  const std::optional<CheckpointPosition>& pending() const { return pending_; }

  // ---- what the processor was given ---------------------------------------------------------------------------------

  // A worker starts at the checkpoint; `begin` is the first record that it can be given.
  void Open(SequenceNumber begin) {
    begin_ = begin;
    end_.reset();
    processed_ = NumberIn(checkpoint_);
    given_ = processed_;
    shown_ = processed_;
  }

  // The processor is given records up to `last`. Until Settle() or TakeBack() it may make a checkpoint there.
  void Give(SequenceNumber last) {
    Advance(last);
    shown_ = last;
  }
  // Records up to `last` are passed over: a checkpoint may cover them, and the processor does not know of them.
  void Skip(SequenceNumber last) {
    Advance(last);
    Settle();
  }
  void Settle() { processed_ = given_; }
  void TakeBack() { given_ = processed_ = Later(processed_, NumberIn(checkpoint_)); }

  // All records of the shard have been processed; `last` is its ending number.
  void ReachEnd(SequenceNumber last) { end_ = last; }

  // ---- checkpoints --------------------------------------------------------------------------------------------------

  // What a checkpoint saves: at `number`; without one, at the last record that was given, or at the shard's end. None:
  // no record was given, so the checkpoint stays as it is. kInvalidArgument: `number` cannot be a checkpoint.
  absl::StatusOr<std::optional<CheckpointPosition>> Admit(std::optional<SequenceNumber> number) const {
    using Admitted = std::optional<CheckpointPosition>;
    if (end_.has_value() && (!number.has_value() || IsLast(*number))) return Admitted(ShardEnd());
    if (!number.has_value()) {
      return given_ == NumberIn(checkpoint_) ? Admitted() : Admitted(AfterSequenceNumber{*given_});
    }
    if (absl::Status status = Check(*number); !status.ok()) return status;
    return Admitted(AfterSequenceNumber{*number});
  }

  // Notes a checkpoint that was admitted, and is to be made later.
  void Prepare(CheckpointPosition checkpoint) { pending_ = checkpoint; }

  // The checkpoint has been saved.
  void Set(CheckpointPosition checkpoint) {
    checkpoint_ = checkpoint;
    const std::optional<SequenceNumber> made = NumberIn(checkpoint_);
    given_ = Later(given_, made);  // what it covers may have been taken back while it was being saved
    const std::optional<SequenceNumber> pending = pending_ ? NumberIn(*pending_) : std::nullopt;
    if (is_ended() || (pending.has_value() && made.has_value() && *pending <= *made)) pending_.reset();
  }

  static std::optional<SequenceNumber> NumberIn(const CheckpointPosition& position) {
    const auto* const after = std::get_if<AfterSequenceNumber>(&position);
    return after == nullptr ? std::nullopt : std::optional(after->sequence_number);
  }

 private:
  void Advance(SequenceNumber last) {
    DECOUPLE_ASSERT(given_ == Later(processed_, NumberIn(checkpoint_)));
    DECOUPLE_ASSERT(!given_.has_value() || given_->value() <= last.value());
    given_ = last;
  }

  static std::optional<SequenceNumber> Later(std::optional<SequenceNumber> a, std::optional<SequenceNumber> b) {
    return std::max(a, b);  // none is before all numbers
  }

  // Whether the number is the last that a processor can have had at the shard's end.
  bool IsLast(SequenceNumber number) const { return number == end_ || number == given_ || number == shown_; }

  absl::Status Check(SequenceNumber number) const {
    std::string allowed;
    const std::optional<SequenceNumber> from = NumberIn(checkpoint_);
    if (Access::Origin(number) != Access::Origin(begin_)) {
      allowed = absl::StrCat("numbers that the shard has given, such as ", begin_.ToString());
    } else if (is_ended()) {
      allowed = "none, as the shard's end was the last one";
    } else if (!given_.has_value()) {
      allowed = absl::StrCat("numbers from ", begin_.ToString(), " on that the processor was given, and none was yet");
    } else if (*given_ < number) {
      allowed = absl::StrCat("numbers up to ", given_->ToString(),
                             ", the last that the processor was given and has not failed at");
    } else if (from.has_value() && number < *from) {
      allowed = absl::StrCat("numbers from ", from->ToString(), " on, which was the last one");
    } else if (number < begin_ && number != from) {
      allowed = absl::StrCat("numbers from ", begin_.ToString(), " on, the first that the processor was given");
    } else {
      return absl::OkStatus();
    }
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("a checkpoint at ", number.ToString(), "; allowed are ", allowed));
  }

  CheckpointPosition checkpoint_;
  std::optional<CheckpointPosition> pending_;
  // Of the worker that has the lease:
  SequenceNumber begin_;
  std::optional<SequenceNumber> processed_;  // up to here nothing has failed
  std::optional<SequenceNumber> given_;      // up to here a checkpoint may cover
  std::optional<SequenceNumber> shown_;      // up to here the processor was given records
  std::optional<SequenceNumber> end_;        // set when all records have been processed
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_SHARD_PROGRESS_H_
