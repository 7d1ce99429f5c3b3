// Fan-out by hand: a shared_ptr is put into each of many of moodycamel's queues, and taken out again.
#ifndef DECOUPLE_BENCH_PEERS_MOODYCAMEL_FAN_OUT_H_
#define DECOUPLE_BENCH_PEERS_MOODYCAMEL_FAN_OUT_H_

#include <concurrentqueue/concurrentqueue.h>

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

class MoodycamelFanOutPeer {
 public:
  static constexpr const char* kName = "moodycamel";

  explicit MoodycamelFanOutPeer(std::size_t queues) : queues_(queues) {}

  void Publish(std::size_t number) {
    const auto body = std::make_shared<const std::size_t>(number);
    for (auto& queue : queues_) queue.enqueue(body);
  }

  std::size_t ReceiveAll() {
    std::size_t received = 0;
    for (auto& queue : queues_) {
      std::array<std::shared_ptr<const std::size_t>, 10> bodies;
      const std::size_t n = queue.try_dequeue_bulk(bodies.begin(), bodies.size());
      for (std::size_t i = 0; i < n; ++i) received += *bodies[i] == 0 ? 0 : 1;
    }
    return received;
  }

 private:
  std::vector<moodycamel::ConcurrentQueue<std::shared_ptr<const std::size_t>>> queues_;
};

#endif  // DECOUPLE_BENCH_PEERS_MOODYCAMEL_FAN_OUT_H_
