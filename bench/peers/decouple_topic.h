// A topic with subscribed queues: publish, then receive and delete from each.
#ifndef DECOUPLE_BENCH_PEERS_DECOUPLE_TOPIC_H_
#define DECOUPLE_BENCH_PEERS_DECOUPLE_TOPIC_H_

#include <cstddef>
#include <vector>

#include "decouple/standard_queue.h"
#include "decouple/topic.h"

class DecoupleTopicPeer {
 public:
  static constexpr const char* kName = "decouple";

  explicit DecoupleTopicPeer(std::size_t queues) : queues_(queues) {
    for (auto& queue : queues_) topic_.Subscribe(queue)->Detach();
  }

  void Publish(std::size_t number) { topic_.Publish(number).IgnoreError(); }

  // Receives up to ten messages from each queue. Returns their number.
  std::size_t ReceiveAll() {
    std::size_t received = 0;
    for (auto& queue : queues_) {
      auto deliveries = queue.Receive({.max_messages = 10});
      for (const auto& delivery : *deliveries) received += delivery.body() == 0 ? 0 : 1;
      deliveries->Delete().IgnoreError();
    }
    return received;
  }

 private:
  std::vector<decouple::StandardQueue<std::size_t>> queues_;
  decouple::Topic<std::size_t> topic_;
};

#endif  // DECOUPLE_BENCH_PEERS_DECOUPLE_TOPIC_H_
