// The archive of a FIFO topic, for replay: its messages in the order of publication, each kept for the retention time.

#ifndef DECOUPLE_INTERNAL_TOPIC_TOPIC_ARCHIVE_H_
#define DECOUPLE_INTERNAL_TOPIC_TOPIC_ARCHIVE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
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
  // Keeps what is added from now on, and drops what is older. 0: keeps nothing, and ends the archive. Returns the
  // messages that are dropped: they are destroyed by the caller, with no lock held.
  [[nodiscard]] std::vector<BodyReference> SetRetention(std::int64_t retention, std::int64_t now)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<BodyReference> dropped;
    const MutexLock lock(mutex_);
    // Before that instant nothing is complete: it was not archived, or too old under the retention until now.
    begin_ = std::max(begin_, this->retention() == 0 ? now : now - this->retention());
    DropOld(now, messages_.size(), dropped);
    retention_.store(retention, std::memory_order_relaxed);  // without the mutex it is only a hint
    DropOld(retention == 0 ? kForever : now, messages_.size(), dropped);
    return dropped;
  }

  // 0: there is no archive.
  std::int64_t retention() const { return retention_.load(std::memory_order_relaxed); }

  // Nothing is missing that was published after this time. None: there is no archive.
  std::optional<std::int64_t> Begin(std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (retention() == 0) return std::nullopt;
    return std::max(begin_, now - retention());
  }

  // `now`: when the message was published. Drops a few of the messages that are too old.
  void Add(BodyReference body, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<BodyReference> dropped;  // destroyed after the mutex is released
    const MutexLock lock(mutex_);
    if (retention() == 0) return;  // the archive has ended meanwhile
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

  // Requires: the caller destroys `dropped` after it has released the mutex.
  void DropOld(std::int64_t now, std::size_t most, std::vector<BodyReference>& dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (; most > 0 && !messages_.empty() && SaturatingAdd(messages_.front().first, retention()) <= now; --most) {
      dropped.push_back(std::move(messages_.front().second));
      messages_.pop_front();
    }
  }

  std::atomic<std::int64_t> retention_{0};  // changed under the mutex
  mutable Mutex mutex_;
  std::int64_t begin_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<std::int64_t>::min();
  // Each message with the time of its publication, in ascending order of these.
  std::deque<std::pair<std::int64_t, BodyReference>> messages_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_TOPIC_ARCHIVE_H_
