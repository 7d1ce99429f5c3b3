// A std::deque behind a mutex. `Kind` gives the type of the mutex, that of its lock, and the name.
#ifndef DECOUPLE_BENCH_PEERS_LOCKED_DEQUE_H_
#define DECOUPLE_BENCH_PEERS_LOCKED_DEQUE_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <deque>
#include <utility>

#include "peers/shared_end.h"

template <typename Kind, typename Body>
class LockedDeque {
 public:
  static constexpr const char* kName = Kind::kName;

  void Send(const Body& body) {
    const typename Kind::Hold hold(Kind::ToHold(mutex_));
    bodies_.push_back(body);
  }
  std::size_t Receive() {
    const typename Kind::Hold hold(Kind::ToHold(mutex_));
    if (bodies_.empty()) return 0;
    const Body body = std::move(bodies_.front());
    bodies_.pop_front();
    benchmark::DoNotOptimize(body);
    return 1;
  }

  using Sender = SharedEnd<LockedDeque, Body>;
  using Receiver = SharedEnd<LockedDeque, Body>;

 private:
  typename Kind::Mutex mutex_;
  std::deque<Body> bodies_;
};

#endif  // DECOUPLE_BENCH_PEERS_LOCKED_DEQUE_H_
