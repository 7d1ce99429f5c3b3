// Who may deliver to a queue; asked at each delivery.

#ifndef DECOUPLE_INTERNAL_QUEUE_ACCESS_POLICY_H_
#define DECOUPLE_INTERNAL_QUEUE_ACCESS_POLICY_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <variant>
#include <vector>

#include "decouple/access_policy.h"
#include "decouple/internal/base/access.h"

namespace decouple::internal {

// All members may be called from any thread. As long as everybody may, asking is one load.
class AccessPolicy {
 public:
  void Set(const SendersPolicy& policy) {
    const std::lock_guard lock(mutex_);
    const auto* const some = std::get_if<AllowSenders>(&policy);
    allowed_.clear();
    if (some != nullptr) {
      for (const TopicReference& topic : some->topics) allowed_.push_back(Access::Identity(topic));
    }
    everybody_.store(some == nullptr, std::memory_order_relaxed);  // in force for deliveries that begin later
  }

  bool AllowsEverybody() const { return everybody_.load(std::memory_order_relaxed); }

  bool Allows(std::uint64_t topic) const {
    if (AllowsEverybody()) [[likely]]
      return true;
    const std::lock_guard lock(mutex_);
    return std::find(allowed_.begin(), allowed_.end(), topic) != allowed_.end();
  }

 private:
  std::atomic<bool> everybody_{true};
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> allowed_;  // under the mutex
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_ACCESS_POLICY_H_
