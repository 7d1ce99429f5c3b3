// What a FIFO topic has published, for replay: in the order of publication, each message for so long.

#ifndef DECOUPLE_INTERNAL_TOPIC_TOPIC_ARCHIVE_H_
#define DECOUPLE_INTERNAL_TOPIC_TOPIC_ARCHIVE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::internal {

// All members may be called from any thread.
class TopicArchive {
 public:
  explicit TopicArchive(std::int64_t retention) : retention_(retention) {}

  // `now`: when it was published. What is too old goes, some of it at each call.
  void Add(BodyReference body, std::int64_t now) {
    std::vector<BodyReference> over;  // ends outside of the mutex
    const std::lock_guard lock(mutex_);
    kept_.emplace_back(kept_.empty() ? now : std::max(now, kept_.back().first), std::move(body));
    DropOld(now, kDropsPerCall, over);
  }

  // From `from` on, before `to`, and not too old at `now`.
  std::vector<BodyReference> Between(std::int64_t from, std::int64_t to, std::int64_t now) {
    std::vector<BodyReference> over;
    std::vector<BodyReference> found;
    const std::lock_guard lock(mutex_);
    DropOld(now, kept_.size(), over);
    const auto begin = std::lower_bound(kept_.begin(), kept_.end(), from,
                                        [](const auto& one, std::int64_t time) { return one.first < time; });
    for (auto one = begin; one != kept_.end() && one->first < to; ++one)
      found.push_back(BodyReference::On(*one->second));
    return found;
  }

 private:
  static constexpr std::size_t kDropsPerCall = 4;

  void DropOld(std::int64_t now, std::size_t most, std::vector<BodyReference>& over) {
    for (; most > 0 && !kept_.empty() && SaturatingAdd(kept_.front().first, retention_) <= now; --most) {
      over.push_back(std::move(kept_.front().second));
      kept_.pop_front();
    }
  }

  const std::int64_t retention_;
  std::mutex mutex_;
  std::deque<std::pair<std::int64_t, BodyReference>> kept_;  // by when they were published; under the mutex
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_TOPIC_ARCHIVE_H_
