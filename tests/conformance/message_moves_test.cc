// Moving dead letters back to their sources, or to another queue.

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

// Two sources and their dead-letter queue, which holds a dead letter of each body given.
template <typename Queue>
struct DeadLetters {
  DeadLetters(const std::vector<int>& of_a, const std::vector<int>& of_b)
      : dead(Make<Queue>(clock, {.name = "dead"})),
        a(Make<Queue>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}, .name = "a"})),
        b(Make<Queue>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}, .name = "b"})) {
    for (const int body : of_a) Bury(a, body);
    for (const int body : of_b) Bury(b, body);
  }

  void Bury(Queue& queue, int body) {
    REQUIRE(Send(queue, body).ok());
    REQUIRE(ReceiveOne(queue).Release().ok());
    REQUIRE(ReceivesNothing(queue));
  }

  MessageMoveTask Start(const MessageMoveOptions& options = {}) {
    auto task = dead.StartMessageMoveTask(options);
    REQUIRE(task.ok());
    return *std::move(task);
  }

  ManualClock clock;
  Queue dead;
  Queue a;
  Queue b;
};

CONFORMANCE_TEST("messages go back to the queues that they came from") {
  DeadLetters<TestType> queues({1, 2}, {11});
  auto task = queues.Start();
  CHECK(task.status() == MessageMoveStatus::kRunning);
  CHECK(task.to_move() == 3);
  CHECK(task.moved() == 0);
  CHECK(queues.dead.Counts().ready == 3);  // nothing moves by itself
  CHECK(task.Step() == MessageMoveStatus::kCompleted);
  CHECK(task.moved() == 3);
  CHECK(queues.dead.Counts().total() == 0);
  CHECK(ReceiveAll(queues.a) == std::vector<int>{1, 2});
  CHECK(ReceiveAll(queues.b) == std::vector<int>{11});
  CHECK(task.Step() == MessageMoveStatus::kCompleted);
}

CONFORMANCE_TEST("a task whose messages go back to their sources has no destination, and can say so") {
  DeadLetters<TestType> queues({1}, {});
  const auto task = queues.Start();
  CHECK_FALSE(task.to());
  CHECK(task.to().name().empty());
}

CONFORMANCE_TEST("a task outlives its destination, and then has none") {
  DeadLetters<TestType> queues({1}, {});
  auto other = std::make_optional(Make<TestType>(queues.clock, {.name = "other"}));
  auto task = queues.Start({.to = *other});
  CHECK(task.to().name() == "other");
  other.reset();
  CHECK_FALSE(task.to());
  CHECK(task.to().name().empty());
  CHECK(task.Step() == MessageMoveStatus::kFailed);
}

CONFORMANCE_TEST("a task also moves what a receive would send on to the next dead-letter queue") {
  DeadLetters<TestType> queues({1, 2}, {11});
  auto next = Make<TestType>(queues.clock);
  auto other = Make<TestType>(queues.clock);
  REQUIRE(queues.dead.SetAttributes({.redrive = Redrive{.to = next, .max_receives = 1}}).ok());
  SECTION("back to the sources") {
    CHECK(queues.Start().Step() == MessageMoveStatus::kCompleted);
    CHECK(ReceiveAll(queues.a) == std::vector<int>{1, 2});
    CHECK(ReceiveAll(queues.b) == std::vector<int>{11});
  }
  SECTION("to one destination") {
    CHECK(queues.Start({.to = other}).moved() == 0);
    CHECK(queues.dead.ListMessageMoveTasks().front().Step() == MessageMoveStatus::kCompleted);
    CHECK(queues.dead.ListMessageMoveTasks().front().moved() == 3);
    CHECK(ReceiveAll(other) == std::vector<int>{1, 2, 11});
  }
  SECTION("but what it could not move goes on at the next receive") {
    other.Close();
    CHECK(queues.Start({.to = other}).Step() == MessageMoveStatus::kFailed);
    CHECK(queues.dead.Counts() == MessageCounts{.ready = 3});
    CHECK(ReceivesNothing(queues.dead));
    CHECK(ReceiveAll(next).size() == 3);
  }
  CHECK(next.Statistics().number_of_messages_taken_over == static_cast<std::uint64_t>(next.Counts().in_flight));
}

