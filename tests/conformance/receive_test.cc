// Receiving and deleting, as every queue does them.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

CONFORMANCE_TEST("a received message is hidden from others for 30 s by default") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  ReceiveOne(queue);
  clock.Advance(Seconds(30) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK(ReceiveOne(queue).receive_count() == 2);
}

CONFORMANCE_TEST("a visibility timeout of the queue's options counts") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.visibility_timeout = Seconds(5)});
  SendAll(queue, 1);
  ReceiveOne(queue);
  clock.Advance(Seconds(5) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK_FALSE(ReceivesNothing(queue));
}

CONFORMANCE_TEST("a receive's own visibility timeout overrides the queue's") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  ReceiveOne(queue, {.visibility_timeout = Seconds(2)});
  clock.Advance(Seconds(2) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK_FALSE(ReceivesNothing(queue));
}

CONFORMANCE_TEST("a visibility timeout of 0 makes a received message visible at once") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  CHECK(ReceiveOne(queue, {.visibility_timeout = absl::ZeroDuration()}).receive_count() == 1);
  CHECK(ReceiveOne(queue, {.visibility_timeout = absl::ZeroDuration()}).receive_count() == 2);
}

CONFORMANCE_TEST("with a visibility timeout of 0 one receive gives each message once, however many it may give") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 0);
  REQUIRE(ReceiveOne(queue).Delete().ok());  // from now on a standard queue receives on its fast path
  REQUIRE(queue.SetAttributes({.visibility_timeout = absl::ZeroDuration()}).ok());
  SendAll(queue, 1, 2, 3);
  for (std::uint32_t receive = 1; receive <= 2; ++receive) {
    const auto received = queue.Receive({.max_messages = 10}).value();
    std::set<int> bodies;
    for (const auto& m : received) {
      CHECK(m.receive_count() == receive);
      bodies.insert(m.body());
    }
    CHECK(received.size() == bodies.size());
    CHECK_FALSE(received.empty());
  }
}

CONFORMANCE_TEST("a receive gives one message by default, and up to ten if asked for") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  for (int i = 0; i < 25; ++i) SendAll(queue, i);
  CHECK(queue.Receive()->size() == 1);
  CHECK(queue.Receive({.max_messages = 10})->size() == 10);
  CHECK(queue.Receive({.max_messages = 10})->size() == 10);
  CHECK(queue.Receive({.max_messages = 10})->size() == 4);
}

CONFORMANCE_TEST("0 or more than 10 messages in one receive are refused") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  CHECK(ErrorIn(queue.Receive({.max_messages = 0})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.Receive({.max_messages = 11})) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("a receive's visibility timeout and wait must be in range") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  CHECK(ErrorIn(queue.Receive({.visibility_timeout = -kOneNanosecond})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.Receive({.visibility_timeout = Hours(12) + kOneNanosecond})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.Receive({.wait = -kOneNanosecond})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.Receive({.wait = Seconds(20) + kOneNanosecond})) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().ready == 1);
  CHECK(queue.Receive({.visibility_timeout = Hours(12), .wait = Seconds(20)})->size() == 1);
}

CONFORMANCE_TEST("a receive without a wait returns at once when there is no message") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  CHECK(queue.Receive()->empty());
  CHECK(clock.sleepers() == 0);
}

CONFORMANCE_TEST("a receive with a wait does not wait while there is a message") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  CHECK(queue.Receive({.max_messages = 10, .wait = Seconds(20)})->size() == 1);  // does not wait for nine more
}

CONFORMANCE_TEST("a received message tells when it was sent, first received, and how often received") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  const absl::Time sent = clock.Now();
  SendAll(queue, 1);
  clock.Advance(Seconds(7));
  const absl::Time first = clock.Now();
  ReceiveOne(queue);
  clock.Advance(Seconds(30));
  const auto again = ReceiveOne(queue);
  CHECK(again.sent_at() == sent);
  CHECK(again.first_received_at() == first);
  CHECK(again.receive_count() == 2);
}

CONFORMANCE_TEST("a message keeps its id, and each receive gives a new receipt") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  const auto sent = Send(queue, 1);
  REQUIRE(sent.ok());
  const auto first = ReceiveOne(queue);
  clock.Advance(Seconds(30));
  const auto second = ReceiveOne(queue);
  CHECK(first.id() == sent->message_id);
  CHECK(second.id() == sent->message_id);
  CHECK(first.receipt() != second.receipt());
}

CONFORMANCE_TEST("no two messages have the same id") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(Send(queue, i)->message_id.ToString());
  CHECK(ids.size() == 1000);
}

