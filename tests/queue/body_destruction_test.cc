// The destructor of a body is user code, which may use queues.

#include <memory>
#include <utility>

#include "queue_testing.h"

namespace decouple::testing {

// Sends a message when it is destroyed.
struct Echo {
  StandardQueue<int>* queue = nullptr;

  explicit Echo(StandardQueue<int>* to) : queue(to) {}
  Echo(Echo&& other) noexcept : queue(std::exchange(other.queue, nullptr)) {}
  ~Echo() {
    if (queue != nullptr) queue->Send(1).IgnoreError();
  }
};

TEST_CASE("a body's destructor may use queues, however the message ends") {
  ManualClock clock;
  auto echoes = Make<StandardQueue<int>>(clock);
  {
    auto queue = Make<StandardQueue<Echo>>(clock, {.retention = Minutes(1)});
    for (int i = 0; i < 6; ++i) REQUIRE(queue.Send(Echo(&echoes)).ok());
    REQUIRE(ReceiveOne(queue).Delete().ok());
    REQUIRE(queue.Delete(ReceiveOne(queue).receipt()).ok());
    CHECK(echoes.Counts().ready == 2);
    ReceiveOne(queue);
    clock.Advance(Minutes(1));
    CHECK(queue.Counts().total() == 0);
    CHECK(echoes.Statistics().number_of_messages_sent == 6);
    REQUIRE(queue.Send(Echo(&echoes)).ok());
    REQUIRE(queue.Purge().ok());
    CHECK(echoes.Statistics().number_of_messages_sent == 7);
    REQUIRE(queue.Send(Echo(&echoes)).ok());
  }
  CHECK(echoes.Statistics().number_of_messages_sent == 8);
}

// A message that holds a handle of the queue that it is in.
struct SelfReference {
  std::shared_ptr<StandardQueue<SelfReference>> queue;
};

TEST_CASE("a body may hold a handle of its own queue") {
  ManualClock clock;
  auto queue = std::make_shared<StandardQueue<SelfReference>>(Make<StandardQueue<SelfReference>>(clock));
  REQUIRE(queue->Send({queue}).ok());
  auto delivery = ReceiveOne(*queue);
  REQUIRE(delivery.Delete().ok());
  queue.reset();
  CHECK(delivery.body().queue != nullptr);  // the body ends with the delivery, and the queue with it
}

}  // namespace decouple::testing
