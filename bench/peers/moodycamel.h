// moodycamel::ConcurrentQueue: enqueue and dequeue, without time, receipts or redelivery.
#ifndef DECOUPLE_BENCH_PEERS_MOODYCAMEL_H_
#define DECOUPLE_BENCH_PEERS_MOODYCAMEL_H_

#include <concurrentqueue/concurrentqueue.h>

#include <array>
#include <cstddef>

template <std::size_t kBatch>
class MoodycamelPeer {
 public:
  static constexpr const char* kName = "moodycamel";
  static constexpr std::size_t kAtOnce = kBatch;

  void Send(std::size_t number) {
    for (std::size_t i = 0; i < kBatch; ++i) queue_.enqueue(number + i);
  }

  std::size_t Receive() {
    std::array<std::size_t, kBatch> numbers;
    if constexpr (kBatch == 1) {
      return queue_.try_dequeue(numbers[0]) ? 1 : 0;
    } else {
      return queue_.try_dequeue_bulk(numbers.begin(), kBatch);
    }
  }

 private:
  moodycamel::ConcurrentQueue<std::size_t> queue_;
};

#endif  // DECOUPLE_BENCH_PEERS_MOODYCAMEL_H_