CONFORMANCE_TEST("messages go to one destination if there is one") {
  DeadLetters<TestType> queues({1}, {11});
  auto other = Make<TestType>(queues.clock);
  auto task = queues.Start({.to = other});
  CHECK(task.to() == QueueReference(other));
  CHECK(task.Step() == MessageMoveStatus::kCompleted);
  CHECK(ReceiveAll(other) == std::vector<int>{1, 11});
}

CONFORMANCE_TEST("a moved message is new: another id and sending time, and receives counted anew") {
  DeadLetters<TestType> queues({}, {});
  const auto sent = Send(queues.a, 1, {.attributes = {{"n", 1}}, .group = "g"});
  REQUIRE(ReceiveOne(queues.a).Release().ok());
  REQUIRE(ReceivesNothing(queues.a));
  queues.clock.Advance(Hours(1));
  REQUIRE(queues.Start().Step() == MessageMoveStatus::kCompleted);
  const auto moved = ReceiveOne(queues.a);
  CHECK(moved.id() != sent->message_id);
  CHECK(moved.sent_at() == queues.clock.Now());
  CHECK(moved.receive_count() == 1);
  CHECK(moved.attributes() == MessageAttributes{{"n", 1}});
  CHECK(moved.group() == "g");
  CHECK(moved.dead_letter_source().empty());
  CHECK(queues.dead.Statistics().number_of_messages_moved == 1);
  CHECK(queues.dead.Statistics().number_of_messages_received == 0);
  CHECK(queues.a.Statistics().number_of_messages_taken_over == 1);
}

CONFORMANCE_TEST("a task with a maximum a second moves one second's worth at once, and the rest as time goes on") {
  DeadLetters<TestType> queues({1, 2, 3, 4, 5, 6}, {});
  auto task = queues.Start({.max_messages_per_second = 2});
  CHECK(task.max_messages_per_second() == 2);
  CHECK(task.Step() == MessageMoveStatus::kRunning);
  CHECK(task.moved() == 2);
  queues.clock.Advance(Seconds(0.5) - kOneNanosecond);
  task.Step();
  CHECK(task.moved() == 2);
  queues.clock.Advance(kOneNanosecond);
  task.Step();
  CHECK(task.moved() == 3);
  queues.clock.Advance(Seconds(100));
  task.Step();
  CHECK(task.moved() == 5);
}

CONFORMANCE_TEST("running to completion sleeps on the clock") {
  DeadLetters<TestType> queues({1, 2, 3, 4}, {});
  auto task = queues.Start({.max_messages_per_second = 1});
  const absl::Time begin = queues.clock.Now();
  const auto advancing = queues.clock.AdvanceWhileAsleep();
  CHECK(task.Run() == MessageMoveStatus::kCompleted);
  CHECK(queues.clock.Now() == begin + Seconds(3));
  CHECK(queues.a.Counts().ready == 4);
}

CONFORMANCE_TEST("a task runs on an executor of the caller's") {
  DeadLetters<TestType> queues({1, 2}, {});
  std::vector<std::function<void()>> jobs;
  auto task = queues.Start();
  task.RunOn([&](std::function<void()> job) { jobs.push_back(std::move(job)); });
  REQUIRE(jobs.size() == 1);
  CHECK(task.moved() == 0);
  jobs[0]();
  CHECK(task.status() == MessageMoveStatus::kCompleted);
}

CONFORMANCE_TEST("a task is cancelled between steps at once, and what has moved stays so") {
  DeadLetters<TestType> queues({1, 2, 3}, {});
  auto task = queues.Start({.max_messages_per_second = 1});
  task.Step();
  REQUIRE(task.Cancel().ok());
  CHECK(task.status() == MessageMoveStatus::kCancelled);
  queues.clock.Advance(Minutes(1));
  CHECK(task.Step() == MessageMoveStatus::kCancelled);
  CHECK(queues.dead.Counts().ready == 2);
  CHECK(queues.a.Counts().ready == 1);
  CHECK(ErrorOf(task.Cancel()) == Error::kInvalidParameterValue);
}

CONFORMANCE_TEST("cancelling wakes the thread that runs the task") {
  DeadLetters<TestType> queues({1, 2, 3}, {});
  auto task = queues.Start({.max_messages_per_second = 1});
  std::thread runner([&] { CHECK(task.Run() == MessageMoveStatus::kCancelled); });
  queues.clock.AwaitSleepers(1);
  REQUIRE(task.Cancel().ok());
  runner.join();
}

