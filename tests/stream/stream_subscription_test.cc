#include "decouple/stream_subscription.h"

#include <string>

#include "decouple/body_fields.h"
#include "decouple/fifo_topic.h"
#include "decouple/filter_expression.h"
#include "decouple/topic.h"
#include "stream_testing.h"
#include "topic_testing.h"

namespace decouple::testing {
namespace {

struct Order {
  std::string customer;
  int price = 0;
};
constexpr auto DecoupleFields(const Order*) { return Fields(Field("price", &Order::price)); }

std::string Customer(const Order& order) { return order.customer; }

TEST_CASE("a message published on a topic is in the stream when Publish() returns, under its key") {
  ManualClock clock;
  auto topic = MakeTopic<Order>(clock);
  auto stream = MakeStream<Order>(clock);
  SubscribeForGood(topic, IntoStream(stream, Customer));
  REQUIRE(topic.Publish(Order{"ann", 5}).ok());
  REQUIRE(topic.Publish(Order{"bob", 6}).ok());
  auto iterator = Iterate(stream, Number(0));
  const auto batch = Read(iterator);
  REQUIRE(batch.size() == 2);
  CHECK(batch[0].partition_key() == "ann");
  CHECK(batch[0].body().price == 5);
  CHECK(batch[1].partition_key() == "bob");
}

TEST_CASE("only messages that match the filter are put into the stream") {
  ManualClock clock;
  auto topic = MakeTopic<Order>(clock);
  auto stream = MakeStream<Order>(clock);
  SubscribeForGood<Order>(topic, IntoStream(stream, Customer), {.filter = Where(&Order::price) > 100});
  REQUIRE(topic.Publish(Order{"ann", 100}).ok());
  REQUIRE(topic.Publish(Order{"ann", 101}).ok());
  const auto all = ReadAll(stream);
  REQUIRE(all.size() == 1);
  CHECK(all[0].price == 101);
}

TEST_CASE("a stream and a queue share one body, which lives on in the queue when the stream's retention ends") {
  ManualClock clock;
  auto topic = MakeTopic<std::unique_ptr<int>>(clock);
  auto one = MakeStream<std::unique_ptr<int>>(clock);
  auto two = MakeStream<std::unique_ptr<int>>(clock);
  auto queue = StandardQueue<std::unique_ptr<int>>::Create({.clock = &clock}).value();
  const auto key = [](const std::unique_ptr<int>&) { return "k"; };
  SubscribeForGood(topic, IntoStream(one, key));
  SubscribeForGood(topic, IntoStream(two, key));
  SubscribeForGood(topic, queue);
  REQUIRE(topic.Publish(std::make_unique<int>(7)).ok());
  auto of_one = Iterate(one, Number(0));
  auto of_two = Iterate(two, Number(0));
  auto received = queue.Receive();
  const auto batch = Read(of_one);
  CHECK(&batch.front().body() == &received->front().body());
  CHECK(&Read(of_two).front().body() == &received->front().body());
  clock.Advance(Hours(24));
  auto later = Iterate(one, Number(0));
  CHECK(Read(later).empty());
  CHECK(*received->front().body() == 7);
}

TEST_CASE("a stream may hold records that were put and records that were published") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto stream = MakeStream<int>(clock);
  SubscribeForGood(topic, IntoStream(stream, [](int body) { return std::to_string(body); }));
  for (int i = 0; i < 300; i += 2) {
    Put(stream, "k", i);
    REQUIRE(topic.Publish(i + 1).ok());
  }
  const auto all = ReadAll(stream);
  REQUIRE(all.size() == 300);
  for (int i = 0; i < 300; ++i) CHECK(all[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("segments that held published bodies are reused for others, without a trace of the former") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto stream = MakeStream<std::string>(clock);
  SubscribeForGood(topic, IntoStream(stream, [](const std::string&) { return "k"; }));
  constexpr std::size_t kRecords = 20'000;  // some segments, of which two are kept for reuse
  for (std::size_t round = 1; round <= 4; ++round) {
    const auto body = [&](std::size_t i) { return std::to_string(i) + std::string(round * 20, 'x'); };
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < kRecords; ++i) {
      bytes += body(i).size() + 1;
      if (round % 2 == 0) {
        Put(stream, "k", body(i));
      } else {
        REQUIRE(topic.Publish(body(i)).ok());
      }
    }
    auto iterator = Iterate(stream, Number(0));
    std::size_t read = 0;
    std::size_t read_bytes = 0;
    for (auto batch = Read(iterator); !batch.empty(); batch = Read(iterator)) {
      for (const auto& record : batch) {
        if (record.body() != body(read++)) FAIL(record.body());
        if ((record.publication() == nullptr) != (round % 2 == 0)) FAIL(round);
      }
      read_bytes += batch.bytes();
    }
    CHECK(read == kRecords);
    CHECK(read_bytes == bytes);
    clock.Advance(Hours(24));
    stream.Statistics();
  }
}

TEST_CASE("a partition key can be made from what was published with the body") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto stream = MakeStream<int>(clock);
  SubscribeForGood(topic, IntoStream(stream, [](const Notification<int>& n) { return n.subject(); }));
  REQUIRE(topic.Publish(1, {.subject = "north"}).ok());
  Put(stream, "k", 2);
  auto iterator = Iterate(stream, Number(0));
  const auto batch = Read(iterator);
  CHECK(batch[0].partition_key() == "north");
  REQUIRE(batch[0].publication() != nullptr);
  CHECK(batch[0].publication()->subject == "north");
  CHECK(batch[1].publication() == nullptr);
}

TEST_CASE("a delivery that the stream throttles is tried again") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto stream = MakeStream<int>(clock, {.capacity_mode = CapacityMode::kProvisioned});
  SubscribeForGood<int>(topic, IntoStream(stream, [](int) { return "k"; }),
                        {.delivery = DeliveryPolicy{.min_delay = Seconds(1), .max_delay = Seconds(1), .retries = 3}});
  for (int i = 0; i < 1'500; ++i) REQUIRE(topic.Publish(i).ok());
  CHECK(ReadAll(stream).size() == 1'000);
  DeliverFor(topic, clock, Seconds(2));
  CHECK(stream.Statistics().incoming_records == 1'500);
  CHECK(topic.Statistics().number_of_notifications_delivered == 1'500);
}

TEST_CASE("an invalid partition key or a closed stream fails a delivery for good, into the dead-letter queue") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto stream = MakeStream<std::string>(clock);
  auto failed = StandardQueue<std::string>::Create({.clock = &clock}).value();
  SubscribeForGood<std::string>(topic, IntoStream(stream, [](const std::string& body) { return body.substr(1); }),
                                {.dead_letters = failed});
  REQUIRE(topic.Publish("x").ok());
  CHECK(failed.Counts().ready == 1);
  stream.Close();
  REQUIRE(topic.Publish("xy").ok());
  CHECK(failed.Counts().ready == 2);
}

TEST_CASE("a FIFO topic's message groups stay in order in the stream") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto stream = MakeStream<int>(clock, {.shards = 2});
  SubscribeForGood<int>(topic, IntoStream(stream, [](const Notification<int>& n) { return n.publication().group; }));
  PublishInGroup(topic, "a", 1, 2, 3);
  PublishInGroup(topic, "b", 4, 5, 6);
  auto all = ReadAll(stream);
  std::vector<int> of_a;
  for (const int body : all) {
    if (body <= 3) of_a.push_back(body);
  }
  CHECK(of_a == std::vector{1, 2, 3});
  CHECK(all.size() == 6);
}

TEST_CASE("subscribing a stream with options that are for functions only fails") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto stream = MakeStream<int>(clock);
  const auto key = [](int) { return "k"; };
  CHECK(ErrorIn(topic.Subscribe(IntoStream(stream, key), {.max_receives_per_second = 5})) == Error::kInvalidParameter);
  CHECK(ErrorIn(topic.Subscribe(IntoStream(stream, key), {.executor = [](std::function<void()>) {}})) ==
        Error::kInvalidParameter);
}

}  // namespace
}  // namespace decouple::testing
