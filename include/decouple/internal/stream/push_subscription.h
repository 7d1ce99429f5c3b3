// Pushes one shard's records to one sink, in order, until it ends.
//
// One thread at a time runs it: a task of the executor's, or one that calls Deliver(). Puts tell it of news, and it
// looks once more after each run, so nothing lies until the next put. The mutex is not held while the sink takes.

#ifndef DECOUPLE_INTERNAL_STREAM_PUSH_SUBSCRIPTION_H_
#define DECOUPLE_INTERNAL_STREAM_PUSH_SUBSCRIPTION_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/time.h"
#include "decouple/executor.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/stream/push_target.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/internal/stream/stream_throughput.h"
#include "decouple/message.h"
#include "decouple/record_batch.h"

namespace decouple::internal {

template <typename T>
class PushSubscription final : public ShardWatcher, public std::enable_shared_from_this<PushSubscription<T>> {
 public:
  // `begin`: the first record that it pushes.
  PushSubscription(std::shared_ptr<StreamCore<T>> stream, std::shared_ptr<ShardCore<T>> shard, std::uint64_t begin,
                   std::unique_ptr<PushTarget<T>> sink, Executor executor)
      : stream_(std::move(stream)),
        shard_(std::move(shard)),
        sink_(std::move(sink)),
        executor_(std::move(executor)),
        began_at_(stream_->Now()),
        expires_at_(
            SaturatingAdd(began_at_, absl::ToInt64Nanoseconds(stream_->options().limits.shard_subscription_lifetime))),
        position_(begin) {}

  // Once, before anything else.
  void Begin() {
    shard_->Watch(this->shared_from_this());
    stream_->local().subscriptions.Add(1);
    HasRecords();
  }

  std::int64_t began_at() const { return began_at_; }

  // Neither ended, nor expired, nor at the end of its shard.
  bool IsActive() {
    EndIfExpired();
    return !ended_.load(std::memory_order_acquire);
  }

  // Of the last record that the sink took.
  std::optional<SequenceNumber> last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

  // A put, or the shard's end.
  void HasRecords() override {
    if (executor_) HandOver();
  }

  // Pushes what is there. Returns how many records the sink took.
  std::size_t Deliver() {
    if (executor_) {
      HandOver();
      return 0;
    }
    return Run();
  }

  // When Deliver() has something to do, as things are; kForever if nothing.
  std::int64_t NextDue() const {
    const std::lock_guard lock(mutex_);
    return NextDueLocked();
  }

  // Nothing is pushed any more. Returns when no other thread is within the sink.
  void End() {
    ended_.store(true, std::memory_order_release);
    shard_->Unwatch(*this);
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return !is_running_ || runner_ == std::this_thread::get_id(); });
  }

 private:
  // What the sink did not take is tried again after so long.
  static constexpr std::int64_t kRetryAfter = 1'000'000'000;

  void EndIfExpired() {
    if (!ended_.load(std::memory_order_acquire) && stream_->Now() >= expires_at_) Stop();
  }

  // By itself; the mutex is not held.
  void Stop() {
    ended_.store(true, std::memory_order_release);
    shard_->Unwatch(*this);
  }

  std::int64_t NextDueLocked() const {
    if (ended_.load(std::memory_order_acquire) || is_running_ || !shard_->HasRecords(position_)) return kForever;
    const std::int64_t due = std::max(retry_at_, throughput_.ready_at());
    return due < expires_at_ ? due : kForever;
  }

  std::size_t Run() {
    std::uint64_t position = 0;
    {
      const std::lock_guard lock(mutex_);
      if (is_running_) return 0;
      is_running_ = true;
      runner_ = std::this_thread::get_id();
      position = position_;
    }
    std::size_t all = 0;
    while (const std::optional<std::size_t> taken = PushOne(position)) all += *taken;
    {
      const std::lock_guard lock(mutex_);
      is_running_ = false;
      runner_ = {};
    }
    idle_.notify_all();
    return all;
  }

  // One batch. None: there is none at present, or no more.
  std::optional<std::size_t> PushOne(std::uint64_t& position) {
    EndIfExpired();
    const std::int64_t now = stream_->Now();
    if (ended_.load(std::memory_order_acquire) || now < retry_at_ || !throughput_.IsReady(now)) return std::nullopt;
    ReadBounds bounds = stream_->BoundsOf(stream_->options().limits.max_records_per_read, now);
    if (stream_->has_bounded_throughput()) {
      bounds.bytes = std::min<std::uint64_t>(bounds.bytes, kShardReadBytesPerSecond);
    }
    std::uint64_t next = position;
    const RecordBatch<T> batch = shard_->Read(next, bounds);
    if (batch.empty() && !batch.shard_ended()) return std::nullopt;
    std::size_t taken = 0;
    const bool is_all = sink_->Take(batch, taken);
    if (!is_all) {
      next -= batch.size() - taken;
      const std::lock_guard lock(mutex_);
      retry_at_ = stream_->Now() + kRetryAfter;
    }
    Count(batch, taken, is_all);
    if (stream_->has_bounded_throughput()) {
      throughput_.Take(now, kShardReadBytesPerSecond, static_cast<std::int64_t>(batch.bytes()));
    }
    position = next;
    {
      const std::lock_guard lock(mutex_);
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

  // To the executor, unless it has it already.
  void HandOver() {
    {
      const std::lock_guard lock(mutex_);
      if (is_handed_over_ || NextDueLocked() > stream_->Now()) return;
      is_handed_over_ = true;
    }
    executor_([self = this->shared_from_this()] {
      self->Run();
      {
        const std::lock_guard lock(self->mutex_);
        self->is_handed_over_ = false;
      }
      self->HandOver();  // for what came since
    });
  }

  const std::shared_ptr<StreamCore<T>> stream_;
  const std::shared_ptr<ShardCore<T>> shard_;
  const std::unique_ptr<PushTarget<T>> sink_;
  const Executor executor_;
  const std::int64_t began_at_;
  const std::int64_t expires_at_;
  ReadThroughput throughput_;  // its own
  std::atomic<bool> ended_{false};

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  // All below: under the mutex. The runner alone writes the first three.
  std::uint64_t position_;
  std::optional<SequenceNumber> last_;
  std::int64_t retry_at_ = 0;
  bool is_running_ = false;
  std::thread::id runner_;
  bool is_handed_over_ = false;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_STREAM_PUSH_SUBSCRIPTION_H_
