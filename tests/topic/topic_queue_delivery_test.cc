// Delivery to queues: to queues with waiting receivers, to many queues, and to queues that do not take the message
// because they are full or closed or refuse it.

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "catch.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "topic_testing.h"

namespace {

using decouple::Error;
using decouple::ManualClock;
using decouple::StandardQueue;
using namespace decouple::testing;  // NOLINT: all of them

}  // namespace

TEST_CASE("a publish wakes a receiver that waits at a subscribed queue") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  SubscribeForGood(topic, queue);
  for (int i = 0; i < 3; ++i) {  // the first message of a queue takes a path of its own
    int received = -1;
    std::thread receiver([&] {
      auto deliveries = queue.Receive({.wait = Seconds(20)});
      if (deliveries->size() != 1 || !deliveries->Delete().ok()) std::abort();
      received = deliveries->front().body();
    });
    clock.AwaitSleepers(1);
    PublishAll(topic, i);
    receiver.join();
    CHECK(received == i);
  }
}

TEST_CASE("what is published to a deleted queue fails permanently, and such a queue cannot be subscribed") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  auto dead = Make<StandardQueue<int>>(clock);
  auto subscription = topic.Subscribe(queue, {.dead_letters = dead});
  REQUIRE(subscription.ok());
  PublishAll(topic, 1);
  REQUIRE(queue.DeleteQueue().ok());
  PublishAll(topic, 2);
  CHECK(ReceiveAll(dead) == std::vector{2});
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());
  auto other = MakeTopic<int>(clock);
  CHECK(ErrorIn(other.Subscribe(queue)) == Error::kQueueDoesNotExist);
}

TEST_CASE("a queue that was deleted is no dead-letter queue") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  auto dead = Make<StandardQueue<int>>(clock);
  auto subscription = SubscribeForGood(topic, queue);
  REQUIRE(dead.DeleteQueue().ok());
  CHECK(ErrorIn(subscription.SetAttributes({.dead_letters = dead})) == Error::kQueueDoesNotExist);
  CHECK(subscription.attributes().dead_letters == decouple::QueueReference());
  auto other = Make<StandardQueue<int>>(clock);
  CHECK(ErrorIn(topic.Subscribe(other, {.dead_letters = dead})) == Error::kQueueDoesNotExist);
}

TEST_CASE("a queue with another clock than the topic stamps published messages by its own") {
  ManualClock clock;
  ManualClock other(clock.Now() + Hours(1));
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(other);
  SubscribeForGood(topic, queue);
  PublishAll(topic, 1, 2, 3);
  auto deliveries = queue.Receive({.max_messages = 10});
  REQUIRE(deliveries->size() == 3);
  for (const auto& delivery : *deliveries) {
    CHECK(delivery.sent_at() == other.Now());
    CHECK(delivery.publication()->published_at == clock.Now());
  }
}

TEST_CASE("a thread delivers to more queues than it caches, each message once") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::vector<StandardQueue<int>> queues;
  for (int i = 0; i < 300; ++i) {
    queues.push_back(Make<StandardQueue<int>>(clock));
    SubscribeForGood(topic, queues.back());
  }
  PublishAll(topic, 1, 2, 3);
  for (auto& queue : queues) CHECK(ReceiveAll(queue) == std::vector{1, 2, 3});
}

TEST_CASE("a full queue is retried as the service does it, and the message is not lost") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1}});
  const auto subscription = SubscribeForGood(topic, queue);
  PublishAll(topic, 1, 2);
  CHECK(subscription.Statistics().number_of_notifications_retried == 3);  // three retries without a delay
  CHECK(topic.NextDelivery() == clock.Now() + Seconds(1));
  CHECK(ReceiveOne(queue).Delete().ok());
  clock.Advance(Seconds(1) - kOneNanosecond);
  topic.Deliver();
  CHECK(queue.Counts().total() == 0);
  clock.Advance(kOneNanosecond);
  topic.Deliver();
  CHECK(ReceiveAll(queue) == std::vector{2});
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());
}

TEST_CASE("a publisher retries full queues") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 2}});
  SubscribeForGood(topic, queue, {.filter = decouple::Attribute("skip").IsAbsent()});
  PublishAll(topic, 1, 2, 3);
  CHECK(queue.Purge().ok());
  clock.Advance(Seconds(1));
  REQUIRE(topic.Publish(4, {.attributes = {{"skip", 1}}}).ok());
  CHECK(ReceiveAll(queue) == std::vector{3});
}

TEST_CASE("a publish does not wait for a queue that blocks its senders") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue =
      Make<StandardQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1, .when_full = decouple::Block{}}});
  const auto subscription = SubscribeForGood(topic, queue);
  PublishAll(topic, 1, 2);  // does not block
  CHECK(subscription.Statistics().number_of_notifications_waiting == 1);
}

TEST_CASE("a queue that is closed or refuses the message is not retried") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto failed = Make<StandardQueue<std::string>>(clock);
  auto closed = Make<StandardQueue<std::string>>(clock);
  auto small = Make<StandardQueue<std::string>>(clock, {.max_message_size = 1'024});
  SubscribeForGood(topic, closed, {.dead_letters = failed});
  SubscribeForGood(topic, small, {.dead_letters = failed});
  closed.Close();
  PublishAll(topic, std::string(1'024, 'x'));
  CHECK(small.Counts().ready == 1);
  CHECK(failed.Counts().ready == 1);
  PublishAll(topic, std::string(1'025, 'x'));
  CHECK(small.Counts().ready == 1);
  CHECK(failed.Counts().ready == 3);
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());
  CHECK(topic.Statistics().number_of_notifications_failed == 3);
}

TEST_CASE("max_waiting also bounds the deliveries that wait for a full queue") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto failed = Make<StandardQueue<int>>(clock);
  auto queue = Make<StandardQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1}});
  SubscribeForGood(topic, queue, {.dead_letters = failed, .max_waiting = 1});
  PublishAll(topic, 1, 2, 3);
  CHECK(ReceiveAll(failed) == std::vector{3});
  CHECK(queue.Purge().ok());
  DeliverFor(topic, clock, Seconds(1));
  CHECK(ReceiveAll(queue) == std::vector{2});
}

#if defined(__cpp_exceptions)
TEST_CASE("a conversion that throws affects no other subscription") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto text = Make<StandardQueue<std::string>>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  topic.Subscribe(text, [](const int&) -> std::string { throw std::runtime_error("oh"); })->Detach();
  SubscribeForGood(topic, queue);
  PublishAll(topic, 1);
  CHECK(ReceiveAll(queue) == std::vector{1});
  CHECK(text.Counts().total() == 0);
}
#endif
