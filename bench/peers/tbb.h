// tbb::concurrent_queue: enqueue and dequeue.
#ifndef DECOUPLE_BENCH_PEERS_TBB_H_
#define DECOUPLE_BENCH_PEERS_TBB_H_

#include <benchmark/benchmark.h>
#include <tbb/concurrent_queue.h>

#include <cstddef>

#include "peers/shared_end.h"

template <typename Body>
class TbbPeer {
 public:
  static constexpr const char* kName = "tbb";

  void Send(const Body& body) { queue_.push(body); }
  std::size_t Receive() {
    Body body{};
    const bool found = queue_.try_pop(body);
    benchmark::DoNotOptimize(body);
    return found ? 1 : 0;
  }

  using Sender = SharedEnd<TbbPeer, Body>;
  using Receiver = SharedEnd<TbbPeer, Body>;

 private:
  tbb::concurrent_queue<Body> queue_;
};

#endif  // DECOUPLE_BENCH_PEERS_TBB_H_
