// FIFO queues: which sends are duplicates, and what a repeated receive returns.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "decouple/content_hash.h"
#include "decouple/internal/fifo/deduplication.h"
#include "decouple/internal/queue/queue_config.h"
#include "queue_testing.h"

namespace decouple::testing {

using TextFifo = FifoQueue<std::string>;

auto SendId(TextFifo& queue, const char* body, const char* group, const char* id) {
  return queue.Send(body, {.group = group, .deduplication_id = id});
}

TEST_CASE("a duplicate is accepted, not enqueued, and answers with the first one's id and sequence number") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  const auto first = SendId(queue, "first", "a", "1");
  const auto second = SendId(queue, "second", "a", "1");
  REQUIRE(second.ok());
  CHECK(second->message_id == first->message_id);
  CHECK(second->sequence_number == first->sequence_number);
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
  CHECK(queue.Statistics().number_of_messages_sent == 1);
  auto only = ReceiveOne(queue);
  CHECK(only.body() == "first");
  CHECK(only.id() == first->message_id);
  CHECK(only.sequence_number() == first->sequence_number);
}

TEST_CASE("a send stays a duplicate when the first is received and deleted, for five minutes from the first send") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  const auto first = SendId(queue, "x", "a", "1");
  REQUIRE(ReceiveOne(queue).Delete().ok());
  clock.Advance(Minutes(4));
  CHECK(SendId(queue, "x", "a", "1")->message_id == first->message_id);  // a duplicate prolongs nothing
  clock.Advance(Minutes(1) - kOneNanosecond);
  CHECK(SendId(queue, "x", "a", "1")->message_id == first->message_id);
  CHECK(queue.Counts().total() == 0);
  clock.Advance(kOneNanosecond);
  const auto again = SendId(queue, "x", "a", "1");
  CHECK(again->message_id != first->message_id);
  CHECK(again->sequence_number > first->sequence_number);
  CHECK(queue.Counts().ready == 1);
  clock.Advance(Minutes(5) - kOneNanosecond);
  CHECK(SendId(queue, "x", "a", "1")->message_id == again->message_id);
}

TEST_CASE("five minutes are five minutes, however much is forgotten at once") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  std::vector<MessageId> first;
  for (int i = 0; i < 1000; ++i) first.push_back(SendId(queue, "x", "a", std::to_string(i).c_str())->message_id);
  clock.Advance(Minutes(5));
  for (int i = 999; i >= 0; --i) {
    REQUIRE(SendId(queue, "x", "a", std::to_string(i).c_str())->message_id != first[static_cast<std::size_t>(i)]);
  }
  CHECK(queue.Counts().ready == 2000);
}

TEST_CASE("deduplication ids count in the whole queue, or in a group if the scope says so") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  const auto in_a = SendId(queue, "x", "a", "1");
  CHECK(SendId(queue, "x", "b", "1")->message_id == in_a->message_id);

  auto by_group = Make<TextFifo>(clock, {.deduplication_scope = DeduplicationScope::kMessageGroup});
  const auto first = SendId(by_group, "x", "a", "1");
  CHECK(SendId(by_group, "x", "b", "1")->message_id != first->message_id);
  CHECK(SendId(by_group, "x", "a", "1")->message_id == first->message_id);
}

TEST_CASE("sends before a change of scope count by the new one") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock, {.deduplication_scope = DeduplicationScope::kMessageGroup});
  const auto in_a = SendId(queue, "x", "a", "1");
  clock.Advance(Seconds(1));
  const auto in_b = SendId(queue, "x", "b", "1");
  CHECK(in_b->message_id != in_a->message_id);
  REQUIRE(queue.SetAttributes({.deduplication_scope = DeduplicationScope::kQueue}).ok());
  CHECK(SendId(queue, "x", "c", "1")->message_id == in_a->message_id);  // the first of the two
  REQUIRE(queue.SetAttributes({.deduplication_scope = DeduplicationScope::kMessageGroup}).ok());
  CHECK(SendId(queue, "x", "a", "1")->message_id == in_a->message_id);
  clock.Advance(Minutes(5) - Seconds(1));
  CHECK(SendId(queue, "x", "a", "1")->message_id != in_a->message_id);
}

TEST_CASE("a purge forgets all deduplication ids") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  const auto first = SendId(queue, "x", "a", "1");
  REQUIRE(queue.Purge().ok());
  CHECK(SendId(queue, "x", "a", "1")->message_id != first->message_id);
  CHECK(queue.Counts().ready == 1);
}

