// Options: their ranges and defaults, and changes while the queue lives.

#include <array>
#include <atomic>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <thread>
#include <type_traits>

#include "queue_testing.h"

namespace decouple::testing {

template <typename Queue>
bool Refuses(QueueOptions options) {
  const auto queue = Queue::Create(std::move(options));
  return ErrorIn(queue) == Error::kInvalidAttributeValue;
}

CONFORMANCE_TEST("the visibility timeout is 0 to 12 hours") {
  CHECK(Refuses<TestType>({.visibility_timeout = -kOneNanosecond}));
  CHECK_FALSE(Refuses<TestType>({.visibility_timeout = absl::ZeroDuration()}));
  CHECK_FALSE(Refuses<TestType>({.visibility_timeout = Seconds(43'200)}));
  CHECK(Refuses<TestType>({.visibility_timeout = Seconds(43'200) + kOneNanosecond}));
}

CONFORMANCE_TEST("the retention is 60 seconds to 14 days") {
  CHECK(Refuses<TestType>({.retention = Seconds(60) - kOneNanosecond}));
  CHECK_FALSE(Refuses<TestType>({.retention = Seconds(60)}));
  CHECK_FALSE(Refuses<TestType>({.retention = Seconds(1'209'600)}));
  CHECK(Refuses<TestType>({.retention = Seconds(1'209'600) + kOneNanosecond}));
}

CONFORMANCE_TEST("the delay is 0 to 15 minutes") {
  CHECK(Refuses<TestType>({.delay = -kOneNanosecond}));
  CHECK_FALSE(Refuses<TestType>({.delay = Seconds(900)}));
  CHECK(Refuses<TestType>({.delay = Seconds(900) + kOneNanosecond}));
}

CONFORMANCE_TEST("the wait of a receive is 0 to 20 seconds") {
  CHECK(Refuses<TestType>({.receive_wait = -kOneNanosecond}));
  CHECK_FALSE(Refuses<TestType>({.receive_wait = Seconds(20)}));
  CHECK(Refuses<TestType>({.receive_wait = Seconds(20) + kOneNanosecond}));
}

CONFORMANCE_TEST("the maximum message size is 1024 to 1048576 bytes") {
  CHECK(Refuses<TestType>({.max_message_size = 1'023}));
  CHECK_FALSE(Refuses<TestType>({.max_message_size = 1'024}));
  CHECK_FALSE(Refuses<TestType>({.max_message_size = 1'048'576}));
  CHECK(Refuses<TestType>({.max_message_size = 1'048'577}));
}

CONFORMANCE_TEST("1 to 120000 messages may be in flight") {
  CHECK(Refuses<TestType>({.max_in_flight = 0}));
  CHECK_FALSE(Refuses<TestType>({.max_in_flight = 1}));
  CHECK_FALSE(Refuses<TestType>({.max_in_flight = 120'000}));
  CHECK(Refuses<TestType>({.max_in_flight = 120'001}));
}

CONFORMANCE_TEST("a capacity is at least 1, and Block waits for more than no time") {
  CHECK(Refuses<TestType>({.capacity = Capacity{.messages = 0}}));
  CHECK(Refuses<TestType>({.capacity = Capacity{.bytes = 0}}));
  CHECK(Refuses<TestType>({.capacity = Capacity{.when_full = Block{absl::ZeroDuration()}}}));
  CHECK_FALSE(Refuses<TestType>({.capacity = Capacity{.messages = 1, .bytes = 1, .when_full = Block{}}}));
}

CONFORMANCE_TEST("the error of an option names what was wrong, its value and what is allowed") {
  const auto queue = TestType::Create({.retention = Seconds(59)});
  const std::string message(queue.status().message());
  CHECK(message == "message retention period of 59s; allowed are 1m to 336h");
}

CONFORMANCE_TEST("unlimited limits allow what the service refuses") {
  CHECK_FALSE(Refuses<TestType>({.visibility_timeout = Hours(1000),
                                 .retention = absl::InfiniteDuration(),
                                 .delay = Hours(5),
                                 .receive_wait = absl::InfiniteDuration(),
                                 .max_message_size = std::numeric_limits<std::size_t>::max(),
                                 .max_in_flight = std::numeric_limits<std::int64_t>::max(),
                                 .limits = Limits::Unlimited()}));
  CHECK(Refuses<TestType>({.visibility_timeout = -kOneNanosecond, .limits = Limits::Unlimited()}));
}

CONFORMANCE_TEST("with an infinite retention and visibility timeout nothing ever comes back or goes") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.visibility_timeout = absl::InfiniteDuration(),
                                      .retention = absl::InfiniteDuration(),
                                      .limits = Limits::Unlimited()});
  SendAll(queue, 1, 2);
  ReceiveOne(queue);
  clock.Advance(Hours(24 * 365 * 100));
  CHECK(queue.Counts() == MessageCounts{.ready = 1, .in_flight = 1});
}

CONFORMANCE_TEST("unlimited limits allow more than ten messages in a receive, and a purge after a purge") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.limits = Limits::Unlimited()});
  for (int i = 0; i < 1000; ++i) SendAll(queue, i);
  CHECK(queue.Receive({.max_messages = 5000})->size() == 1000);
  CHECK(queue.Purge().ok());
  CHECK(queue.Purge().ok());
}

CONFORMANCE_TEST("the messages of one call are fewer than 2^32, whatever the limits say") {
  Limits limits = Limits::Unlimited();
  limits.max_messages_per_receive = std::numeric_limits<std::size_t>::max();
  limits.max_batch_entries = std::numeric_limits<std::size_t>::max();
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.limits = limits});
  SendAll(queue, 1);
  constexpr std::size_t kTooMany = std::size_t{1} << 32;
  CHECK(ErrorIn(queue.Receive({.max_messages = kTooMany})) == Error::kInvalidParameterValue);
  SendBatchEntry<int> entry{};  // the others are not looked at
  CHECK(ErrorIn(queue.SendBatch(std::span(&entry, kTooMany))) == Error::kTooManyEntriesInBatchRequest);
  CHECK(queue.Receive({.max_messages = kTooMany - 1})->size() == 1);
}

CONFORMANCE_TEST("a changed visibility timeout counts for later receives") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2);
  ReceiveOne(queue);
  REQUIRE(queue.SetAttributes({.visibility_timeout = Seconds(1)}).ok());
  ReceiveOne(queue);
  clock.Advance(Seconds(1));
  CHECK(queue.Counts() == MessageCounts{.ready = 1, .in_flight = 1});
  clock.Advance(Seconds(29));
  CHECK(queue.Counts().ready == 2);
}

CONFORMANCE_TEST("a changed maximum message size counts for later sends") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock);
  REQUIRE(Send(queue, std::string(2000, 'x')).ok());
  REQUIRE(queue.SetAttributes({.max_message_size = 1999}).ok());
  CHECK(ErrorIn(Send(queue, std::string(2000, 'x'))) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("several attributes are changed together or not at all") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  const QueueAttributes half_wrong = {.visibility_timeout = Seconds(1), .delay = Hours(1)};
  CHECK(ErrorIn(queue.SetAttributes(half_wrong)) == Error::kInvalidAttributeValue);
  SendAll(queue, 1);
  ReceiveOne(queue);
  clock.Advance(Seconds(30) - kOneNanosecond);
  CHECK(queue.Counts().in_flight == 1);
}

CONFORMANCE_TEST("one seed gives one run, and another seed another") {
  ManualClock clock;
  const auto id_of_first = [&](std::uint64_t seed, const char* name) {
    auto queue = Make<TestType>(clock, {.name = name, .seed = seed});
    return Send(queue, 1)->message_id;
  };
  CHECK(id_of_first(1, "a") == id_of_first(1, "a"));
  CHECK(id_of_first(1, "a") != id_of_first(2, "a"));
  CHECK(id_of_first(1, "a") != id_of_first(1, "b"));
  CHECK(id_of_first(0, "a") != id_of_first(0, "a"));
}

CONFORMANCE_TEST("two queues of one name and seed have different ids, and refuse each other's receipts") {
  ManualClock clock;
  auto one = Make<TestType>(clock, {.name = "a", .seed = 1});
  const auto first = Send(one, 1)->message_id;
  auto other = Make<TestType>(clock, {.name = "a", .seed = 1});
  CHECK(Send(other, 1)->message_id != first);
  const auto delivery = ReceiveOne(one);
  const auto of_other = ReceiveOne(other);
  CHECK(ErrorIn(other.Delete(delivery.receipt())) == Error::kReceiptHandleIsInvalid);
  CHECK(other.Counts().in_flight == 1);
  CHECK(one.Delete(delivery.receipt()).ok());
}

CONFORMANCE_TEST("a queue has the name that it was given") {
  CHECK(TestType::Create({.name = "orders"})->name() == "orders");
  CHECK(TestType().name().empty());
}

CONFORMANCE_TEST("what can be set can be read") {
  ManualClock clock;
  auto dead = Make<TestType>(clock, {.name = "dead"});
  auto source = Make<TestType>(clock, {.name = "source"});
  QueueAttributes all{.visibility_timeout = Seconds(1),
                      .retention = Hours(1),
                      .delay = Seconds(2),
                      .receive_wait = Seconds(3),
                      .max_message_size = 2'048,
                      .max_in_flight = 4,
                      .capacity = Capacity{.messages = 5, .bytes = 6'000, .when_full = Block{Seconds(7)}},
                      .redrive = Redrive{.to = dead, .max_receives = 8},
                      .redrive_allow = AllowSources{{source}},
                      .senders = AllowSenders{}};
  if constexpr (std::is_same_v<TestType, FifoQueue<int>>) {
    all.content_based_deduplication = false;
    all.deduplication_scope = DeduplicationScope::kMessageGroup;
    all.fifo_throughput_limit = FifoThroughputLimit::kPerMessageGroupId;
    all.max_calls_per_second = 300;
  }
  auto queue = Make<TestType>(clock);
  REQUIRE(queue.SetAttributes(all).ok());
  CHECK(queue.attributes() == all);
  auto other = Make<TestType>(clock);
  REQUIRE(other.SetAttributes(queue.attributes()).ok());
  CHECK(other.attributes() == all);
  const Queue<int> any_kind = queue;
  CHECK(any_kind.attributes() == all);
  CHECK(any_kind.created_at() == queue.created_at());
}

CONFORMANCE_TEST("the attributes of a new queue are the documented defaults, and can be set as they are read") {
  TestType queue;
  const QueueAttributes read = queue.attributes();
  CHECK(read.visibility_timeout == Seconds(30));
  CHECK(read.retention == Hours(96));
  CHECK(read.delay == absl::ZeroDuration());
  CHECK(read.receive_wait == absl::ZeroDuration());
  CHECK(read.max_message_size == 1'048'576);
  CHECK(read.max_in_flight == 120'000);
  CHECK(read.capacity == Capacity{});
  CHECK(read.redrive == Redrive{});
  CHECK(read.redrive_allow == RedriveAllowPolicy{AllowAllSources{}});
  CHECK(read.senders == SendersPolicy{AllowAllSenders{}});
  constexpr bool is_fifo = std::is_same_v<TestType, FifoQueue<int>>;
  CHECK(read.content_based_deduplication == (is_fifo ? std::optional(false) : std::nullopt));
  CHECK(read.deduplication_scope.has_value() == is_fifo);
  CHECK(read.fifo_throughput_limit.has_value() == is_fifo);
  CHECK(read.max_calls_per_second == (is_fifo ? std::optional<std::int64_t>(0) : std::nullopt));
  CHECK(queue.SetAttributes(read).ok());
  CHECK(queue.attributes() == read);
}

CONFORMANCE_TEST("infinite attributes are read as infinite") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.visibility_timeout = absl::InfiniteDuration(),
                                      .retention = absl::InfiniteDuration(),
                                      .capacity = Capacity{.messages = 1, .when_full = Block{}},
                                      .limits = Limits::Unlimited()});
  CHECK(queue.attributes().visibility_timeout == absl::InfiniteDuration());
  CHECK(queue.attributes().retention == absl::InfiniteDuration());
  CHECK(queue.attributes().capacity == Capacity{.messages = 1, .when_full = Block{}});
}

CONFORMANCE_TEST("a queue knows when it was created, and when its attributes were last set") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  auto queue = Make<TestType>(clock);
  CHECK(queue.created_at() == begin);
  CHECK(queue.last_modified_at() == begin);
  clock.Advance(Seconds(1));
  CHECK_FALSE(queue.SetAttributes({.delay = Hours(1)}).ok());
  CHECK(queue.last_modified_at() == begin);
  REQUIRE(queue.SetAttributes({.delay = Seconds(1)}).ok());
  CHECK(queue.created_at() == begin);
  CHECK(queue.last_modified_at() == begin + Seconds(1));
}

CONFORMANCE_TEST("an allowed source that is gone is not read back, and nobody else is allowed then") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  {
    auto source = Make<TestType>(clock, {.name = "source"});
    REQUIRE(queue.SetAttributes({.redrive_allow = AllowSources{{source}}}).ok());
    CHECK(queue.attributes().redrive_allow == RedriveAllowPolicy{AllowSources{{source}}});
  }
  CHECK(queue.attributes().redrive_allow == RedriveAllowPolicy{DenyAllSources{}});
}

CONFORMANCE_TEST("a redrive policy is read with the maximum that belongs to its queue, though threads change it") {
  ManualClock clock;
  auto a = Make<TestType>(clock, {.name = "a"});
  auto b = Make<TestType>(clock, {.name = "b"});
  auto live = Make<TestType>(clock);
  std::atomic<bool> is_over{false};
  std::thread setter([&] {
    for (int i = 0; i < 3'000; ++i) {
      const std::array<Redrive, 3> policies = {Redrive{.to = a, .max_receives = 1}, Redrive{},
                                               Redrive{.to = b, .max_receives = 2}};
      live.SetAttributes({.redrive = policies[static_cast<std::size_t>(i % 3)]}).IgnoreError();
    }
    is_over = true;
  });
  int wrong = 0;
  while (!is_over) {
    const std::optional<Redrive> redrive = live.redrive();
    wrong += redrive && redrive->max_receives != (redrive->to == QueueReference(a) ? 1 : 2);
    const Redrive read = live.attributes().redrive.value();
    wrong += read.to && read.max_receives != (read.to == QueueReference(a) ? 1 : 2);
  }
  setter.join();
  CHECK(wrong == 0);
}

}  // namespace decouple::testing
