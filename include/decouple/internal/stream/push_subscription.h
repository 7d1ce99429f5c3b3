// Pushes one shard's records to one target, in order, until the subscription ends.
//
// Threading: one thread at a time is the runner: a task of the executor, or a thread that calls Deliver(). Puts notify
// the subscription, and each task of the executor looks once more after it has run, so no record has to wait for the
// next put. The mutex is not held while the target takes records, nor while the executor is called: both may run user
// code. No other mutex of the stream is taken while it is held.

#ifndef DECOUPLE_INTERNAL_STREAM_PUSH_SUBSCRIPTION_H_
#define DECOUPLE_INTERNAL_STREAM_PUSH_SUBSCRIPTION_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "decouple/executor.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/condition_variable.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/stream/push_target.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/internal/stream/stream_throughput.h"
#include "decouple/message.h"
#include "decouple/record_batch.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class PushSubscription final : public ShardWatcher, public std::enable_shared_from_this<PushSubscription<T>> {
 public:
  // `begin` is the first record that it pushes.
  PushSubscription(std::shared_ptr<StreamCore<T>> stream, std::shared_ptr<ShardCore<T>> shard, std::uint64_t begin,
                   std::unique_ptr<PushTarget<T>> target, Executor executor)
      : stream_(std::move(stream)),
        shard_(std::move(shard)),
        target_(std::move(target)),
        executor_(std::move(executor)),
        began_at_(stream_->Now()),
        expires_at_(
            SaturatingAdd(began_at_, absl::ToInt64Nanoseconds(stream_->options().limits.shard_subscription_lifetime))),
        position_(begin),
        last_(shard_->NumberBefore(begin)) {}

  // Called once, before anything else.
  void Begin() ABSL_LOCKS_EXCLUDED(mutex_) {
    shard_->Watch(this->shared_from_this());
    stream_->local().subscriptions.Add(1);
    HasRecords();
  }

  std::int64_t began_at() const { return began_at_; }

  // Whether it has not ended, by End(), by expiry or at the end of its shard.
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
    if (executor_) Schedule();
  }

  // Pushes the records that are ready. Returns how many the target took; with an executor 0, as it takes them later.
  std::size_t Deliver() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (executor_) {
      Schedule();
      return 0;
    }
    return Run();
  }

  // When Deliver() will have something to do, by what is known now; kForever: nothing.
  std::int64_t NextDue() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return NextDueLocked();
  }

  // Ends it: no batch is pushed any more. Returns when no other thread is inside the target.
  void End() ABSL_LOCKS_EXCLUDED(mutex_) {
    ended_.store(true, std::memory_order_release);
    shard_->Unwatch(*this);
    const MutexLock lock(mutex_);
    while (is_running_ && runner_ != std::this_thread::get_id()) idle_.Wait(mutex_);
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
    if (ended_.load(std::memory_order_acquire) || is_running_ || !shard_->HasRecords(position_)) return kForever;
    const std::int64_t due = std::max(retry_at_, throughput_.ready_at());
    return due < expires_at_ ? due : kForever;
  }

  // Pushes batch after batch, unless another thread does.
  std::size_t Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::uint64_t position = 0;
    std::int64_t retry_at = 0;
    {
      const MutexLock lock(mutex_);
      if (is_running_) return 0;
      is_running_ = true;
      runner_ = std::this_thread::get_id();
      position = position_;
      retry_at = retry_at_;
    }
    std::size_t all = 0;
    while (const std::optional<std::size_t> taken = PushBatch(position, retry_at)) all += *taken;
    {
      const MutexLock lock(mutex_);
      DECOUPLE_ASSERT(is_running_ && runner_ == std::this_thread::get_id());
      is_running_ = false;
      runner_ = {};
    }
    idle_.NotifyAll();
    return all;
  }

  // Pushes one batch, and returns how many records were taken. None: no batch is due, or none will be any more.
  // `position` and `retry_at` are the runner's copies of the members, which only the runner writes.
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
    const bool is_all = target_->Take(batch, taken);
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
    if (batch.shard_ended() && is_all) Stop();
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
      if (is_scheduled_ || NextDueLocked() > stream_->Now()) return;
      is_scheduled_ = true;
    }
    executor_([self = this->shared_from_this()] {
      self->Run();
      {
        const MutexLock lock(self->mutex_);
        self->is_scheduled_ = false;
      }
      self->Schedule();  // for records that were put since the run has looked
    });
  }

  const std::shared_ptr<StreamCore<T>> stream_;
  const std::shared_ptr<ShardCore<T>> shard_;
  const std::unique_ptr<PushTarget<T>> target_;
  const Executor executor_;
  const std::int64_t began_at_;
  const std::int64_t expires_at_;
  ReadThroughput throughput_;  // this subscription's own, not the shard's
  std::atomic<bool> ended_{false};

  mutable Mutex mutex_;
  ConditionVariable idle_;  // is_running_ has become false
  // Only the runner writes the first three.
  std::uint64_t position_ ABSL_GUARDED_BY(mutex_);
  SequenceNumber last_ ABSL_GUARDED_BY(mutex_);
  std::int64_t retry_at_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_running_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread::id runner_ ABSL_GUARDED_BY(mutex_);
  bool is_scheduled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_PUSH_SUBSCRIPTION_H_
