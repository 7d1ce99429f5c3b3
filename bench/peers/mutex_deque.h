// A std::deque behind a std::mutex.
#ifndef DECOUPLE_BENCH_PEERS_MUTEX_DEQUE_H_
#define DECOUPLE_BENCH_PEERS_MUTEX_DEQUE_H_

#include <mutex>

#include "peers/locked_deque.h"

struct ByStdMutex {
  static constexpr const char* kName = "mutex_deque";
  using Mutex = std::mutex;
  using Hold = std::lock_guard<Mutex>;
  static Mutex& ToHold(Mutex& mutex) { return mutex; }
};

template <typename Body>
using MutexDequePeer = LockedDeque<ByStdMutex, Body>;

#endif  // DECOUPLE_BENCH_PEERS_MUTEX_DEQUE_H_
