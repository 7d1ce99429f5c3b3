// What T may be: over-aligned, or large.

#include <array>
#include <cstdint>

#include "queue_testing.h"

namespace decouple::testing {

struct alignas(128) OverAligned {
  int value = 0;
};

TEST_CASE("a body may be aligned more than a cache line") {
  ManualClock clock;
  auto queue = Make<StandardQueue<OverAligned>>(clock);
  for (int i = 0; i < 1000; ++i) REQUIRE(queue.Send({i}).ok());
  for (int i = 0; i < 1000; ++i) {
    const auto delivery = ReceiveOne(queue);
    REQUIRE(delivery.body().value == i);
    REQUIRE(reinterpret_cast<std::uintptr_t>(&delivery.body()) % 128 == 0);
  }
}

TEST_CASE("a body may be large") {
  ManualClock clock;
  auto queue = Make<StandardQueue<std::array<char, 100'000>>>(clock);
  for (int i = 0; i < 100; ++i) {
    std::array<char, 100'000> body;
    body.fill(static_cast<char>(i));
    REQUIRE(queue.Send(body).ok());
  }
  for (int i = 0; i < 100; ++i) REQUIRE(ReceiveOne(queue).body()[99'999] == static_cast<char>(i));
}

}  // namespace decouple::testing
