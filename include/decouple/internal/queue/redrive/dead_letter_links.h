// How one queue is linked to others for dead letters: the queue that its dead letters go to, and the queues whose dead
// letters it takes.
//
// A queue keeps its dead-letter queue alive, so messages that were moved there can be found even when no other handle
// is left. In the other direction a queue only knows its sources. Links form no loop (redrive_attributes.h), so no
// queue keeps itself alive.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_DEAD_LETTER_LINKS_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_DEAD_LETTER_LINKS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"

namespace decouple::inline v0_1::internal {

class QueueBase;

// All members may be called from any thread; all but max_receives() take the mutex. Only LinkDeadLetters() changes the
// target and the sources.
class DeadLetterLinks {
 public:
  static constexpr std::uint32_t kAnyNumber = UINT32_MAX;

  // A message that was received this often is moved instead of being received again. Relaxed: it publishes nothing; the
  // caller reads the target under the mutex.
  std::uint32_t max_receives() const { return max_receives_.load(std::memory_order_relaxed); }

  // Null: the queue has no dead-letter queue.
  std::shared_ptr<QueueBase> target() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return target_;
  }

  // The target with the number of receives that belongs to it.
  struct Link {
    std::shared_ptr<QueueBase> target;  // null: the queue has no dead-letter queue
    std::uint32_t max_receives;
  };
  Link link() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return {target_, max_receives()};  // stored under the mutex, too
  }

  // Returns the former target, so that the caller drops what may be its last reference outside of the mutex.
  std::shared_ptr<QueueBase> SetTarget(std::shared_ptr<QueueBase> target, std::uint32_t max_receives)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    DECOUPLE_ASSERT(target == nullptr || max_receives > 0);
    max_receives_.store(target == nullptr ? kAnyNumber : max_receives, std::memory_order_relaxed);
    target_.swap(target);
    return target;
  }

  void AddSource(std::weak_ptr<QueueBase> source) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::erase_if(sources_, [](const auto& entry) { return entry.expired(); });
    sources_.push_back(std::move(source));
  }

  void RemoveSource(const std::weak_ptr<QueueBase>& source) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::erase_if(sources_,
                  [&](const auto& entry) { return !entry.owner_before(source) && !source.owner_before(entry); });
  }

  // The sources that still have a handle.
  std::vector<std::shared_ptr<QueueBase>> sources() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::vector<std::shared_ptr<QueueBase>> alive;
    for (const auto& source : sources_) {
      if (std::shared_ptr<QueueBase> queue = source.lock()) alive.push_back(std::move(queue));
    }
    return alive;
  }

  // A queue that may have this one as its dead-letter queue. Its identity outlives it.
  struct Allowed {
    std::uint64_t identity;
    std::weak_ptr<QueueBase> queue;
  };

  // Only these queues may have this queue as their dead-letter queue; nullopt: all may.
  void SetAllowed(std::optional<std::vector<Allowed>> allowed) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    allowed_ = std::move(allowed);
  }

  std::optional<std::vector<Allowed>> allowed() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return allowed_;
  }

  bool Allows(std::uint64_t identity) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return !allowed_ || std::any_of(allowed_->begin(), allowed_->end(),
                                    [&](const Allowed& source) { return source.identity == identity; });
  }

 private:
  std::atomic<std::uint32_t> max_receives_{kAnyNumber};
  mutable Mutex mutex_;
  std::shared_ptr<QueueBase> target_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<QueueBase>> sources_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::vector<Allowed>> allowed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_DEAD_LETTER_LINKS_H_