TEST_CASE("a send that failed is not remembered") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock, {.capacity = Capacity{.messages = 1}});
  const auto full = SendId(queue, "x", "a", "1");
  CHECK(ErrorIn(SendId(queue, "y", "a", "2")) == Error::kQueueFull);
  CHECK(SendId(queue, "x", "a", "1")->message_id == full->message_id);  // a duplicate needs no room
  REQUIRE(ReceiveOne(queue).Delete().ok());
  CHECK(SendId(queue, "y", "a", "2")->message_id != full->message_id);
  CHECK(ReceiveOne(queue).body() == "y");
  queue.Close();
  CHECK(ErrorIn(SendId(queue, "x", "a", "1")) == Error::kQueueClosed);
}

TEST_CASE("a deduplication id is 1 to 128 letters, digits and punctuation, and must be there") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  CHECK(ErrorIn(queue.Send("x", {.group = "a"})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(SendId(queue, "x", "a", "with space")) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(SendId(queue, "x", "a", std::string(129, 'i').c_str())) == Error::kInvalidParameterValue);
  CHECK(SendId(queue, "x", "a", std::string(128, '~').c_str()).ok());
}

TEST_CASE("what a full queue refuses of a batch stays as it was, and leaves no trace of its id and group") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock, {.capacity = Capacity{.messages = 1}});
  const std::string long_group(100, 'g');
  std::vector<SendBatchEntry<std::string>> entries;
  entries.push_back({"one", "x", {.group = "a", .deduplication_id = "1"}});
  entries.push_back({"two", "y", {.group = long_group, .deduplication_id = "2"}});
  entries[1].options.attributes.Set("size", AttributeValue::Binary("large"));
  const auto results = queue.SendBatch(entries);
  REQUIRE(results.ok());
  CHECK((*results)[0].ok());
  CHECK_FALSE((*results)[1].ok());
  CHECK(entries[1].body == "y");
  CHECK(entries[1].options.group == long_group);
  CHECK(entries[1].options.deduplication_id == "2");
  CHECK(entries[1].options.attributes.size() == 1);
  REQUIRE(ReceiveOne(queue).Delete().ok());
  REQUIRE(queue.SendBatch(std::span(entries).subspan(1)).ok());
  const auto received = ReceiveOne(queue);
  CHECK(received.body() == "y");
  CHECK(received.group() == long_group);
  CHECK(received.attributes().size() == 1);
}

TEST_CASE("a send that is over does not hide a later one from a wider scope") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock, {.deduplication_scope = DeduplicationScope::kMessageGroup});
  REQUIRE(SendId(queue, "x", "a", "1").ok());
  clock.Advance(Minutes(4));
  const auto later = SendId(queue, "x", "b", "1");
  REQUIRE(later.ok());
  clock.Advance(Minutes(1));
  REQUIRE(queue.SetAttributes({.deduplication_scope = DeduplicationScope::kQueue}).ok());
  CHECK(SendId(queue, "x", "c", "1")->message_id == later->message_id);
  clock.Advance(Minutes(4) - kOneNanosecond);
  CHECK(SendId(queue, "x", "c", "1")->message_id == later->message_id);
  clock.Advance(kOneNanosecond);
  CHECK(SendId(queue, "x", "c", "1")->message_id != later->message_id);
}

TEST_CASE("each character of an id counts, wherever it stands") {
  int wrong = 0;
  for (std::size_t size = 1; size <= 20; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int character = 0; character < 256; ++character) {
        std::string id(size, '~');
        id[at] = static_cast<char>(character);
        const bool is_allowed = character > ' ' && character < 127;
        wrong += internal::CheckToken("id", id).ok() == is_allowed ? 0 : 1;
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("duplicates in a batch are accepted one by one") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  std::vector<SendBatchEntry<std::string>> entries;
  entries.push_back({"one", "x", {.group = "a", .deduplication_id = "1"}});
  entries.push_back({"two", "y", {.group = "a", .deduplication_id = "1"}});
  entries.push_back({"three", "z", {.attributes = {{"", "no name"}}, .group = "a", .deduplication_id = "3"}});
  const auto results = queue.SendBatch(entries);
  REQUIRE(results.ok());
  CHECK((*results)[1]->message_id == (*results)[0]->message_id);
  CHECK(ErrorIn((*results)[2]) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().ready == 1);
}

TEST_CASE("a batch in which an entry lacks its group or its id fails as a whole, and nothing is sent") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  struct Lacking {
    SendOptions options;
    Error error;
  };
  const std::vector<Lacking> kinds = {{{.deduplication_id = "3"}, Error::kMissingParameter},
                                      {{.group = "", .deduplication_id = "3"}, Error::kInvalidParameterValue},
                                      {{.group = "a"}, Error::kInvalidParameterValue},
                                      {{.group = "a", .deduplication_id = ""}, Error::kInvalidParameterValue}};
  for (const Lacking& kind : kinds) {
    for (std::size_t at = 0; at < 3; ++at) {
      std::vector<SendBatchEntry<std::string>> entries;
      entries.push_back({"one", "x", {.group = "a", .deduplication_id = "1"}});
      entries.push_back({"two", "y", {.group = "a", .deduplication_id = "2"}});
      entries.insert(entries.begin() + static_cast<std::ptrdiff_t>(at), {"lacking", "z", kind.options});
      const auto results = queue.SendBatch(entries);
      CHECK(ErrorIn(results) == kind.error);
      CHECK(absl::StrContains(results.status().message(), "\"lacking\""));
      CHECK(queue.Counts().total() == 0);
      for (const auto& entry : entries) CHECK_FALSE(entry.body.empty());  // nothing was moved from
    }
  }
  // None of the ids was remembered.
  CHECK(SendId(queue, "x", "a", "1").ok());
  CHECK(SendId(queue, "x", "a", "2").ok());
  CHECK(queue.Counts().ready == 2);
}

