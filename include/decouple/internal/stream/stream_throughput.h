// How much may be written to a stream and read from it in a second, where its capacity mode limits that.

#ifndef DECOUPLE_INTERNAL_STREAM_STREAM_THROUGHPUT_H_
#define DECOUPLE_INTERNAL_STREAM_STREAM_THROUGHPUT_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/numeric/int128.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/token_bucket.h"

namespace decouple::inline v0_1::internal {

// How much may be written in a second.
struct WriteRate {
  std::int64_t bytes;
  std::int64_t records;

  friend bool operator==(const WriteRate&, const WriteRate&) = default;
};

// The limits of Kinesis.
inline constexpr WriteRate kShardWriteRate = {std::int64_t{1} << 20, 1'000};
inline constexpr WriteRate kOnDemandWriteRate = {std::int64_t{4} << 20, 4'000};
// How many shards a stream on demand has when it takes so much, if it began with `shards`: so many for each
// kOnDemandWriteRate. With 4, as on the service, each shard has kShardWriteRate.
inline std::size_t ShardsFor(const WriteRate& rate, std::size_t shards) {
  const auto times = [&](std::int64_t now, std::int64_t beginning) {
    return static_cast<std::size_t>(
        (absl::uint128(shards) * static_cast<std::uint64_t>(now) + static_cast<std::uint64_t>(beginning - 1)) /
        static_cast<std::uint64_t>(beginning));
  };
  return std::max(times(rate.bytes, kOnDemandWriteRate.bytes), times(rate.records, kOnDemandWriteRate.records));
}
inline constexpr std::int64_t kShardReadBytesPerSecond = std::int64_t{2} << 20;
inline constexpr std::int64_t kShardReadsPerSecond = 5;

// All members may be called from any thread.
class WriteThroughput {
 public:
  // Takes one record of `bytes`. False: the limit is reached, and nothing is taken.
  bool TryTake(std::int64_t now, const WriteRate& rate, std::int64_t bytes) {
    if (!records_.TryTake(now, rate.records)) return false;
    if (bytes_.TryTake(now, rate.bytes, bytes)) return true;
    records_.GiveBack(rate.records, 1);
    return false;
  }

 private:
  TokenBucket records_;
  TokenBucket bytes_;
};

// How many bytes a read returns is known only when it is done: so a read may take more than there is, and the next one
// has to wait until the bucket is full again. A read of 10 MiB at 2 MiB a second is followed by 5 seconds without reads
// (Kinesis). All members may be called from any thread.
class ReadThroughput {
 public:
  // Whether anything may be read; if not, ready_at() is when it may.
  bool IsReady(std::int64_t now) const { return now >= ready_at(); }
  std::int64_t ready_at() const { return ready_at_.load(std::memory_order_relaxed); }

  void Take(std::int64_t now, std::int64_t bytes_per_second, std::int64_t bytes) {
    if (bytes == 0) return;
    bytes_.Take(now, bytes_per_second, bytes);
    // Relaxed: it publishes nothing else.
    if (bytes_.IsEmpty(now)) ready_at_.store(bytes_.full_at(), std::memory_order_relaxed);
  }

 private:
  TokenBucket bytes_;
  std::atomic<std::int64_t> ready_at_{0};
};

// How much may be written to a stream in on-demand mode: twice the peak of the last 30 days, which is the busiest
// minute's average per second, and at least kOnDemandWriteRate. All members may be called from any thread; each takes
// the mutex.
class OnDemandThroughput {
 public:
  bool TryTake(std::int64_t now, std::int64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    EndMinute(now);
    if (!throughput_.TryTake(now, rate_, bytes)) return false;
    this_minute_.bytes += bytes;
    ++this_minute_.records;
    return true;
  }

  // Whether the rate has changed since TakeNewRate() was called last. Relaxed: it is only a hint; TakeNewRate()
  // decides, under the mutex.
  bool has_new_rate() const { return has_new_rate_.load(std::memory_order_relaxed); }
  bool HasNewRate(std::int64_t now) {
    Rate(now);
    return has_new_rate();
  }
  std::optional<WriteRate> TakeNewRate() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (!has_new_rate_.exchange(false, std::memory_order_relaxed)) return std::nullopt;
    return rate_;
  }

  WriteRate Rate(std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    EndMinute(now);
    return rate_;
  }

 private:
  static constexpr std::int64_t kMinute = 60 * TokenBucket::kSecond;
  static constexpr std::int64_t kDay = std::int64_t{24} * 60 * kMinute;
  static constexpr std::int64_t kDays = 30;

  // A day's peak.
  struct Day {
    std::int64_t number = -kDays;  // since 1970; at first one that no longer counts
    WriteRate peak = {0, 0};       // the busiest minute's average
  };

  // If a minute has ended, adds it to its day and computes the rate anew.
  void EndMinute(std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (now / kMinute <= minute_) return;  // a thread that read the clock before the minute ended may come late
    Day& day = days_[static_cast<std::size_t>(minute_ * kMinute / kDay % kDays)];
    if (day.number != minute_ * kMinute / kDay) day = {minute_ * kMinute / kDay, {0, 0}};
    day.peak.bytes = std::max(day.peak.bytes, this_minute_.bytes / 60);
    day.peak.records = std::max(day.peak.records, this_minute_.records / 60);
    this_minute_ = {0, 0};
    minute_ = now / kMinute;
    WriteRate rate = kOnDemandWriteRate;
    for (const Day& past : days_) {
      if (past.number + kDays <= now / kDay) continue;
      rate.bytes = std::max(rate.bytes, 2 * past.peak.bytes);
      rate.records = std::max(rate.records, 2 * past.peak.records);
    }
    if (rate == rate_) return;
    rate_ = rate;
    has_new_rate_.store(true, std::memory_order_relaxed);
  }

  std::atomic<bool> has_new_rate_{false};
  Mutex mutex_;
  WriteThroughput throughput_ ABSL_GUARDED_BY(mutex_);
  WriteRate rate_ ABSL_GUARDED_BY(mutex_) = kOnDemandWriteRate;
  std::int64_t minute_ ABSL_GUARDED_BY(mutex_) = 0;  // since 1970
  WriteRate this_minute_ ABSL_GUARDED_BY(mutex_) = {0, 0};
  std::array<Day, kDays> days_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_STREAM_THROUGHPUT_H_
