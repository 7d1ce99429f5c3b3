// Fair queues: messages with a group on a standard queue.

#include <map>
#include <string>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

using Queue = StandardQueue<int>;

void SendOf(Queue& queue, const std::string& group, int n) {
  for (int i = 0; i < n; ++i) REQUIRE(queue.Send(i, {.group = group}).ok());
}

std::string GroupOfNext(Queue& queue) { return std::string(ReceiveOne(queue).group()); }

// Makes `group` noisy: 30 messages of it are in flight, and `waiting` more are visible.
void MakeNoisy(Queue& queue, const std::string& group, int waiting) {
  SendOf(queue, group, 30 + waiting);
  for (int i = 0; i < 30; ++i) REQUIRE(GroupOfNext(queue) == group);
}

TEST_CASE("a group is 1 to 128 letters, digits and punctuation characters") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  for (const std::string& group : {std::string(129, 'a'), std::string("a b"), std::string("a\x01"), std::string("é")}) {
    CHECK(ErrorIn(queue.Send(1, {.group = group})) == Error::kInvalidParameterValue);
  }
  const std::string every_kind = "Az09!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
  CHECK(queue.Send(1, {.group = every_kind}).ok());
  CHECK(queue.Send(2, {.group = std::string(128, 'a')}).ok());
  CHECK(GroupOfNext(queue) == every_kind);
}

TEST_CASE("messages without a group have none") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendAll(queue, 1);
  CHECK(GroupOfNext(queue).empty());
}

TEST_CASE("messages of quiet tenants and messages without a group are served in the order of sending") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  REQUIRE(queue.Send(0, {.group = "a"}).ok());
  SendAll(queue, 1);
  REQUIRE(queue.Send(2, {.group = "b"}).ok());
  REQUIRE(queue.Send(3, {.group = "a"}).ok());
  SendAll(queue, 4);
  CHECK(ReceiveAll(queue) == std::vector{0, 1, 2, 3, 4});
  CHECK(queue.Counts() == MessageCounts{.in_flight = 5});
}

TEST_CASE("messages of quiet tenants come before those of a noisy one") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  MakeNoisy(queue, "noisy", 100);
  SendOf(queue, "quiet", 3);
  SendAll(queue, 7);
  for (int i = 0; i < 3; ++i) CHECK(GroupOfNext(queue) == "quiet");
  CHECK(GroupOfNext(queue).empty());
  CHECK(GroupOfNext(queue) == "noisy");  // nothing is dropped or throttled
}

TEST_CASE("a tenant is not noisy with 29 in flight, and is with 30") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendOf(queue, "a", 100);
  for (int i = 0; i < 29; ++i) ReceiveOne(queue);
  SendOf(queue, "b", 1);
  CHECK(GroupOfNext(queue) == "a");  // older, and quiet: this is the 30th
  CHECK(GroupOfNext(queue) == "b");
}

TEST_CASE("a tenant with a tenth of what is in flight is not noisy, with more it is") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  for (int i = 0; i < 270; ++i) SendAll(queue, i);
  REQUIRE(ReceiveAll(queue).size() == 270);
  SendOf(queue, "a", 100);
  for (int i = 0; i < 30; ++i) ReceiveOne(queue);  // 30 of 300
  CHECK(queue.Statistics().approximate_number_of_noisy_groups == 0);
  ReceiveOne(queue);  // 31 of 301
  CHECK(queue.Statistics().approximate_number_of_noisy_groups == 1);
}

TEST_CASE("of several noisy tenants the one with the fewest messages in flight is served first") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendOf(queue, "a", 80);
  SendOf(queue, "b", 80);
  // First all of a's, which is older, until it is noisy; then b's; then both in turn.
  std::map<std::string, int> in_flight;
  for (int i = 0; i < 100; ++i) ++in_flight[GroupOfNext(queue)];
  CHECK(in_flight["a"] == 50);
  CHECK(in_flight["b"] == 50);
}

TEST_CASE("a tenant that takes more than a tenth of the processing time is noisy") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendOf(queue, "slow", 3);
  SendOf(queue, "fast", 1);
  auto slow = ReceiveOne(queue);
  clock.Advance(Seconds(20));
  REQUIRE(slow.Delete().ok());
  CHECK(GroupOfNext(queue) == "fast");
  CHECK(GroupOfNext(queue) == "slow");
}

