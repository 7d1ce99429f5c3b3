// boost::lockfree::queue: enqueue and dequeue of trivially copyable bodies.
#ifndef DECOUPLE_BENCH_PEERS_BOOST_LOCKFREE_H_
#define DECOUPLE_BENCH_PEERS_BOOST_LOCKFREE_H_

#include <benchmark/benchmark.h>
#include <boost/lockfree/queue.hpp>

#include <cstddef>

#include "peers/shared_end.h"

template <typename Body>
class BoostLockfreePeer {
 public:
  static constexpr const char* kName = "boost_lockfree";

  void Send(const Body& body) { queue_.push(body); }
  std::size_t Receive() {
    Body body{};
    const bool found = queue_.pop(body);
    benchmark::DoNotOptimize(body);
    return found ? 1 : 0;
  }

  using Sender = SharedEnd<BoostLockfreePeer, Body>;
  using Receiver = SharedEnd<BoostLockfreePeer, Body>;

 private:
  boost::lockfree::queue<Body> queue_{1'024};  // grows
};

#endif  // DECOUPLE_BENCH_PEERS_BOOST_LOCKFREE_H_
