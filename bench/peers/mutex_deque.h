// A std::deque behind a std::mutex.
#ifndef DECOUPLE_BENCH_PEERS_MUTEX_DEQUE_H_
#define DECOUPLE_BENCH_PEERS_MUTEX_DEQUE_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>

#include "peers/shared_end.h"

template <typename Body>
class MutexDequePeer {
 public:
  static constexpr const char* kName = "mutex_deque";

  void Send(const Body& body) {
    const std::lock_guard lock(mutex_);
    bodies_.push_back(body);
  }
  std::size_t Receive() {
    const std::lock_guard lock(mutex_);
    if (bodies_.empty()) return 0;
    const Body body = std::move(bodies_.front());
    bodies_.pop_front();
    benchmark::DoNotOptimize(body);
    return 1;
  }

  using Sender = SharedEnd<MutexDequePeer, Body>;
  using Receiver = SharedEnd<MutexDequePeer, Body>;

 private:
  std::mutex mutex_;
  std::deque<Body> bodies_;
};

#endif  // DECOUPLE_BENCH_PEERS_MUTEX_DEQUE_H_
