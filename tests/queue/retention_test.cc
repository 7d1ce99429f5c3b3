// Which calls remove the messages that are past their retention.

#include <utility>

#include "queue_testing.h"

namespace decouple::testing {

// Counts its objects that are alive.
class Counted {
 public:
  explicit Counted(int* alive) : alive_(alive) { ++*alive_; }
  Counted(Counted&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
  ~Counted() {
    if (alive_ != nullptr) --*alive_;
  }

 private:
  int* alive_;
};

TEST_CASE("sends alone remove the messages that have expired") {
  ManualClock clock;
  int alive = 0;
  auto queue = Make<StandardQueue<Counted>>(clock, {.retention = Hours(1)});
  const auto send = [&](int n) {
    for (int i = 0; i < n; ++i) REQUIRE(queue.Send(Counted(&alive)).ok());
  };
  constexpr int kMany = 6'400;
  constexpr int kRest = 128;  // a send notices so many expired messages late, at most
  send(kMany);
  clock.Advance(Hours(1) - kOneNanosecond);
  send(kMany);
  CHECK(alive == 2 * kMany);
  clock.Advance(kOneNanosecond);  // the first ones expire
  send(kMany);
  CHECK(alive >= 2 * kMany);
  CHECK(alive <= 2 * kMany + kRest);
  clock.Advance(Hours(1) - kOneNanosecond);  // the second, too, but not the third, sent a nanosecond later
  send(2 * kMany);
  CHECK(alive >= 3 * kMany);
  CHECK(alive <= 3 * kMany + kRest);
  REQUIRE(queue.SetAttributes({.retention = Minutes(1)}).ok());
  clock.Advance(Minutes(1));  // the new retention holds for all
  send(2 * kMany);
  CHECK(alive <= 2 * kMany + kRest);
}

}  // namespace decouple::testing
