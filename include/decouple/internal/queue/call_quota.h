// The throughput quota of a FIFO queue: how many calls it takes in a second. It is off unless a program wants to be
// tested against the service's quota.
//
// Sends, receives and deletes are counted separately; a batch is one call. With a limit per message group only sends
// are counted, each for its group; receives and deletes name no group.

#ifndef DECOUPLE_INTERNAL_QUEUE_CALL_QUOTA_H_
#define DECOUPLE_INTERNAL_QUEUE_CALL_QUOTA_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/token_bucket.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread. Without a quota a call costs one load.
class CallQuota {
 public:
  void Set(std::int64_t calls_per_second) { per_second_.store(calls_per_second, std::memory_order_relaxed); }
  void Set(FifoThroughputLimit counted) { counted_.store(counted, std::memory_order_relaxed); }
  std::int64_t calls_per_second() const { return per_second_.load(std::memory_order_relaxed); }
  FifoThroughputLimit counted() const { return counted_.load(std::memory_order_relaxed); }

  // The three calls below take one call from the quota; kRequestThrottled: the quota is used up. clock() returns the
  // time in nanoseconds; it is called only if there is a quota.
  template <typename ClockNow>
  absl::Status TakeSend(std::string_view group, ClockNow clock) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!is_on()) [[likely]]
      return absl::OkStatus();
    const std::int64_t now = clock();
    if (counted() == FifoThroughputLimit::kPerQueue) return Take(sends_, "sends", now);
    const MutexLock lock(mutex_);
    ForgetIdleGroups(now);
    return Take(group_sends_[std::string(group)], "sends into a message group", now);
  }
  template <typename ClockNow>
  absl::Status TakeReceive(ClockNow clock) {
    return TakeForQueue(receives_, "receives", clock);
  }
  template <typename ClockNow>
  absl::Status TakeDelete(ClockNow clock) {
    return TakeForQueue(deletes_, "deletes", clock);
  }

 private:
  static constexpr std::int64_t kNone = 0;

  bool is_on() const { return per_second_.load(std::memory_order_relaxed) != kNone; }

  template <typename ClockNow>
  absl::Status TakeForQueue(TokenBucket& bucket, const char* what, ClockNow clock) {
    if (!is_on() || counted() != FifoThroughputLimit::kPerQueue) [[likely]]
      return absl::OkStatus();
    return Take(bucket, what, clock());
  }

  absl::Status Take(TokenBucket& bucket, const char* what, std::int64_t now) {
    const std::int64_t per_second = per_second_.load(std::memory_order_relaxed);
    if (per_second == kNone || bucket.TryTake(now, per_second)) return absl::OkStatus();
    return MakeError(Error::kRequestThrottled, absl::StrCat("too many ", what, "; allowed are ", per_second,
                                                            " a second, a batch counting as one"));
  }

  // Amortized O(1): between two passes over the groups as many are added as the first of them left.
  void ForgetIdleGroups(std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (group_sends_.size() < next_pass_size_) return;
    std::erase_if(group_sends_, [&](const auto& entry) { return entry.second.IsFull(now); });
    next_pass_size_ = std::max(kFewGroups, 2 * group_sends_.size());
  }

  static constexpr std::size_t kFewGroups = 1'000;

  // Relaxed: a new value of either is in force for calls that begin later.
  std::atomic<std::int64_t> per_second_{kNone};
  std::atomic<FifoThroughputLimit> counted_{FifoThroughputLimit::kPerQueue};
  TokenBucket sends_;
  TokenBucket receives_;
  TokenBucket deletes_;

  Mutex mutex_;
  std::unordered_map<std::string, TokenBucket> group_sends_ ABSL_GUARDED_BY(mutex_);
  std::size_t next_pass_size_ ABSL_GUARDED_BY(mutex_) = kFewGroups;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_CALL_QUOTA_H_
