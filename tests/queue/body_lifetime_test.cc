// Deliveries and handles may end in any order, on any thread.

#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "queue_testing.h"

namespace decouple::testing {

TEST_CASE("deliveries may end on other threads than the queue's handles") {
  ManualClock clock;
  const auto counted = std::make_shared<int>(1);
  for (int round = 0; round < 200; ++round) {
    auto queue =
        std::make_unique<StandardQueue<std::shared_ptr<int>>>(Make<StandardQueue<std::shared_ptr<int>>>(clock));
    for (int i = 0; i < 8; ++i) REQUIRE(queue->Send(counted).ok());
    auto first = queue->Receive({.max_messages = 3});
    auto second = queue->Receive({.max_messages = 3});
    std::atomic<int> arrived = 0;
    const auto meet = [&] {
      arrived.fetch_add(1);
      while (arrived.load() < 2) {
      }
    };
    std::thread other([&, deliveries = std::move(first).value()]() mutable {
      deliveries[0].Delete().IgnoreError();
      meet();
      auto gone = std::move(deliveries);
    });
    meet();
    queue.reset();
    { auto gone = std::move(second).value(); }
    other.join();
    REQUIRE(counted.use_count() == 1);
  }
}

CONFORMANCE_TEST(
    "a body that queues share ends with its last user, even after the message came back to its first queue") {
  using Queue = typename QueueKind<TestType>::template Of<std::shared_ptr<int>>;
  ManualClock clock;
  const auto counted = std::make_shared<int>(1);
  {
    auto dead = Make<Queue>(clock);
    auto live = Make<Queue>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
    SendAll(live, counted);
    const auto shown = ReceiveOne(live);  // so that the body stays in its slot, wherever the message goes
    clock.Advance(Seconds(30));
    REQUIRE(ReceivesNothing(live));
    REQUIRE(dead.StartMessageMoveTask()->Step() == MessageMoveStatus::kCompleted);
    CHECK(live.Counts().ready == 1);
    CHECK(counted.use_count() == 2);
  }
  CHECK(counted.use_count() == 1);
}

}  // namespace decouple::testing
