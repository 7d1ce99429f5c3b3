// Batches: one result an entry, and the errors that fail a batch as a whole.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

template <typename Queue>
using Entries = std::vector<SendBatchEntry<typename Queue::Body>>;

template <typename Queue>
Entries<Queue> NumberedEntries(int n) {
  Entries<Queue> entries;
  for (int i = 0; i < n; ++i) entries.push_back({.id = "id-" + std::to_string(i), .body = i});
  return entries;
}

CONFORMANCE_TEST("a batch sends its entries in order, each with a result") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  auto entries = NumberedEntries<TestType>(10);
  const auto results = SendBatch(queue, entries);
  REQUIRE(results.ok());
  REQUIRE(results->size() == 10);
  auto received = queue.Receive({.max_messages = 10});
  REQUIRE(received->size() == 10);
  for (int i = 0; i < 10; ++i) {
    const auto n = static_cast<std::size_t>(i);
    CHECK((*received)[n].body() == i);
    CHECK((*received)[n].id() == (*results)[n]->message_id);
  }
}

CONFORMANCE_TEST("batches are written as lists in braces, and their results have the entries' ids") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  const SendOptions first = QueueKind<TestType>::Complete({});
  const SendOptions second = QueueKind<TestType>::Complete({.delay = Hours(1)});
  const auto sent = queue.SendBatch({{"a", 1, first}, {"b", 2, second}, {.id = "c", .body = 3, .options = first}});
  REQUIRE(sent.ok());
  REQUIRE(sent->size() == 3);
  CHECK((*sent)[0].id() == "a");
  CHECK((*sent)[0].ok());
  CHECK((*sent)[1].id() == "b");
  CHECK(ErrorIn((*sent)[1]) == Error::kInvalidParameterValue);
  CHECK((*sent)[2].id() == "c");
  const absl::StatusOr<SendResult>& as_outcome = (*sent)[0];
  CHECK(as_outcome->message_id == (*sent)[0].value().message_id);

  const auto delivery = ReceiveOne(queue);
  const auto changed = queue.ChangeVisibilityBatch({{"d", delivery.receipt(), Seconds(60)}});
  REQUIRE(changed.ok());
  CHECK((*changed)[0].id() == "d");
  CHECK((*changed)[0].ok());
  const auto deleted = queue.DeleteBatch({{"e", delivery.receipt()}, {"f", ReceiptHandle()}});
  REQUIRE(deleted.ok());
  CHECK((*deleted)[0].id() == "e");
  CHECK((*deleted)[0].ok());
  CHECK((*deleted)[1].id() == "f");
  CHECK(ErrorIn((*deleted)[1]) == Error::kReceiptHandleIsInvalid);
  const absl::Status as_status = (*deleted)[1];
  CHECK(ErrorName(as_status) == "ReceiptHandleIsInvalid");
}

CONFORMANCE_TEST("a list in braces takes bodies that can only be moved") {
  ManualClock clock;
  auto queue = Make<typename QueueKind<TestType>::template Of<std::unique_ptr<int>>>(clock);
  const SendOptions options = QueueKind<TestType>::Complete({});
  REQUIRE(queue.SendBatch({{"a", std::make_unique<int>(7), options}}).ok());
  CHECK(*ReceiveOne(queue).body() == 7);
}

CONFORMANCE_TEST("an entry of a batch fails by itself") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  auto entries = NumberedEntries<TestType>(4);
  entries[1].options.delay = Hours(1);
  entries[2].options.attributes = {{"", "no name"}};
  const auto results = SendBatch(queue, entries);
  REQUIRE(results.ok());
  CHECK((*results)[0].ok());
  CHECK(ErrorIn((*results)[1]) == Error::kInvalidParameterValue);
  CHECK(ErrorIn((*results)[2]) == Error::kInvalidParameterValue);
  CHECK((*results)[3].ok());
  CHECK(ReceiveAll(queue) == std::vector{0, 3});
}

