// How one queue is linked to others for dead letters: the queue that its own go to, and those whose it takes.
//
// A queue keeps its dead-letter queue alive, so what is moved there can be found even when no other handle is left. The
// other direction only knows of the sources. Links form no loop (dead_letter_checks.h), so nothing keeps itself alive.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_DEAD_LETTER_LINKS_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_DEAD_LETTER_LINKS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace decouple::internal {

class QueueBase;

// All members may be called from any thread; all but the first take the mutex.
class DeadLetterLinks {
 public:
  static constexpr std::uint32_t kAnyNumber = UINT32_MAX;

  // A message received so often is moved instead of being received again.
  std::uint32_t max_receives() const { return max_receives_.load(std::memory_order_relaxed); }  // guards nothing

  // Null if there is none.
  std::shared_ptr<QueueBase> target() const {
    const std::lock_guard lock(mutex_);
    return target_;
  }

  // Returns the former one, so that it ends, if it does, outside of the mutex.
  std::shared_ptr<QueueBase> SetTarget(std::shared_ptr<QueueBase> target, std::uint32_t max_receives) {
    const std::lock_guard lock(mutex_);
    max_receives_.store(target == nullptr ? kAnyNumber : max_receives, std::memory_order_relaxed);
    target_.swap(target);
    return target;
  }

  void AddSource(std::weak_ptr<QueueBase> source) {
    const std::lock_guard lock(mutex_);
    std::erase_if(sources_, [](const auto& known) { return known.expired(); });
    sources_.push_back(std::move(source));
  }

  void RemoveSource(const std::weak_ptr<QueueBase>& source) {
    const std::lock_guard lock(mutex_);
    std::erase_if(sources_,
                  [&](const auto& known) { return !known.owner_before(source) && !source.owner_before(known); });
  }

  // Those that still have a handle.
  std::vector<std::shared_ptr<QueueBase>> sources() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<QueueBase>> alive;
    for (const auto& source : sources_) {
      if (std::shared_ptr<QueueBase> queue = source.lock()) alive.push_back(std::move(queue));
    }
    return alive;
  }

  // Only queues of these identities may have this one as their dead-letter queue; none given: all may.
  void SetAllowed(std::optional<std::vector<std::uint64_t>> identities) {
    const std::lock_guard lock(mutex_);
    allowed_ = std::move(identities);
  }

  bool Allows(std::uint64_t identity) const {
    const std::lock_guard lock(mutex_);
    return !allowed_ || std::find(allowed_->begin(), allowed_->end(), identity) != allowed_->end();
  }

 private:
  std::atomic<std::uint32_t> max_receives_{kAnyNumber};
  mutable std::mutex mutex_;
  std::shared_ptr<QueueBase> target_;
  std::vector<std::weak_ptr<QueueBase>> sources_;
  std::optional<std::vector<std::uint64_t>> allowed_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_DEAD_LETTER_LINKS_H_
