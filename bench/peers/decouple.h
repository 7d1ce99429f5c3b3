// The whole cycle of a message in this library: send, receive (which leases it), delete.
#ifndef DECOUPLE_BENCH_PEERS_DECOUPLE_H_
#define DECOUPLE_BENCH_PEERS_DECOUPLE_H_

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>

#include "decouple/standard_queue.h"

template <typename Body>
class DecouplePeer {
 public:
  static constexpr const char* kName = "decouple";

  class End {
   public:
    explicit End(DecouplePeer& peer) : queue_(peer.queue_) {}

    void Send(const Body& body) { queue_.Send(body).IgnoreError(); }

    void SendTen(const Body& body) {
      std::array<Body, 10> bodies{};
      bodies.fill(body);
      queue_.SendBatch(bodies).IgnoreError();
    }

    std::size_t Receive() {
      auto received = queue_.Receive();
      for (auto& delivery : *received) {
        benchmark::DoNotOptimize(delivery.body());
        delivery.Delete().IgnoreError();
      }
      return received->size();
    }

    std::size_t ReceiveTen() {
      auto received = queue_.Receive({.max_messages = 10});
      for (auto& delivery : *received) benchmark::DoNotOptimize(delivery.body());
      received->Delete().IgnoreError();
      return received->size();
    }

   private:
    decouple::StandardQueue<Body>& queue_;
  };
  using Sender = End;
  using Receiver = End;

 private:
  decouple::StandardQueue<Body> queue_;
};

#endif  // DECOUPLE_BENCH_PEERS_DECOUPLE_H_
