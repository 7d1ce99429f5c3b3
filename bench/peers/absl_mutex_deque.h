// A std::deque behind an absl::Mutex.
#ifndef DECOUPLE_BENCH_PEERS_ABSL_MUTEX_DEQUE_H_
#define DECOUPLE_BENCH_PEERS_ABSL_MUTEX_DEQUE_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <deque>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "peers/shared_end.h"

template <typename Body>
class AbslMutexDequePeer {
 public:
  static constexpr const char* kName = "absl_mutex_deque";

  void Send(const Body& body) {
    const absl::MutexLock lock(&mutex_);
    bodies_.push_back(body);
  }
  std::size_t Receive() {
    const absl::MutexLock lock(&mutex_);
    if (bodies_.empty()) return 0;
    const Body body = std::move(bodies_.front());
    bodies_.pop_front();
    benchmark::DoNotOptimize(body);
    return 1;
  }

  using Sender = SharedEnd<AbslMutexDequePeer, Body>;
  using Receiver = SharedEnd<AbslMutexDequePeer, Body>;

 private:
  absl::Mutex mutex_;
  std::deque<Body> bodies_;
};

#endif  // DECOUPLE_BENCH_PEERS_ABSL_MUTEX_DEQUE_H_
