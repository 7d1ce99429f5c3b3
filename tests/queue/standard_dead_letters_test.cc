// Dead letters of standard queues, where they differ from FIFO queues (the rest: conformance/dead_letters_test.cc).

#include <string>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

TEST_CASE("a dead letter keeps the time of its sending, so its retention goes on counting") {
  ManualClock clock;
  auto dead = Make<StandardQueue<int>>(clock, {.retention = Hours(2)});
  auto live = Make<StandardQueue<int>>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  const absl::Time sent_at = clock.Now();
  SendAll(live, 1);
  REQUIRE(ReceiveOne(live).Release().ok());
  clock.Advance(Hours(1));
  SendAll(dead, 2);  // sent later, but into the dead-letter queue before the dead letter
  REQUIRE(ReceivesNothing(live));
  CHECK(dead.Statistics().approximate_age_of_oldest_message == Hours(1));
  clock.Advance(Hours(1) - kOneNanosecond);
  CHECK(ReceiveOne(dead, {.visibility_timeout = Seconds(0)}).sent_at() == sent_at);
  CHECK(dead.Counts().ready == 2);
  clock.Advance(kOneNanosecond);
  CHECK(dead.Counts().ready == 1);
  CHECK(dead.Statistics().number_of_messages_expired == 1);
  CHECK(ReceiveAll(dead) == std::vector<int>{2});
}

TEST_CASE("the age of the oldest message is that of a dead letter, however far behind it lies") {
  ManualClock clock;
  auto dead = Make<StandardQueue<int>>(clock);
  auto live = Make<StandardQueue<int>>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  SendAll(live, 1);
  REQUIRE(ReceiveOne(live).Release().ok());
  clock.Advance(Hours(1));
  for (int i = 0; i < 1000; ++i) SendAll(dead, i);
  CHECK(dead.Statistics().approximate_age_of_oldest_message == Hours(0));
  REQUIRE(ReceivesNothing(live));
  CHECK(dead.Statistics().approximate_age_of_oldest_message == Hours(1));
}

TEST_CASE("a message received three times goes to the back with a redrive policy, too") {
  ManualClock clock;
  StandardQueue<int> dead;
  auto live = Make<StandardQueue<int>>(clock, {.redrive = Redrive{.to = dead, .max_receives = 5}});
  SendAll(live, 1);
  for (int i = 0; i < 3; ++i) REQUIRE(ReceiveOne(live).Release().ok());
  SendAll(live, 2, 3);
  // It went to the back before 2 and 3 were sent, so it is still before them; now it goes behind them.
  auto one = ReceiveOne(live);
  CHECK(one.body() == 1);
  REQUIRE(one.Release().ok());
  CHECK(ReceiveAll(live) == std::vector<int>{2, 3, 1});
}

TEST_CASE("a dead letter keeps its place, and counts in the age of the oldest, however often its source had given it") {
  ManualClock clock;
  auto dead = Make<StandardQueue<int>>(clock);
  auto live = Make<StandardQueue<int>>(clock, {.redrive = Redrive{.to = dead, .max_receives = 4}});
  SendAll(live, 1, 2);
  for (int i = 0; i < 4; ++i) {
    REQUIRE(ReceiveAll(live).size() == 2);
    clock.Advance(Seconds(30));
  }
  REQUIRE(ReceivesNothing(live));
  SendAll(dead, 3);
  CHECK(dead.Statistics().approximate_age_of_oldest_message == Minutes(2));
  // The receives in this queue alone send it to the back.
  for (int i = 0; i < 2; ++i) {
    for (const int body : {1, 2}) {
      auto letter = ReceiveOne(dead);
      CHECK(letter.body() == body);
      REQUIRE(letter.Release().ok());
    }
  }
  CHECK(ReceiveAll(dead) == std::vector<int>{1, 2, 3});
}

TEST_CASE("dead letters of a fair queue keep their tenants in the dead-letter queue") {
  ManualClock clock;
  auto dead = Make<StandardQueue<int>>(clock);
  auto live = Make<StandardQueue<int>>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  for (int i = 0; i < 40; ++i) REQUIRE(live.Send(i, {.group = "noisy"}).ok());
  CHECK(ReceiveAll(live).size() == 40);
  clock.Advance(Seconds(30));
  CHECK(ReceivesNothing(live));
  CHECK(live.Counts().total() == 0);
  REQUIRE(dead.Send(100, {.group = "quiet"}).ok());
  for (int i = 0; i < 30; ++i) CHECK(ReceiveOne(dead).group() == "noisy");
  CHECK(ReceiveOne(dead).group() == "quiet");  // though it came last
  CHECK(ReceiveOne(dead).group() == "noisy");
}

}  // namespace decouple::testing
