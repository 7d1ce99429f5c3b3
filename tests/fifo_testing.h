// What the tests of FIFO queues share.

#ifndef DECOUPLE_TESTS_FIFO_TESTING_H_
#define DECOUPLE_TESTS_FIFO_TESTING_H_

#include <cstddef>
#include <string>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

using Fifo = FifoQueue<int>;

// Sends the bodies in this order into one group; the body is the deduplication id, too.
inline void SendTo(Fifo& queue, const std::string& group, const std::vector<int>& bodies) {
  for (const int body : bodies) {
    REQUIRE(queue.Send(body, {.group = group, .deduplication_id = std::to_string(body)}).ok());
  }
}

inline std::vector<int> BodiesOf(const Deliveries<int>& deliveries) {
  std::vector<int> bodies;
  for (const auto& delivery : deliveries) bodies.push_back(delivery.body());
  return bodies;
}

// The messages of one receive, which stay in flight.
inline std::vector<int> Next(Fifo& queue, std::size_t most = 10) {
  return BodiesOf(*queue.Receive({.max_messages = most}));
}

inline const std::vector<int> kNone;

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_FIFO_TESTING_H_
