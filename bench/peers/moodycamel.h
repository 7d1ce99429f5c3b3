// moodycamel::ConcurrentQueue: enqueue and dequeue, without timeouts, receipts or redelivery. With implicit producers,
// with a token for each thread, and the blocking variant.
#ifndef DECOUPLE_BENCH_PEERS_MOODYCAMEL_H_
#define DECOUPLE_BENCH_PEERS_MOODYCAMEL_H_

#include <benchmark/benchmark.h>
#include <concurrentqueue/blockingconcurrentqueue.h>
#include <concurrentqueue/concurrentqueue.h>

#include <array>
#include <cstddef>

#include "peers/shared_end.h"

// Without tokens. `Kind` gives the type of the queue and the name.
template <typename Kind, typename Body>
class MoodycamelOf {
 public:
  static constexpr const char* kName = Kind::kName;

  void Send(const Body& body) { queue_.enqueue(body); }
  std::size_t Receive() {
    Body body{};
    const bool found = queue_.try_dequeue(body);
    benchmark::DoNotOptimize(body);
    return found ? 1 : 0;
  }

  using Sender = SharedEnd<MoodycamelOf, Body>;
  using Receiver = SharedEnd<MoodycamelOf, Body>;

 private:
  typename Kind::template Queue<Body> queue_;
};

struct Implicit {
  static constexpr const char* kName = "moodycamel";
  template <typename Body>
  using Queue = moodycamel::ConcurrentQueue<Body>;
};
template <typename Body>
using MoodycamelPeer = MoodycamelOf<Implicit, Body>;

struct Blocking {
  static constexpr const char* kName = "moodycamel_blocking";
  template <typename Body>
  using Queue = moodycamel::BlockingConcurrentQueue<Body>;
};
template <typename Body>
using MoodycamelBlockingPeer = MoodycamelOf<Blocking, Body>;

template <typename Body>
class MoodycamelTokensPeer {
 public:
  static constexpr const char* kName = "moodycamel_tokens";

  class Sender {
   public:
    explicit Sender(MoodycamelTokensPeer& peer) : queue_(peer.queue_), token_(queue_) {}

    void Send(const Body& body) { queue_.enqueue(token_, body); }
    void SendTen(const Body& body) {
      std::array<Body, 10> bodies{};
      bodies.fill(body);
      queue_.enqueue_bulk(token_, bodies.begin(), bodies.size());
    }

   private:
    moodycamel::ConcurrentQueue<Body>& queue_;
    moodycamel::ProducerToken token_;
  };

  class Receiver {
   public:
    explicit Receiver(MoodycamelTokensPeer& peer) : queue_(peer.queue_), token_(queue_) {}

    std::size_t Receive() {
      Body body{};
      const bool found = queue_.try_dequeue(token_, body);
      benchmark::DoNotOptimize(body);
      return found ? 1 : 0;
    }
    std::size_t ReceiveTen() {
      std::array<Body, 10> bodies{};
      const std::size_t found = queue_.try_dequeue_bulk(token_, bodies.begin(), bodies.size());
      benchmark::DoNotOptimize(bodies);
      return found;
    }

   private:
    moodycamel::ConcurrentQueue<Body>& queue_;
    moodycamel::ConsumerToken token_;
  };

 private:
  moodycamel::ConcurrentQueue<Body> queue_;
};

#endif  // DECOUPLE_BENCH_PEERS_MOODYCAMEL_H_
