// The sender and receiver of peers whose threads need no state of their own.
#ifndef DECOUPLE_BENCH_PEERS_SHARED_END_H_
#define DECOUPLE_BENCH_PEERS_SHARED_END_H_

#include <cstddef>

template <typename Peer, typename Body>
class SharedEnd {
 public:
  explicit SharedEnd(Peer& peer) : peer_(peer) {}
  void Send(const Body& body) { peer_.Send(body); }
  // Takes one message; returns the number taken.
  std::size_t Receive() { return peer_.Receive(); }

 private:
  Peer& peer_;
};

#endif  // DECOUPLE_BENCH_PEERS_SHARED_END_H_
