#include "decouple/publication.h"

#include <utility>

#include "catch.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "topic_testing.h"

TEST_CASE("a publication that is of no topic has an empty topic name") {
  CHECK(decouple::Publication().topic().empty());
}

TEST_CASE("a copy of a publication keeps the topic's name, and one that was moved from has none") {
  decouple::ManualClock clock;
  auto topic = decouple::testing::MakeTopic<int>(clock, {.name = "placed"});
  auto queue = decouple::testing::Make<decouple::StandardQueue<int>>(clock);
  decouple::testing::SubscribeForGood(topic, queue);
  decouple::testing::PublishAll(topic, 1);
  decouple::Publication publication = *decouple::testing::ReceiveOne(queue).publication();
  CHECK(publication.topic() == "placed");
  const decouple::Publication moved = std::move(publication);
  CHECK(moved.topic() == "placed");
  CHECK(publication.topic().empty());  // NOLINT: that is what is tested
}
