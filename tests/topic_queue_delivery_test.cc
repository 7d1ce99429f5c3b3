// How messages are delivered to queues that do not take them: full ones, closed ones, those that refuse.

#include <stdexcept>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "catch.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "topic_testing.h"

namespace {

using decouple::ManualClock;
using decouple::StandardQueue;
using namespace decouple::testing;  // NOLINT: all of them

}  // namespace

TEST_CASE("a full queue is tried again as the service does it, and the message is not lost") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1}});
  const auto subscription = SubscribeForGood(topic, queue);
  PublishAll(topic, 1, 2);
  CHECK(subscription.Statistics().number_of_notifications_retried == 3);  // at once
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

TEST_CASE("who publishes tries full queues again") {
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

TEST_CASE("a publish waits for no queue that makes its senders wait") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue =
      Make<StandardQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1, .when_full = decouple::Block{}}});
  const auto subscription = SubscribeForGood(topic, queue);
  PublishAll(topic, 1, 2);  // returns
  CHECK(subscription.Statistics().number_of_notifications_waiting == 1);
}

TEST_CASE("a queue that is closed, or refuses the message, is not tried again") {
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

TEST_CASE("what a full queue does not take waits up to the same bound") {
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
TEST_CASE("a conversion that throws harms nobody") {
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
