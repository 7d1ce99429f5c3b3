// A std::deque behind an absl::Mutex.
#ifndef DECOUPLE_BENCH_PEERS_ABSL_MUTEX_DEQUE_H_
#define DECOUPLE_BENCH_PEERS_ABSL_MUTEX_DEQUE_H_

#include "absl/synchronization/mutex.h"
#include "peers/locked_deque.h"

struct ByAbslMutex {
  static constexpr const char* kName = "absl_mutex_deque";
  using Mutex = absl::Mutex;
  using Hold = absl::MutexLock;
  static Mutex* ToHold(Mutex& mutex) { return &mutex; }
};

template <typename Body>
using AbslMutexDequePeer = LockedDeque<ByAbslMutex, Body>;

#endif  // DECOUPLE_BENCH_PEERS_ABSL_MUTEX_DEQUE_H_
