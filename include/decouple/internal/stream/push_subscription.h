// Pushes one shard's records to one target, in order, until the subscription ends.
//
// Threading: one thread at a time is the runner: a task of the executor, or a thread that calls Deliver(). Puts notify
// the subscription, and each task of the executor looks once more after it has run, so no record has to wait for the
// next put. If the executor loses a task (base/task_handoff.h), the next put or Deliver() hands over another. The mutex
// is not held while the target takes records, nor while the executor is called: both may run user code. No other mutex
// of the stream is taken while it is held.

#ifndef DECOUPLE_INTERNAL_STREAM_PUSH_SUBSCRIPTION_H_
#define DECOUPLE_INTERNAL_STREAM_PUSH_SUBSCRIPTION_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "decouple/executor.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/serial_runner.h"
#include "decouple/internal/base/task_handoff.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/stream/push_target.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/internal/stream/stream_throughput.h"
#include "decouple/message.h"
#include "decouple/record_batch.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class PushSubscription final : public ShardWatcher,
                               public TaskOwner,
                               public std::enable_shared_from_this<PushSubscription<T>> {
 public:
  // `begin` is the first record that it pushes.
  PushSubscription(std::shared_ptr<StreamCore<T>> stream, std::shared_ptr<ShardCore<T>> shard, std::uint64_t begin,
                   std::unique_ptr<PushTarget<T>> target, Executor executor)
      : stream_(std::move(stream)),
        shard_(std::move(shard)),
        target_(std::move(target)),
        handoff_(std::move(executor)),
        began_at_(stream_->Now()),
        expires_at_(
            SaturatingAdd(began_at_, absl::ToInt64Nanoseconds(stream_->options().limits.shard_subscription_lifetime))),
        position_(begin),
        last_(shard_->NumberBefore(begin)) {}

  // Called once, before anything else.
  void Begin() ABSL_LOCKS_EXCLUDED(mutex_) {
    shard_->Watch(this->shared_from_this());
    if (ended_.load(std::memory_order_acquire)) shard_->Unwatch(*this);  // a later subscription has ended it already
    stream_->local().subscriptions.Add(1);
    HasRecords();
  }

  std::int64_t began_at() const { return began_at_; }

  // Whether it has not ended, by End(), by expiry, at the end of its shard or as its target takes no more.
  bool IsActive() {
    EndIfExpired();
    return !ended_.load(std::memory_order_acquire);
  }

  // The sequence number of the last record that the target took, or of the one before the first that it will get.
  SequenceNumber last() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return last_;
  }

  void HasRecords() override ABSL_LOCKS_EXCLUDED(mutex_) {
    if (handoff_.has_executor()) Schedule();
  }

  // Pushes the records that are ready. Returns how many the target took; with an executor 0, as it takes them later.
  std::size_t Deliver() ABSL_LOCKS_EXCLUDED(mutex_) {
    const auto self = this->shared_from_this();  // the function may destroy the handle that this was called by
    if (handoff_.has_executor()) {
      Schedule();
      return 0;
    }
    return Run();
  }

  // When Deliver() will have something to do, by what is known now; kForever: nothing.
  std::int64_t NextDue() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return handoff_.is_claimed() ? kForever : std::max(NextDueLocked(), hand_over_at_);
  }

  // Ends it: no batch is pushed any more. Returns when no other thread is inside the target.
  void End() ABSL_LOCKS_EXCLUDED(mutex_) {
    ended_.store(true, std::memory_order_release);
    shard_->Unwatch(*this);
    const MutexLock lock(mutex_);
    runner_.AwaitOthers(mutex_);
  }

  // ---- from the executor --------------------------------------------------------------------------------------------

  void RunTask() override ABSL_LOCKS_EXCLUDED(mutex_) { Run(); }
  void AfterTask() override ABSL_LOCKS_EXCLUDED(mutex_) { Schedule(); }  // records that were put since the run looked
  void AfterLostTask() override ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    hand_over_at_ = SaturatingAdd(stream_->Now(), TaskHandoff::kRetryAfterLoss);
  }

 private:
  // Records that the target did not take are pushed again after this time.
  static constexpr std::int64_t kRetryAfter = 1'000'000'000;

  void EndIfExpired() {
    if (!ended_.load(std::memory_order_acquire) && stream_->Now() >= expires_at_) Stop();
  }

  // End() without the wait: the runner may call it.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    ended_.store(true, std::memory_order_release);
    shard_->Unwatch(*this);
  }

  std::int64_t NextDueLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_.load(std::memory_order_acquire) || runner_.is_running() || !shard_->HasRecords(position_))
      return kForever;
    const std::int64_t due = std::max(retry_at_, throughput_.ready_at());
    return due < expires_at_ ? due : kForever;
  }

  // The time during which a thread is the runner. It also ends when a function of the user's leaves by forced
  // unwinding.
  class Turn {
   public:
    explicit Turn(PushSubscription& push) : push_(push) {
      const MutexLock lock(push_.mutex_);
      has_begun_ = push_.runner_.TryBegin();
      if (!has_begun_) return;
      position = push_.position_;
      retry_at = push_.retry_at_;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (!has_begun_) return;
      const MutexLock lock(push_.mutex_);
      push_.runner_.End();
    }

    bool has_begun() const { return has_begun_; }

    // The runner's copies of the members, which only the runner writes.
    std::uint64_t position = 0;
    std::int64_t retry_at = 0;

   private:
    PushSubscription& push_;
    bool has_begun_ = false;
  };

  // Pushes batch after batch, unless another thread does.
  std::size_t Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    Turn turn(*this);
    if (!turn.has_begun()) return 0;
    std::size_t all = 0;
    while (const std::optional<std::size_t> taken = PushBatch(turn.position, turn.retry_at)) all += *taken;
    return all;
  }

  // Pushes one batch, and returns how many records were taken. None: no batch is due, or none will be any more.
  // `position` and `retry_at` are those of the runner's turn.
  std::optional<std::size_t> PushBatch(std::uint64_t& position, std::int64_t& retry_at) ABSL_LOCKS_EXCLUDED(mutex_) {
    EndIfExpired();
    const std::int64_t now = stream_->Now();
    if (ended_.load(std::memory_order_acquire) || now < retry_at || !throughput_.IsReady(now)) return std::nullopt;
    ReadBounds bounds = stream_->BoundsOf(stream_->options().limits.max_records_per_read, now);
    if (stream_->has_bounded_throughput()) {
      bounds.bytes = std::min<std::uint64_t>(bounds.bytes, kShardReadBytesPerSecond);
    }
    std::uint64_t next = position;
    const RecordBatch<T> batch = shard_->Read(next, bounds);
    if (batch.empty() && !batch.shard_ended()) return std::nullopt;
    std::size_t taken = 0;
    const Pushed pushed = target_->Take(batch, taken);
    const bool is_all = pushed == Pushed::kAll;
    DECOUPLE_ASSERT(taken <= batch.size());
    if (!is_all) {
      next -= batch.size() - taken;
      retry_at = stream_->Now() + kRetryAfter;
      const MutexLock lock(mutex_);
      retry_at_ = retry_at;
    }
    DECOUPLE_ASSERT(position <= next);
    Count(batch, taken, is_all);
    if (stream_->has_bounded_throughput()) {
      throughput_.Take(now, kShardReadBytesPerSecond, static_cast<std::int64_t>(batch.bytes()));
    }
    position = next;
    {
      const MutexLock lock(mutex_);
      position_ = next;
      if (taken > 0) last_ = batch[taken - 1].sequence_number();
    }
    if (pushed == Pushed::kLast || (batch.shard_ended() && is_all)) Stop();
    return taken;
  }

  void Count(const RecordBatch<T>& batch, std::size_t taken, bool is_all) {
    LocalStreamCounts& local = stream_->local();
    if (is_all) local.pushes.Add(1);
    local.pushed_records.Add(taken);
    for (const auto& record : batch) {
      if (taken-- == 0) break;
      local.pushed_bytes.Add(record.bytes());
    }
  }

  // Gives the executor a task that runs the subscription, unless it has one already or nothing is due.
  void Schedule() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (handoff_.is_claimed() || NextDueLocked() > stream_->Now()) return;
      handoff_.Claim();
    }
    handoff_.HandOver(this->shared_from_this());
  }

  const std::shared_ptr<StreamCore<T>> stream_;
  const std::shared_ptr<ShardCore<T>> shard_;
  const std::unique_ptr<PushTarget<T>> target_;
  TaskHandoff handoff_;
  const std::int64_t began_at_;
  const std::int64_t expires_at_;
  ReadThroughput throughput_;  // this subscription's own, not the shard's
  std::atomic<bool> ended_{false};

  mutable Mutex mutex_;
  SerialRunner runner_ ABSL_GUARDED_BY(mutex_);
  // Only the runner writes the first three.
  std::uint64_t position_ ABSL_GUARDED_BY(mutex_);
  SequenceNumber last_ ABSL_GUARDED_BY(mutex_);
  std::int64_t retry_at_ ABSL_GUARDED_BY(mutex_) = 0;
  // A task was lost: only a put, or Deliver(), has another handed over before this.
  std::int64_t hand_over_at_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<std::int64_t>::min();
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_PUSH_SUBSCRIPTION_H_
