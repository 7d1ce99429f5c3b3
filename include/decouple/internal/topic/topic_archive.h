// The archive of a FIFO topic, for replay: its messages in the order of publication, each kept for the retention time.

#ifndef DECOUPLE_INTERNAL_TOPIC_TOPIC_ARCHIVE_H_
#define DECOUPLE_INTERNAL_TOPIC_TOPIC_ARCHIVE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread.
class TopicArchive {
 public:
  explicit TopicArchive(std::int64_t retention) : retention_(retention) {}

  // `now`: when the message was published. Drops a few of the messages that are too old.
  void Add(BodyReference body, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<BodyReference> dropped;  // destroyed after the mutex is released
    const MutexLock lock(mutex_);
    // Concurrent publishers may arrive in another order than they read the clock.
    messages_.emplace_back(messages_.empty() ? now : std::max(now, messages_.back().first), std::move(body));
    DropOld(now, kDropsPerCall, dropped);
  }

  // The messages published from `from` on and before `to` that are not too old at `now`. O(their number + those
  // dropped).
  std::vector<BodyReference> Between(std::int64_t from, std::int64_t to, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<BodyReference> dropped;  // destroyed after the mutex is released
    std::vector<BodyReference> found;
    const MutexLock lock(mutex_);
    DropOld(now, messages_.size(), dropped);
    const auto begin = std::lower_bound(messages_.begin(), messages_.end(), from,
                                        [](const auto& message, std::int64_t time) { return message.first < time; });
    for (auto message = begin; message != messages_.end() && message->first < to; ++message) {
      found.push_back(BodyReference::On(*message->second));
    }
    return found;
  }

 private:
  static constexpr std::size_t kDropsPerCall = 4;

  void DropOld(std::int64_t now, std::size_t most, std::vector<BodyReference>& dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (; most > 0 && !messages_.empty() && SaturatingAdd(messages_.front().first, retention_) <= now; --most) {
      dropped.push_back(std::move(messages_.front().second));
      messages_.pop_front();
    }
  }

  const std::int64_t retention_;
  Mutex mutex_;
  // Each message with the time of its publication, in ascending order of these.
  std::deque<std::pair<std::int64_t, BodyReference>> messages_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_TOPIC_ARCHIVE_H_