CONFORMANCE_TEST("an entry of a batch has options of its own") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  auto entries = NumberedEntries<TestType>(2);
  entries[1].options.attributes = {{"store", "oslo"}};
  REQUIRE(SendBatch(queue, entries).ok());
  auto received = queue.Receive({.max_messages = 10});
  CHECK((*received)[0].attributes().empty());
  CHECK((*received)[1].attributes().Find("store")->value() == "oslo");
}

CONFORMANCE_TEST("a batch has 1 to 10 entries") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  auto none = NumberedEntries<TestType>(0);
  auto eleven = NumberedEntries<TestType>(11);
  CHECK(ErrorIn(SendBatch(queue, none)) == Error::kEmptyBatchRequest);
  CHECK(ErrorIn(SendBatch(queue, eleven)) == Error::kTooManyEntriesInBatchRequest);
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("the ids of a batch's entries differ") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  auto entries = NumberedEntries<TestType>(3);
  entries[2].id = entries[0].id;
  CHECK(ErrorIn(SendBatch(queue, entries)) == Error::kBatchEntryIdsNotDistinct);
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("the id of a batch's entry is 1 to 80 letters, digits, hyphens and underscores") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  for (const std::string& id : {std::string(), std::string(81, 'a'), std::string("a b"), std::string("a.b")}) {
    Entries<TestType> entries = {{.id = id, .body = 1}};
    CHECK(ErrorIn(SendBatch(queue, entries)) == Error::kInvalidBatchEntryId);
  }
  for (const std::string& id : {std::string("Az0-_"), std::string(80, 'a')}) {
    Entries<TestType> entries = {{.id = id, .body = 1}};
    CHECK(SendBatch(queue, entries).ok());
  }
  CHECK(queue.Counts().ready == 2);
}

CONFORMANCE_TEST("the entries of a batch are together at most 1048576 bytes") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock);
  std::vector<SendBatchEntry<std::string>> entries = {{"a", std::string(600'000, 'x'), {}},
                                                      {"b", std::string(448'577, 'x'), {}}};
  CHECK(ErrorIn(SendBatch(queue, entries)) == Error::kBatchRequestTooLong);
  CHECK(entries[0].body.size() == 600'000);
  CHECK(queue.Counts().total() == 0);
  entries[1].body.pop_back();
  CHECK(SendBatch(queue, entries).ok());
  CHECK(queue.Counts().ready == 2);
}

CONFORMANCE_TEST("a batch deletes each entry with a result of its own") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  auto other = Make<TestType>(clock);
  SendAll(queue, 1, 2);
  SendAll(other, 3);
  const std::array entries = {DeleteBatchEntry{"a", ReceiveOne(queue).receipt()},
                              DeleteBatchEntry{"b", ReceiveOne(other).receipt()},
                              DeleteBatchEntry{"c", ReceiveOne(queue).receipt()}};
  const auto results = queue.DeleteBatch(entries);
  REQUIRE(results.ok());
  CHECK((*results)[0].ok());
  CHECK(ErrorIn((*results)[1]) == Error::kReceiptHandleIsInvalid);
  CHECK((*results)[2].ok());
  CHECK(queue.Counts().total() == 0);
  CHECK(other.Counts().in_flight == 1);
}

CONFORMANCE_TEST("a batch changes each entry's visibility with a result of its own") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2);
  const std::array entries = {ChangeVisibilityBatchEntry{"a", ReceiveOne(queue).receipt(), absl::ZeroDuration()},
                              ChangeVisibilityBatchEntry{"b", ReceiveOne(queue).receipt(), Hours(13)}};
  const auto results = queue.ChangeVisibilityBatch(entries);
  REQUIRE(results.ok());
  CHECK((*results)[0].ok());
  CHECK(ErrorIn((*results)[1]) == Error::kInvalidParameterValue);
  CHECK(queue.Counts() == MessageCounts{.ready = 1, .in_flight = 1});
}

CONFORMANCE_TEST("batches of deletes and of changes follow the rules of batches") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  const ReceiptHandle receipt = ReceiveOne(queue).receipt();
  CHECK(ErrorIn(queue.DeleteBatch({})) == Error::kEmptyBatchRequest);
  CHECK(ErrorIn(queue.ChangeVisibilityBatch({})) == Error::kEmptyBatchRequest);
  const std::array twice = {DeleteBatchEntry{"a", receipt}, DeleteBatchEntry{"a", receipt}};
  CHECK(ErrorIn(queue.DeleteBatch(twice)) == Error::kBatchEntryIdsNotDistinct);
  const std::array misnamed = {ChangeVisibilityBatchEntry{"?", receipt, Seconds(1)}};
  CHECK(ErrorIn(queue.ChangeVisibilityBatch(misnamed)) == Error::kInvalidBatchEntryId);
  CHECK(queue.Counts().in_flight == 1);
}

CONFORMANCE_TEST("a batch into a closed queue fails entry by entry") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  queue.Close();
  auto entries = NumberedEntries<TestType>(2);
  const auto results = SendBatch(queue, entries);
  REQUIRE(results.ok());
  CHECK(ErrorIn((*results)[0]) == Error::kQueueClosed);
  CHECK(ErrorIn((*results)[1]) == Error::kQueueClosed);
}

