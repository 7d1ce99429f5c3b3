// The mutex of the library: std::mutex, with the annotations by which clang's -Wthread-safety checks that what a mutex
// guards is touched only while it is held. libstdc++'s std::mutex carries none.
//
//   mutable Mutex mutex_;
//   std::vector<Source> sources_ ABSL_GUARDED_BY(mutex_);
//
//   const MutexLock lock(mutex_);

#ifndef DECOUPLE_INTERNAL_BASE_MUTEX_H_
#define DECOUPLE_INTERNAL_BASE_MUTEX_H_

#include <mutex>

#include "absl/base/thread_annotations.h"

namespace decouple::inline v0_1::internal {

// Not recursive. Lock order: internal/README.md.
class ABSL_LOCKABLE Mutex {
 public:
  constexpr Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  bool try_lock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) { return mutex_.try_lock(); }

  // Tells the analysis, where it cannot see it, that the caller holds the mutex. Checks nothing at run time.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}

 private:
  friend class ConditionVariable;

  std::mutex mutex_;
};

// Holds a mutex from its construction to its end.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) { mutex_.lock(); }
  // Takes over a mutex that the caller has locked, by a try_lock() that succeeded.
  MutexLock(Mutex& mutex, std::adopt_lock_t) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) : mutex_(mutex) {}
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  Mutex& mutex_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_MUTEX_H_
