// How many calls of a FIFO queue are taken in a second: the service's throughput quota, for those who want to test
// against it.
//
// Sends, receives and deletes are counted each for themselves; a batch is one call. Counted by message group it is the
// sends of a group; receives and deletes name none, and are not counted then.

#ifndef DECOUPLE_INTERNAL_QUEUE_CALL_QUOTA_H_
#define DECOUPLE_INTERNAL_QUEUE_CALL_QUOTA_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/token_bucket.h"
#include "decouple/queue_options.h"

namespace decouple::internal {

// All members may be called from any thread. Without a quota a call costs one load.
class CallQuota {
 public:
  void Set(std::int64_t calls_per_second) { per_second_.store(calls_per_second, std::memory_order_relaxed); }
  void Set(FifoThroughputLimit counted) { counted_.store(counted, std::memory_order_relaxed); }
  FifoThroughputLimit counted() const { return counted_.load(std::memory_order_relaxed); }

  // `clock()` gives the time in nanoseconds, and is asked only if there is a quota. kRequestThrottled if that is too
  // many.
  template <typename ClockNow>
  absl::Status TakeSend(std::string_view group, ClockNow clock) {
    if (!is_on()) [[likely]]
      return absl::OkStatus();
    const std::int64_t now = clock();
    if (counted() == FifoThroughputLimit::kPerQueue) return Take(sends_, "sends", now);
    const std::lock_guard lock(mutex_);
    ForgetIdleGroups(now);
    return Take(of_group_[std::string(group)], "sends into a message group", now);
  }
  template <typename ClockNow>
  absl::Status TakeReceive(ClockNow clock) {
    return TakeOfQueue(receives_, "receives", clock);
  }
  template <typename ClockNow>
  absl::Status TakeDelete(ClockNow clock) {
    return TakeOfQueue(deletes_, "deletes", clock);
  }

 private:
  static constexpr std::int64_t kNone = 0;

  bool is_on() const { return per_second_.load(std::memory_order_relaxed) != kNone; }

  template <typename ClockNow>
  absl::Status TakeOfQueue(TokenBucket& bucket, const char* what, ClockNow clock) {
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

  // Under the mutex. Amortized O(1): when it looks at all, as many groups have been added as were left the last time.
  void ForgetIdleGroups(std::int64_t now) {
    if (of_group_.size() < look_at_size_) return;
    absl::erase_if(of_group_, [&](const auto& entry) { return entry.second.IsFull(now); });
    look_at_size_ = std::max(kFewGroups, 2 * of_group_.size());
  }

  static constexpr std::size_t kFewGroups = 1'000;

  std::atomic<std::int64_t> per_second_{kNone};
  std::atomic<FifoThroughputLimit> counted_{FifoThroughputLimit::kPerQueue};
  TokenBucket sends_;
  TokenBucket receives_;
  TokenBucket deletes_;

  std::mutex mutex_;
  absl::node_hash_map<std::string, TokenBucket> of_group_;  // under the mutex
  std::size_t look_at_size_ = kFewGroups;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_CALL_QUOTA_H_