TEST_CASE("with content-based deduplication a batch fails for a missing group, not for a missing id") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock, {.content_based_deduplication = true});
  std::vector<SendBatchEntry<std::string>> entries;
  entries.push_back({"one", "x", {.group = "a"}});
  entries.push_back({"two", "y", {}});
  CHECK(ErrorIn(queue.SendBatch(entries)) == Error::kMissingParameter);
  CHECK(queue.Counts().total() == 0);
  entries[1].options.group = "a";
  CHECK(queue.SendBatch(entries).ok());
  CHECK(queue.Counts().ready == 2);
}

// ---- content-based -------------------------------------------------------------------------------------------------

TEST_CASE("with content-based deduplication the id is the SHA-256 of the body, never of the attributes") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock, {.content_based_deduplication = true});
  const auto first = queue.Send("abc", {.attributes = {{"n", 1}}, .group = "a"});
  CHECK(queue.Send("abc", {.attributes = {{"n", 2}}, .group = "b"})->message_id == first->message_id);
  CHECK(queue.Send("abd", {.group = "a"})->message_id != first->message_id);
  // FIPS 180-2, appendix B.1
  CHECK(ReceiveOne(queue).deduplication_id() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("an explicit deduplication id wins over the content") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock, {.content_based_deduplication = true});
  const auto first = SendId(queue, "abc", "a", "1");
  CHECK(SendId(queue, "abc", "a", "2")->message_id != first->message_id);
  CHECK(queue.Send("abc", {.group = "a"})->message_id != first->message_id);
  CHECK(SendId(queue, "other", "a", "1")->message_id == first->message_id);
}

TEST_CASE("content-based deduplication can be switched while the queue lives") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  CHECK_FALSE(queue.Send("abc", {.group = "a"}).ok());
  REQUIRE(queue.SetAttributes({.content_based_deduplication = true}).ok());
  CHECK(queue.Send("abc", {.group = "a"}).ok());
  REQUIRE(queue.SetAttributes({.content_based_deduplication = false}).ok());
  CHECK_FALSE(queue.Send("abc", {.group = "a"}).ok());
}

struct Order {
  int id;
  std::string customer;
  double not_hashed;

  friend void DecoupleHashContent(const Order& order, ContentHash& hash) { hash.Add(order.id).Add(order.customer); }
};

TEST_CASE("a user's type says what its content is") {
  ManualClock clock;
  auto queue = Make<FifoQueue<Order>>(clock, {.content_based_deduplication = true});
  const auto first = queue.Send(Order{1, "ann", 0.5}, {.group = "a"});
  CHECK(queue.Send(Order{1, "ann", 0.7}, {.group = "a"})->message_id == first->message_id);
  CHECK(queue.Send(Order{1, "bob", 0.5}, {.group = "a"})->message_id != first->message_id);
  CHECK(queue.Send(Order{2, "ann", 0.5}, {.group = "a"})->message_id != first->message_id);
}

TEST_CASE("bytes have a content; a type without one cannot have content-based deduplication") {
  const std::vector<std::byte> bytes = {std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};
  CHECK(ContentHashOf(bytes) == ContentHashOf(std::string("abc")));
  CHECK(ErrorIn(FifoQueue<int>::Create({.content_based_deduplication = true})) == Error::kInvalidAttributeValue);
  CHECK(FifoQueue<int>::Create({.content_based_deduplication = false}).ok());
}

