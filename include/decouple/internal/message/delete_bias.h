// Lets the one who holds a message in flight change its word by a plain store instead of a locked instruction, as long
// as nobody else may change it (biased locking; a seventh of a cycle, and in tens more than a third).
//
// Others rarely come between: the sweep and a purge, to messages that are due or to all, and who uses a receipt without
// the delivery, which needs another thread to have it. They revoke the bias first. So it is
//
//   given     within a RcuReadGuard in which IsGiven() said so, holders change their words by a load and a store
//   revoked   holders use a compare-exchange, as everybody does. Revoke() returns when no section is open any more in
//             which it may still have seemed given
//
// Several may revoke it; it is given again when all have called Restore().

#ifndef DECOUPLE_INTERNAL_MESSAGE_DELETE_BIAS_H_
#define DECOUPLE_INTERNAL_MESSAGE_DELETE_BIAS_H_

#include <atomic>
#include <cstdint>

#include "decouple/internal/base/rcu.h"

namespace decouple::internal {

class DeleteBias {
 public:
  // Until the section ends. Acquire: pairs with Restore(), whoever called it had changed words before.
  [[gnu::always_inline]] bool IsGiven(const RcuReadGuard&) const {
    return revoked_.load(std::memory_order_acquire) == 0;
  }

  // Not within a section. Some microseconds.
  void Revoke() {
    revoked_.fetch_add(1, std::memory_order_relaxed);
    RcuSynchronize();  // also if it was revoked: the other one may be waiting still
  }
  void Restore() { revoked_.fetch_sub(1, std::memory_order_release); }

  // For good. The first call as Revoke(), further ones a load.
  [[gnu::always_inline]] void End() {
    if (!is_over_.load(std::memory_order_acquire)) [[unlikely]] {
      Revoke();
      is_over_.store(true, std::memory_order_release);  // only now: others need not wait themselves
    }
  }

 private:
  std::atomic<std::uint32_t> revoked_{0};
  std::atomic<bool> is_over_{false};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_DELETE_BIAS_H_
