// A queue's access policy: which topics may deliver to it. Each delivery by a topic asks it.

#ifndef DECOUPLE_INTERNAL_QUEUE_ACCESS_POLICY_H_
#define DECOUPLE_INTERNAL_QUEUE_ACCESS_POLICY_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/access_policy.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/mutex.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread. As long as all topics are allowed, Allows() is one load.
class AccessPolicy {
 public:
  void Set(const SendersPolicy& policy) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const auto* const senders = std::get_if<AllowSenders>(&policy);
    allowed_ = senders == nullptr ? std::vector<TopicReference>() : senders->topics;
    allows_everybody_.store(senders == nullptr,
                            std::memory_order_relaxed);  // in force for deliveries that begin later
  }

  bool AllowsEverybody() const { return allows_everybody_.load(std::memory_order_relaxed); }

  bool Allows(std::uint64_t topic) const ABSL_LOCKS_EXCLUDED(mutex_) {
    if (AllowsEverybody()) return true;
    const MutexLock lock(mutex_);
    return std::any_of(allowed_.begin(), allowed_.end(),
                       [&](const TopicReference& allowed) { return Access::Identity(allowed) == topic; });
  }

  SendersPolicy policy() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (AllowsEverybody()) return AllowAllSenders{};
    return AllowSenders{allowed_};
  }

 private:
  std::atomic<bool> allows_everybody_{true};
  mutable Mutex mutex_;
  std::vector<TopicReference> allowed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_ACCESS_POLICY_H_
