// Tells whether a thread still exists, to threads that come after it.
//
//   record.life.TryTake()      // the thread that takes the record; holds it until the thread is gone
//
// A thread's last words are not its end: destructors of thread_local objects and of pthread keys run one after the
// other, and each may use the library, after whatever the library itself would register. So nothing that runs in the
// thread can say that it was the last. The system can: a robust mutex that its owner never unlocks is given to the next
// one who asks (EOWNERDEAD) once the owner has left the process, and not before. The kernel does so before a join
// returns. To ask is an atomic instruction, without a system call.

#ifndef DECOUPLE_INTERNAL_BASE_THREAD_LIFE_H_
#define DECOUPLE_INTERNAL_BASE_THREAD_LIFE_H_

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

namespace decouple::inline v0_1::internal {

#if defined(__linux__) && !defined(__ANDROID__)
class ThreadLife {
 public:
  // Whether the system tells of the end. If not, the thread gives it back itself, in the last round of its destructors.
  static constexpr bool kEndsWithThread = true;

  ThreadLife() { Initialize(); }
  ThreadLife(const ThreadLife&) = delete;
  ThreadLife& operator=(const ThreadLife&) = delete;

  // True: nobody had it, or the thread that had it is gone. From now on the calling thread has it, until it is gone.
  // Acquire: what that thread did comes before.
  bool TryTake() {
    const int result = pthread_mutex_trylock(&mutex_);
    if (result == EOWNERDEAD) pthread_mutex_consistent(&mutex_);
    return result == 0 || result == EOWNERDEAD;
  }

  // Requires: the calling thread has it.
  void GiveBack() { pthread_mutex_unlock(&mutex_); }

  // Forgets who had it. Requires: no other thread uses it.
  void Reset() { Initialize(); }

 private:
  void Initialize() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    if (pthread_mutex_init(&mutex_, &attributes) != 0) std::abort();  // of the attributes, none can be refused
    pthread_mutexattr_destroy(&attributes);
  }

  pthread_mutex_t mutex_;
};
#else
class ThreadLife {
 public:
  static constexpr bool kEndsWithThread = false;

  // Acquire: pairs with the release in GiveBack().
  bool TryTake() { return !taken_.exchange(true, std::memory_order_acquire); }
  void GiveBack() { taken_.store(false, std::memory_order_release); }
  void Reset() { GiveBack(); }

 private:
  std::atomic<bool> taken_{false};
};
#endif

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_THREAD_LIFE_H_