CONFORMANCE_TEST("messages that are in flight or come later are not moved") {
  DeadLetters<TestType> queues({1, 2}, {});
  const auto held = ReceiveOne(queues.dead);
  auto task = queues.Start({.max_messages_per_second = 1});
  CHECK(task.to_move() == 1);
  queues.Bury(queues.a, 3);
  CHECK(task.Step() == MessageMoveStatus::kCompleted);
  CHECK(queues.dead.Counts() == MessageCounts{.ready = 1, .in_flight = 1});
}

CONFORMANCE_TEST("a task ends when receivers have taken the messages that it was to move") {
  DeadLetters<TestType> queues({1, 2}, {});
  auto task = queues.Start();
  CHECK(ReceiveAll(queues.dead).size() == 2);
  CHECK(task.Step() == MessageMoveStatus::kCompleted);
  CHECK(task.moved() == 0);
}

CONFORMANCE_TEST("a task waits for room in a full destination, and leaves the message as it was") {
  DeadLetters<TestType> queues({1, 2}, {});
  auto other = Make<TestType>(queues.clock, {.capacity = Capacity{.messages = 1}});
  auto task = queues.Start({.to = other});
  CHECK(task.Step() == MessageMoveStatus::kRunning);
  CHECK(task.moved() == 1);
  CHECK(queues.dead.Counts() == MessageCounts{.ready = 1});
  REQUIRE(ReceiveOne(other).Delete().ok());
  CHECK(task.Step() == MessageMoveStatus::kCompleted);
  CHECK(ReceiveOne(other).receive_count() == 1);
}

CONFORMANCE_TEST("a task fails when its destination is closed, and the message stays as it was") {
  DeadLetters<TestType> queues({1}, {});
  queues.a.Close();
  auto task = queues.Start();
  CHECK(task.Step() == MessageMoveStatus::kFailed);
  CHECK(task.failure_reason() == "the destination queue is closed");
  CHECK(queues.dead.Counts() == MessageCounts{.ready = 1});
  const auto letter = ReceiveOne(queues.dead);
  CHECK(letter.body() == 1);
  CHECK(letter.receive_count() == 2);  // one as a message of `a`: the task's is taken back
  CHECK(letter.dead_letter_source() == "a");
}

CONFORMANCE_TEST("a task fails at a message without a source, or whose source is gone") {
  DeadLetters<TestType> queues({}, {});
  SECTION("sent directly") { REQUIRE(Send(queues.dead, 1).ok()); }
  SECTION("gone") {
    auto gone = Make<TestType>(queues.clock, {.redrive = Redrive{.to = queues.dead, .max_receives = 1}});
    queues.Bury(gone, 1);
  }
  auto task = queues.Start();
  CHECK(task.Step() == MessageMoveStatus::kFailed);
  CHECK(task.failure_reason().find("CouldNotDetermineMessageSource") == 0);
  CHECK(queues.dead.Counts().ready == 1);
  auto to_b = queues.Start({.to = queues.b});
  CHECK(to_b.Step() == MessageMoveStatus::kCompleted);
  CHECK(ReceiveOne(queues.b).body() == 1);
}

CONFORMANCE_TEST("a move that is undone while the clock makes a jump takes no message out of flight twice") {
  ManualClock clock;
  auto dead = Make<TestType>(clock, {.retention = absl::InfiniteDuration(), .limits = Limits::Unlimited()});
  auto live = Make<TestType>(clock, {.redrive = Redrive{.to = dead}});
  auto full = Make<TestType>(clock, {.retention = absl::InfiniteDuration(),  // of what makes it full
                                     .capacity = Capacity{.messages = 1},
                                     .limits = Limits::Unlimited()});
  SendAll(full, 0);
  SendAll(dead, 1);
  auto task = dead.StartMessageMoveTask({.to = full}).value();
  std::atomic<bool> ends{false};
  std::thread jumps([&] {
    while (!ends.load()) {
      clock.Advance(Seconds(30));  // as long as a message is hidden that is to be moved
      dead.Counts();               // runs timeouts
    }
  });
  int failed = 0;
  for (int i = 0; i < 20'000; ++i) {
    const MessageMoveStatus status = task.Step();
    if (status == MessageMoveStatus::kFailed) ++failed;
    // Once in a great while the other thread is just putting the message back, and the step finds an empty queue.
    if (status == MessageMoveStatus::kCompleted) task = dead.StartMessageMoveTask({.to = full}).value();
  }
  ends.store(true);
  jumps.join();
  CHECK(failed == 0);
  clock.Advance(Seconds(30));
  CHECK(dead.Counts() == MessageCounts{.ready = 1});
  const auto letter = ReceiveOne(dead);
  CHECK(letter.receive_count() == 1);
  CHECK(dead.Counts() == MessageCounts{.in_flight = 1});  // -1 + 1, had it left from flight twice
}