CONFORMANCE_TEST("a deleted message does not come back") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  CHECK(ReceiveOne(queue).Delete().ok());
  clock.Advance(Hours(1));
  CHECK(ReceivesNothing(queue));
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("deleting what is already deleted succeeds") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  const ReceiptHandle receipt = delivery.receipt();
  CHECK(delivery.Delete().ok());
  CHECK(delivery.Delete().ok());
  CHECK(queue.Delete(receipt).ok());
  { const auto gone = std::move(delivery); }
  CHECK(queue.Delete(receipt).ok());  // its slot is free again
  CHECK(queue.Statistics().number_of_messages_deleted == 1);
}

CONFORMANCE_TEST("deleting with a receipt from before the last receive never touches the newer one") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  auto old = ReceiveOne(queue);
  clock.Advance(Seconds(30));
  const auto again = ReceiveOne(queue);
  queue.Delete(old.receipt()).IgnoreError();  // its status depends on the kind of queue
  old.Delete().IgnoreError();
  CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
}

CONFORMANCE_TEST("an old receipt never touches the message that has its slot now") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 0);
  const ReceiptHandle old = ReceiveOne(queue).receipt();
  CHECK(queue.Delete(old).ok());
  for (int i = 1; i < 10'000; ++i) {  // far enough for every slot to be used again
    SendAll(queue, i);
    auto delivery = ReceiveOne(queue);
    REQUIRE(queue.Delete(old).ok());
    REQUIRE(ErrorIn(queue.ChangeVisibility(old, Seconds(1))) == Error::kInvalidParameterValue);
    REQUIRE(queue.Counts().in_flight == 1);
    REQUIRE(delivery.Delete().ok());
  }
}

CONFORMANCE_TEST("a receipt of another queue, or of none, is invalid") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  auto other = Make<TestType>(clock);
  SendAll(queue, 1);
  SendAll(other, 1);
  const ReceiptHandle foreign = ReceiveOne(other).receipt();
  const auto delivery = ReceiveOne(queue);
  for (const ReceiptHandle& receipt : {foreign, ReceiptHandle()}) {
    CHECK(ErrorIn(queue.Delete(receipt)) == Error::kReceiptHandleIsInvalid);
    CHECK(ErrorIn(queue.ChangeVisibility(receipt, Seconds(1))) == Error::kReceiptHandleIsInvalid);
  }
  CHECK(queue.Counts().in_flight == 1);
  CHECK(other.Counts().in_flight == 1);
}

CONFORMANCE_TEST("a receipt works after a trip through text") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  const std::string text = ReceiveOne(queue).receipt().ToString();
  CHECK(queue.Delete(ReceiptHandle::Parse(text).value()).ok());
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("dropping a delivery does nothing to its message") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  { const auto dropped = ReceiveOne(queue); }
  CHECK(queue.Counts().in_flight == 1);
  clock.Advance(Seconds(30));
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("a body stays readable as long as its delivery, whatever happens to the message") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  const std::string text = "longer than any small string would be, so that it lies on the heap";
  auto queue = std::make_unique<Strings>(Make<Strings>(clock));
  REQUIRE(Send(*queue, text).ok());
  auto first = ReceiveOne(*queue);
  clock.Advance(Seconds(30));
  auto second = ReceiveOne(*queue);
  clock.Advance(Seconds(30));
  const auto third = ReceiveOne(*queue);
  REQUIRE(queue->Delete(third.receipt()).ok());
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(Send(*queue, "another").ok());
    REQUIRE(ReceiveOne(*queue).Delete().ok());
  }
  CHECK(first.body() == text);
  { const auto gone = std::move(first); }
  REQUIRE(queue->Purge().ok());
  queue.reset();  // the last handle
  CHECK(second.body() == text);
  CHECK(third.body() == text);
}

CONFORMANCE_TEST("handles refer to one queue, and may go in any order") {
  ManualClock clock;
  auto first = std::make_unique<TestType>(Make<TestType>(clock));
  auto second = std::make_unique<TestType>(*first);
  CHECK(*first == *second);
  CHECK_FALSE(*first == Make<TestType>(clock));
  SendAll(*first, 1, 2);
  first.reset();
  auto delivery = ReceiveOne(*second);
  CHECK(delivery.body() == 1);
  second.reset();
  CHECK(delivery.body() == 1);
  CHECK(delivery.Delete().ok());
  CHECK(delivery.Delete().ok());
}

CONFORMANCE_TEST("a default queue is valid and on the system clock") {
  TestType queue;
  const absl::Time before = SystemClock::Instance().Now();
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  CHECK(delivery.sent_at() >= before);
  CHECK(delivery.sent_at() <= SystemClock::Instance().Now());
  CHECK(delivery.Delete().ok());
}

}  // namespace decouple::testing
