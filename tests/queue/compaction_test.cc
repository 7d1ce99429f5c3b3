// Messages that stay long after the ones around them have gone are moved (compaction.h), which no user can observe.

#include <algorithm>
#include <string>
#include <vector>

#include "decouple/internal/base/access.h"
#include "decouple/internal/message/moved_messages.h"
#include "queue_testing.h"

namespace decouple::testing {

using TextQueue = StandardQueue<std::string>;

// Leaves one message of a hundred in flight, by its receipt only, and has them moved.
std::vector<ReceiptHandle> LeaveStragglers(TextQueue& queue, const SendOptions& options = {}) {
  std::vector<ReceiptHandle> receipts;
  for (int i = 0; i < 10'000; ++i) {
    const bool stays = i % 100 == 0 && i < 5'000;
    const std::string body = (stays ? "straggler " : "one of many ") + std::to_string(i);
    REQUIRE(queue.Send(body, stays ? options : SendOptions()).ok());
    auto delivery = ReceiveOne(queue, {.visibility_timeout = stays ? Hours(1) : Seconds(30)});
    if (stays) {
      receipts.push_back(delivery.receipt());
    } else {
      REQUIRE(delivery.Delete().ok());
    }
  }
  return receipts;
}

TEST_CASE("a moved message comes back with all that it had") {
  ManualClock clock;
  auto queue = Make<TextQueue>(clock);
  const absl::Time sent = clock.Now();
  LeaveStragglers(queue, {.attributes = {{"store", "oslo"}}});
  CHECK(queue.Counts() == MessageCounts{.in_flight = 50});
  clock.Advance(Hours(1) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.ready = 50});
  std::vector<std::string> bodies;
  std::size_t moved = 0;
  for (int i = 0; i < 50; ++i) {
    auto delivery = ReceiveOne(queue);
    bodies.push_back(delivery.body());
    CHECK(delivery.receive_count() == 2);
    CHECK(delivery.sent_at() == sent);
    CHECK(delivery.first_received_at() == sent);
    CHECK(delivery.attributes().Find("store")->value() == "oslo");
    moved += internal::Access::Segment(delivery.receipt()) == internal::MovedMessages::kSegmentNumber ? 1 : 0;
    REQUIRE(delivery.Delete().ok());
  }
  CHECK(moved >= 30);  // otherwise this test proves nothing
  std::sort(bodies.begin(), bodies.end());
  CHECK(std::unique(bodies.begin(), bodies.end()) == bodies.end());
  CHECK(bodies.front() == "straggler 0");
  CHECK(queue.Counts().total() == 0);
}

TEST_CASE("a receipt from before the move deletes") {
  ManualClock clock;
  auto queue = Make<TextQueue>(clock);
  for (const ReceiptHandle& receipt : LeaveStragglers(queue)) REQUIRE(queue.Delete(receipt).ok());
  CHECK(queue.Counts().total() == 0);
  CHECK(queue.Statistics().number_of_messages_deleted == 10'000);
}

TEST_CASE("a receipt from before the move changes visibility, and is stale after the next receive") {
  ManualClock clock;
  auto queue = Make<TextQueue>(clock);
  const auto receipts = LeaveStragglers(queue);
  for (const ReceiptHandle& receipt : receipts) REQUIRE(queue.ChangeVisibility(receipt, Minutes(5)).ok());
  clock.Advance(Minutes(5));
  CHECK(queue.Counts() == MessageCounts{.ready = 50});
  CHECK(ReceiveAll(queue).size() == 50);
  for (const ReceiptHandle& receipt : receipts) {
    REQUIRE(ErrorIn(queue.ChangeVisibility(receipt, Minutes(5))) == Error::kMessageNotInflight);
    REQUIRE(queue.Delete(receipt).ok());
  }
  CHECK(queue.Counts() == MessageCounts{.in_flight = 50});
}

TEST_CASE("a moved message keeps its id and its receipts, and once it is deleted all of them find it gone") {
  ManualClock clock;
  auto queue = Make<TextQueue>(clock);
  const auto receipts = LeaveStragglers(queue);
  clock.Advance(Hours(1));
  auto delivery = ReceiveOne(queue);
  const ReceiptHandle again = ReceiptHandle::Parse(delivery.receipt().ToString()).value();
  CHECK(internal::Access::Ticket(again) ==
        internal::Access::Ticket(receipts[static_cast<std::size_t>(std::stoi(delivery.body().substr(10)) / 100)]));
  REQUIRE(queue.Delete(again).ok());
  CHECK(ErrorIn(queue.ChangeVisibility(again, Seconds(1))) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(delivery.ChangeVisibility(Seconds(1))) == Error::kInvalidParameterValue);
  CHECK(queue.Counts() == MessageCounts{.ready = 49});
}

TEST_CASE("moved messages expire and are purged like any other") {
  ManualClock clock;
  auto expiring = Make<TextQueue>(clock, {.retention = Minutes(30)});
  auto purged = Make<TextQueue>(clock);
  LeaveStragglers(expiring);
  LeaveStragglers(purged);
  CHECK(expiring.Statistics().approximate_number_of_messages_not_visible == 50);
  clock.Advance(Minutes(30));
  CHECK(purged.Statistics().approximate_age_of_oldest_message == Minutes(30));
  CHECK(expiring.Counts().total() == 0);
  REQUIRE(purged.Purge().ok());
  CHECK(purged.Counts().total() == 0);
}

TEST_CASE("delayed messages are moved too, and become visible when their delay is over") {
  ManualClock clock;
  auto queue = Make<TextQueue>(clock);
  for (int i = 0; i < 10'000; ++i) {
    const bool delayed = i % 100 == 0 && i < 5'000;
    REQUIRE(queue.Send("body", {.delay = delayed ? Minutes(15) : absl::ZeroDuration()}).ok());
    if (!delayed) REQUIRE(ReceiveOne(queue).Delete().ok());
  }
  CHECK(queue.Counts() == MessageCounts{.delayed = 50});
  clock.Advance(Minutes(15) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  std::size_t moved = 0;
  for (int i = 0; i < 50; ++i) {
    const auto delivery = ReceiveOne(queue);
    CHECK(delivery.receive_count() == 1);
    moved += internal::Access::Segment(delivery.receipt()) == internal::MovedMessages::kSegmentNumber ? 1 : 0;
  }
  CHECK(moved >= 30);
  CHECK(ReceivesNothing(queue));
}

TEST_CASE("a tenant's message is moved and stays its tenant's") {
  ManualClock clock;
  auto queue = Make<TextQueue>(clock);
  LeaveStragglers(queue, {.group = "tenant"});
  clock.Advance(Hours(1));
  for (int i = 0; i < 50; ++i) {
    auto delivery = ReceiveOne(queue);
    CHECK(delivery.group() == "tenant");
    REQUIRE(delivery.Release().ok());
    REQUIRE(delivery.Delete().ok());
  }
  CHECK(queue.Counts().total() == 0);
  CHECK(ReceivesNothing(queue));
}

TEST_CASE("a message that a delivery refers to is not moved, and its body stays where it is") {
  ManualClock clock;
  auto queue = Make<TextQueue>(clock, {.visibility_timeout = Hours(1)});
  REQUIRE(queue.Send("held").ok());
  const auto held = ReceiveOne(queue);
  const std::string* const body = &held.body();
  LeaveStragglers(queue);
  CHECK(&held.body() == body);
  CHECK(*body == "held");
}

}  // namespace decouple::testing