CONFORMANCE_TEST("a batch fills a bounded queue as far as there is room") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.capacity = Capacity{.messages = 3}});
  auto entries = NumberedEntries<TestType>(5);
  const auto results = SendBatch(queue, entries);
  REQUIRE(results.ok());
  CHECK((*results)[2].ok());
  CHECK(ErrorIn((*results)[3]) == Error::kQueueFull);
  CHECK(ErrorIn((*results)[4]) == Error::kQueueFull);
  CHECK(ReceiveAll(queue) == std::vector{0, 1, 2});
}

CONFORMANCE_TEST("the messages of one receive are deleted by one call") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2, 3, 4);
  {
    auto received = queue.Receive({.max_messages = 10});
    REQUIRE(received->size() == 4);
    REQUIRE((*received)[1].Delete().ok());
    const auto taken_out = std::move((*received)[2]);
    CHECK(received->Delete().ok());
    CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
    CHECK(received->front().body() == 1);  // still readable
    CHECK(taken_out.body() == 3);
    CHECK(received->Delete().ok());
  }
  CHECK(queue.Statistics().number_of_messages_deleted == 3);
  CHECK(queue.Statistics().approximate_number_of_bytes == sizeof(int));
  clock.Advance(Seconds(30));
  CHECK(ReceiveAll(queue) == std::vector{3});
  Deliveries<int> none;
  CHECK(none.Delete().ok());
}

CONFORMANCE_TEST("deleting the messages of one receive touches none that was received again") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2);
  auto late = queue.Receive({.max_messages = 10});
  REQUIRE(late->size() == 2);
  clock.Advance(Seconds(30));
  const auto again = ReceiveOne(queue);
  late->Delete().IgnoreError();
  CHECK(queue.Counts().in_flight == 1);
  CHECK(queue.Statistics().number_of_messages_deleted <= 1);
}

CONFORMANCE_TEST("the messages of one receive outlive the queue's handle, and can still be deleted or released") {
  ManualClock clock;
  Deliveries<int> deleted;
  Deliveries<int> kept;
  {
    auto queue = Make<TestType>(clock);
    SendAll(queue, 1, 2, 3);
    deleted = queue.Receive({.max_messages = 2}).value();
    kept = queue.Receive({.max_messages = 2}).value();
  }
  REQUIRE(deleted.size() == 2);
  REQUIRE(kept.size() == 1);
  CHECK(deleted.Delete().ok());
  CHECK(deleted[1].body() == 2);
  CHECK(kept[0].body() == 3);
  kept = std::move(deleted);
  CHECK(kept[0].body() == 1);
}

}  // namespace decouple::testing
