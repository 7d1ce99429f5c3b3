// What happens when a body is destroyed is the user's: it may use queues.

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

// Counts those that are alive.
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

TEST_CASE("senders alone see to it that what has expired goes") {
  ManualClock clock;
  int alive = 0;
  auto queue = Make<StandardQueue<Counted>>(clock, {.retention = Hours(1)});
  const auto send = [&](int n) {
    for (int i = 0; i < n; ++i) REQUIRE(queue.Send(Counted(&alive)).ok());
  };
  constexpr int kMany = 6'400;
  constexpr int kRest = 128;  // that a sender notices later
  send(kMany);
  clock.Advance(Hours(1) - kOneNanosecond);
  send(kMany);
  CHECK(alive == 2 * kMany);
  clock.Advance(kOneNanosecond);  // the first are over
  send(kMany);
  CHECK(alive >= 2 * kMany);
  CHECK(alive <= 2 * kMany + kRest);
  clock.Advance(Hours(1) - kOneNanosecond);  // the second, too, but not the third, which was sent a nanosecond later
  send(2 * kMany);
  CHECK(alive >= 3 * kMany);
  CHECK(alive <= 3 * kMany + kRest);
  REQUIRE(queue.SetAttributes({.retention = Minutes(1)}).ok());
  clock.Advance(Minutes(1));  // by what it is now
  send(2 * kMany);
  CHECK(alive <= 2 * kMany + kRest);
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
  CHECK(delivery.body().queue != nullptr);  // it goes with the delivery, and the queue with it
}

}  // namespace decouple::testing
