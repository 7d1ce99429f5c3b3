// The whole cycle of a message here: send, receive (which leases it), delete.
#ifndef DECOUPLE_BENCH_PEERS_DECOUPLE_H_
#define DECOUPLE_BENCH_PEERS_DECOUPLE_H_

#include <cstddef>

#include "decouple/standard_queue.h"

template <std::size_t kBatch>
class DecouplePeer {
 public:
  static constexpr const char* kName = "decouple";
  static constexpr std::size_t kAtOnce = kBatch;

  void Send(std::size_t number) {
    for (std::size_t i = 0; i < kBatch; ++i) queue_.Send(number + i).IgnoreError();
  }

  // Returns how many were there.
  std::size_t Receive() {
    auto received = queue_.Receive({.max_messages = kBatch});
    for (auto& delivery : *received) delivery.Delete().IgnoreError();
    return received->size();
  }

 private:
  decouple::StandardQueue<std::size_t> queue_;
};

#endif  // DECOUPLE_BENCH_PEERS_DECOUPLE_H_