CONFORMANCE_TEST("a task whose queue is gone fails") {
  std::optional<MessageMoveTask> task;
  ManualClock clock;
  {
    auto dead = Make<TestType>(clock);
    auto live = Make<TestType>(clock, {.redrive = Redrive{.to = dead}});
    task = dead.StartMessageMoveTask().value();
  }
  CHECK(task->Step() == MessageMoveStatus::kFailed);
}

CONFORMANCE_TEST(
    "messages are moved only from a dead-letter queue, to another queue of its kind and body type, 1 to 500 a second") {
  DeadLetters<TestType> queues({1}, {});
  auto other = Make<TestType>(queues.clock);
  auto strings = Make<typename QueueKind<TestType>::template Of<std::string>>(queues.clock);
  const auto error = [&](TestType& from, const MessageMoveOptions& options) {
    return ErrorIn(from.StartMessageMoveTask(options));
  };
  CHECK(error(other, {}) == Error::kInvalidParameterValue);
  CHECK(error(queues.dead, {.to = queues.dead}) == Error::kInvalidParameterValue);
  CHECK(error(queues.dead, {.to = strings}) == Error::kInvalidParameterValue);
  CHECK(error(queues.dead, {.max_messages_per_second = 0}) == Error::kInvalidParameterValue);
  CHECK(error(queues.dead, {.max_messages_per_second = 501}) == Error::kInvalidParameterValue);
  CHECK(queues.dead.ListMessageMoveTasks().empty());
  CHECK(error(queues.dead, {.max_messages_per_second = 500}) == std::nullopt);
}

CONFORMANCE_TEST("one task a source is active at a time, and the last ten are listed, the latest first") {
  DeadLetters<TestType> queues({1}, {});
  auto first = queues.Start();
  CHECK(ErrorIn(queues.dead.StartMessageMoveTask()) == Error::kInvalidParameterValue);
  REQUIRE(first.Step() == MessageMoveStatus::kCompleted);
  for (int i = 0; i < 10; ++i) {
    auto task = queues.Start();
    CHECK(queues.dead.ListMessageMoveTasks().front() == task);
    REQUIRE(task.Cancel().ok());
  }
  const auto tasks = queues.dead.ListMessageMoveTasks();
  CHECK(tasks.size() == 10);
  CHECK(tasks.back().status() == MessageMoveStatus::kCancelled);
  CHECK(MessageMoveStatusName(tasks.back().status()) == "CANCELLED");
}

CONFORMANCE_TEST("a body that is shown by a delivery is shared with the queue that its message is moved to") {
  using Queue = typename QueueKind<TestType>::template Of<std::string>;
  ManualClock clock;
  auto dead = Make<Queue>(clock);
  auto live = Make<Queue>(clock, {.redrive = Redrive{.to = dead}});
  REQUIRE(Send(dead, std::string(100, 'x')).ok());
  const auto shown = ReceiveOne(dead);
  clock.Advance(Seconds(30));
  REQUIRE(dead.StartMessageMoveTask({.to = live})->Step() == MessageMoveStatus::kCompleted);
  const auto moved = ReceiveOne(live);
  CHECK(shown.body() == std::string(100, 'x'));
  CHECK(&moved.body() == &shown.body());
}

CONFORMANCE_TEST("a body that queues share moves on all the same, and stays readable everywhere") {
  using Queue = typename QueueKind<TestType>::template Of<std::string>;
  ManualClock clock;
  auto dead = Make<Queue>(clock);
  auto live = Make<Queue>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  REQUIRE(Send(live, std::string(100, 'x')).ok());
  const auto in_live = ReceiveOne(live);
  clock.Advance(Seconds(30));
  CHECK(ReceivesNothing(live));
  const auto in_dead = ReceiveOne(dead);
  clock.Advance(Seconds(30));
  REQUIRE(dead.StartMessageMoveTask()->Step() == MessageMoveStatus::kCompleted);
  const auto again = ReceiveOne(live);
  for (const auto* delivery : {&in_live, &in_dead, &again}) CHECK(delivery->body() == std::string(100, 'x'));
}

}  // namespace decouple::testing
