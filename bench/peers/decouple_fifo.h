// The whole cycle of a message of a FIFO queue in this library: send with a deduplication id, receive (which leases
// it), delete.
#ifndef DECOUPLE_BENCH_PEERS_DECOUPLE_FIFO_H_
#define DECOUPLE_BENCH_PEERS_DECOUPLE_FIFO_H_

#include <charconv>
#include <cstddef>
#include <string>

#include "decouple/fifo_queue.h"

class DecoupleFifoPeer {
 public:
  static constexpr const char* kName = "decouple";

  // Requires: each `number` is sent once.
  void Send(const std::string& group, std::size_t number) {
    char id[20];
    const auto end = std::to_chars(id, id + sizeof(id), number).ptr;
    queue_.Send(number, {.group = group, .deduplication_id = std::string(id, end)}).IgnoreError();
  }

  // Returns the number of messages received.
  std::size_t Receive() {
    auto received = queue_.Receive();
    for (auto& delivery : *received) delivery.Delete().IgnoreError();
    return received->size();
  }

 private:
  decouple::FifoQueue<std::size_t> queue_;
};

#endif  // DECOUPLE_BENCH_PEERS_DECOUPLE_FIFO_H_
