// Lets the holder of a message in flight delete it by a plain store instead of a locked instruction, as long as no
// other thread may change the message's word (biased locking; exp. 14).
//
// Other threads rarely interfere: the timeout sweep and a purge do, and a caller that uses a receipt without its
// delivery. They revoke the bias first. So it is
//
//   given     within an RcuReadGuard in which IsGiven() returned true, holders change their words by a load and a store
//   revoked   holders use a compare-exchange, like every other thread. Revoke() returns when no read section is open in
//             which the bias may still have seemed given
//
// Several threads may revoke it at once; it is given again when all of them have called Restore().

#ifndef DECOUPLE_INTERNAL_MESSAGE_DELETE_BIAS_H_
#define DECOUPLE_INTERNAL_MESSAGE_DELETE_BIAS_H_

#include <atomic>
#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/rcu.h"

namespace decouple::inline v0_1::internal {

class DeleteBias {
 public:
  // The answer holds until the read section ends. Acquire: pairs with the release in Restore(), whose caller had
  // changed words before.
  [[gnu::always_inline]] bool IsGiven(const RcuReadGuard&) const {
    return revoked_.load(std::memory_order_acquire) == 0;
  }

  // Requires: the caller is in no read section. Takes some microseconds.
  void Revoke() {
    revoked_.fetch_add(1, std::memory_order_relaxed);
    RcuSynchronize();  // also if it was revoked already: the thread that did so may still be waiting here
  }

  // Requires: the caller has called Revoke(), and has not restored the bias since.
  void Restore() {
    [[maybe_unused]] const std::uint32_t revoked = revoked_.fetch_sub(1, std::memory_order_release);
    DECOUPLE_ASSERT(revoked > 0);
  }

  // Revokes the bias for good. The first call costs as much as Revoke(), further ones a load.
  [[gnu::always_inline]] void End() {
    if (!is_over_.load(std::memory_order_acquire)) [[unlikely]] {
      Revoke();
      is_over_.store(true, std::memory_order_release);  // not before: other threads skip the wait once they see it
    }
  }

 private:
  std::atomic<std::uint32_t> revoked_{0};  // how many threads have revoked it
  std::atomic<bool> is_over_{false};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_DELETE_BIAS_H_