TEST_CASE("different ids are different, though the table of a million of them knows only a part of their hashes") {
  internal::Deduplication deduplication;
  std::uint64_t sent = 0;
  const auto once = [&](const std::string& id) {
    const auto key = deduplication.Prefetch("group", id);
    internal::Deduplication::DeduplicationGuard guard(deduplication, key, "group", id);
    std::uint64_t ticket = 0;
    if (guard.TryRemember(0, ticket)) guard.Succeed(ticket = sent++);
    return ticket;
  };
  constexpr std::uint64_t kIds = 1'000'000;  // some pairs of them have that part in common
  for (std::uint64_t i = 0; i < kIds; ++i) {
    if (once(std::to_string(i)) != i) FAIL(i << " was taken for another");
  }
  for (std::uint64_t i = 0; i < kIds; ++i) {
    if (once(std::to_string(i)) != i) FAIL(i << " was not found again");
  }
  CHECK(sent == kIds);
}

TEST_CASE("parts of a content do not run into each other") {
  const auto hash = [](const char* a, const char* b) { return ContentHash().Add(a).Add(b).Finish(); };
  CHECK(hash("ab", "c") != hash("a", "bc"));
  CHECK(ContentHash().Add(7).Finish() == ContentHash().Add(7L).Finish());
}

// ---- receive attempts ----------------------------------------------------------------------------------------------

TEST_CASE("the same attempt returns the same messages and receipts, with visibility restarted") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  for (const char* id : {"1", "2", "3"}) REQUIRE(SendId(queue, id, "a", id).ok());
  const ReceiveOptions attempt = {.max_messages = 2, .attempt_id = "attempt"};
  const auto first = queue.Receive(attempt);
  REQUIRE(first->size() == 2);
  clock.Advance(Seconds(20));
  const auto again = queue.Receive(attempt);
  REQUIRE(again->size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK((*again)[i].body() == (*first)[i].body());
    CHECK((*again)[i].receipt() == (*first)[i].receipt());
    CHECK((*again)[i].receive_count() == 1);
  }
  CHECK(queue.Counts() == MessageCounts{.ready = 1, .in_flight = 2});
  clock.Advance(Seconds(30) - kOneNanosecond);
  CHECK(queue.Counts().in_flight == 2);
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts().in_flight == 0);
}

TEST_CASE("both deliveries of a repeated attempt can end, in any order") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  REQUIRE(SendId(queue, "x", "a", "1").ok());
  auto first = queue.Receive({.attempt_id = "attempt"});
  auto again = queue.Receive({.attempt_id = "attempt"});
  first = {};
  CHECK(again->front().body() == "x");
  CHECK(again->front().Delete().ok());
  CHECK(queue.Counts().total() == 0);
  CHECK(queue.Receive({.attempt_id = "attempt"})->empty());
}

TEST_CASE("an attempt of which one message has changed its state receives again") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock);
  for (const char* id : {"1", "2"}) REQUIRE(SendId(queue, id, id, id).ok());
  const ReceiveOptions attempt = {.max_messages = 10, .attempt_id = "attempt"};
  auto first = queue.Receive(attempt);
  SECTION("deleted") {
    REQUIRE((*first)[0].Delete().ok());
    CHECK(queue.Receive(attempt)->empty());
    CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
  }
  SECTION("extended") {
    REQUIRE((*first)[1].ChangeVisibility(Minutes(1)).ok());
    CHECK(queue.Receive(attempt)->empty());
    clock.Advance(Seconds(30));
    CHECK(queue.Counts() == MessageCounts{.ready = 1, .in_flight = 1});  // the first was left as it was
  }
  SECTION("released") {
    REQUIRE((*first)[0].Release().ok());
    const auto again = queue.Receive(attempt);
    REQUIRE(again->size() == 1);
    CHECK(again->front().receive_count() == 2);
  }
  SECTION("timed out") {
    clock.Advance(Seconds(30));
    const auto again = queue.Receive(attempt);
    REQUIRE(again->size() == 2);
    CHECK(again->front().receive_count() == 2);
  }
}

TEST_CASE("another attempt id, or the same after five minutes, is another attempt") {
  ManualClock clock;
  auto queue = Make<TextFifo>(clock, {.visibility_timeout = Hours(1)});
  for (const char* id : {"1", "2", "3"}) REQUIRE(SendId(queue, id, id, id).ok());
  CHECK(queue.Receive({.attempt_id = "one"})->front().body() == "1");
  CHECK(queue.Receive({.attempt_id = "two"})->front().body() == "2");
  clock.Advance(Minutes(5) - kOneNanosecond);
  CHECK(queue.Receive({.attempt_id = "one"})->front().body() == "1");
  clock.Advance(kOneNanosecond);
  CHECK(queue.Receive({.attempt_id = "one"})->front().body() == "3");
  CHECK(ErrorIn(queue.Receive({.attempt_id = "with space"})) == Error::kInvalidParameterValue);
}

}  // namespace decouple::testing
