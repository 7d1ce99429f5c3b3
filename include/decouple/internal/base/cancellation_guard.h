// Puts off the cancellation of the calling thread (pthread_cancel) while the library waits or reads a file.
//
// Code of the user's may be cancelled; the library's own is not prepared for it everywhere: a wait on a condition
// variable that is cancelled takes the mutex again and unlocks it once more than it was locked, and a constructor would
// stay half done. A cancellation that comes meanwhile takes effect at the thread's next cancellation point behind the
// guard.

#ifndef DECOUPLE_INTERNAL_BASE_CANCELLATION_GUARD_H_
#define DECOUPLE_INTERNAL_BASE_CANCELLATION_GUARD_H_

#include <pthread.h>

#include "decouple/version.h"

namespace decouple::inline v0_1::internal {

class CancellationGuard {
 public:
  CancellationGuard() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_before_); }
  CancellationGuard(const CancellationGuard&) = delete;
  CancellationGuard& operator=(const CancellationGuard&) = delete;
  ~CancellationGuard() { pthread_setcancelstate(state_before_, nullptr); }

 private:
  int state_before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_CANCELLATION_GUARD_H_