TEST_CASE("a tenant is quiet again when its backlog is empty") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.visibility_timeout = Hours(1)});
  SendOf(queue, "a", 40);
  for (int i = 0; i < 40; ++i) ReceiveOne(queue);
  CHECK(queue.Statistics().approximate_number_of_noisy_groups == 0);
}

TEST_CASE("a tenant is quiet again after five minutes without a send") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.visibility_timeout = Hours(1)});
  MakeNoisy(queue, "noisy", 10);
  clock.Advance(Minutes(5) - kOneNanosecond);
  CHECK(queue.Statistics().approximate_number_of_noisy_groups == 1);
  clock.Advance(kOneNanosecond);
  CHECK(queue.Statistics().approximate_number_of_noisy_groups == 0);
  SendOf(queue, "quiet", 1);
  // Another tenant's send does not make it noisy again; as its message is older, it comes first.
  CHECK(GroupOfNext(queue) == "noisy");
}

TEST_CASE("statistics tell of noisy and quiet groups") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  MakeNoisy(queue, "noisy", 10);
  SendOf(queue, "quiet", 3);
  SendAll(queue, 1);
  ReceiveOne(queue);
  const QueueStatistics statistics = queue.Statistics();
  CHECK(statistics.approximate_number_of_noisy_groups == 1);
  CHECK(statistics.approximate_number_of_messages_visible_in_quiet_groups == 3);
  CHECK(statistics.approximate_number_of_messages_not_visible_in_quiet_groups == 1);
}

TEST_CASE("a message with a group comes back, is hidden again and deleted like any other") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendOf(queue, "a", 1);
  auto delivery = ReceiveOne(queue);
  clock.Advance(Seconds(30));
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
  REQUIRE(delivery.ChangeVisibility(Seconds(10)).ok());
  CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
  CHECK(ReceivesNothing(queue));
  clock.Advance(Seconds(10));
  auto again = ReceiveOne(queue);
  CHECK(again.receive_count() == 2);
  CHECK(again.group() == "a");
  REQUIRE(again.Release().ok());
  REQUIRE(again.Delete().ok());  // while it is queued with its tenant
  CHECK(again.group() == "a");
  CHECK(ReceivesNothing(queue));
  CHECK(queue.Counts() == MessageCounts{});
}

TEST_CASE("messages with a group can be delayed, expire and be purged") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.retention = Minutes(1)});
  REQUIRE(queue.Send(1, {.delay = Seconds(5), .group = "a"}).ok());
  CHECK(ReceivesNothing(queue));
  clock.Advance(Seconds(5));
  CHECK(ReceiveOne(queue).body() == 1);
  SendOf(queue, "b", 3);
  ReceiveOne(queue);
  clock.Advance(Minutes(1));
  CHECK(queue.Counts() == MessageCounts{});
  CHECK(ReceivesNothing(queue));
  SendOf(queue, "c", 3);
  ReceiveOne(queue);
  REQUIRE(queue.Purge().ok());
  CHECK(queue.Counts() == MessageCounts{});
  CHECK(ReceivesNothing(queue));
}

TEST_CASE("a tenant's message that was received three times goes to the back, too") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendOf(queue, "a", 1);
  SendAll(queue, 1, 2);
  for (int i = 0; i < 3; ++i) {
    auto delivery = ReceiveOne(queue);
    REQUIRE(delivery.group() == "a");
    REQUIRE(delivery.Release().ok());
  }
  CHECK(GroupOfNext(queue).empty());
  CHECK(GroupOfNext(queue).empty());
  CHECK(GroupOfNext(queue) == "a");
}

TEST_CASE("the limit in flight holds for messages with a group") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.max_in_flight = 2});
  SendOf(queue, "a", 2);
  SendAll(queue, 7);
  CHECK(queue.Receive({.max_messages = 10})->size() == 2);
  CHECK(ErrorIn(queue.Receive()) == Error::kOverLimit);
}

}  // namespace decouple::testing
