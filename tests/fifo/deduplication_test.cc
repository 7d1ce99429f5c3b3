// The table of deduplication ids.

#include "decouple/internal/fifo/deduplication.h"

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "catch.h"
#include "seed.h"

namespace decouple::testing {
namespace {

using internal::Deduplication;
constexpr std::int64_t kInterval = Deduplication::kInterval;

// Sends at that time. Returns the ticket of the first send with the id; nullopt if this is the first, which gets
// `ticket`.
std::optional<std::uint64_t> SendOnce(Deduplication& table, std::string_view group, std::string_view id,
                                      std::int64_t now, std::uint64_t ticket) {
  Deduplication::DeduplicationGuard guard(table, table.Prefetch(group, id), group, id);
  std::uint64_t first = 0;
  if (!guard.TryRemember(now, first)) return first;
  guard.Succeed(ticket);
  return std::nullopt;
}

TEST_CASE("an id is taken once within five minutes, and again at their end") {
  Deduplication table;
  CHECK_FALSE(SendOnce(table, "g", "a", 0, 1));
  CHECK(SendOnce(table, "g", "a", 0, 2) == 1);
  CHECK(SendOnce(table, "g", "a", kInterval - 1, 3) == 1);
  CHECK_FALSE(SendOnce(table, "g", "a", kInterval, 4));
  CHECK(SendOnce(table, "g", "a", kInterval, 5) == 4);
}

TEST_CASE("an id counts in the whole queue, or in each group, as the scope says") {
  Deduplication table;
  CHECK_FALSE(SendOnce(table, "g", "a", 0, 1));
  CHECK(SendOnce(table, "h", "a", 0, 2) == 1);
  table.SetScope(DeduplicationScope::kMessageGroup, 0);
  CHECK(SendOnce(table, "g", "a", 0, 3) == 1);  // what was sent before counts on
  CHECK_FALSE(SendOnce(table, "h", "a", 0, 4));
  table.SetScope(DeduplicationScope::kQueue, 1);
  CHECK(SendOnce(table, "h", "a", 1, 5) == 1);  // of two that become one, the first
}

TEST_CASE("a send that fails, or whose caller says nothing, is forgotten") {
  Deduplication table;
  std::uint64_t ticket = 0;
  {
    Deduplication::DeduplicationGuard guard(table, table.Prefetch("g", "a"), "g", "a");
    REQUIRE(guard.TryRemember(0, ticket));
    guard.Fail();
  }
  {
    Deduplication::DeduplicationGuard guard(table, table.Prefetch("g", "a"), "g", "a");
    REQUIRE(guard.TryRemember(0, ticket));
  }
  CHECK_FALSE(SendOnce(table, "g", "a", 0, 7));
  CHECK(SendOnce(table, "g", "a", 0, 8) == 7);
}

TEST_CASE("all is forgotten when it is cleared") {
  Deduplication table;
  table.Clear();  // nothing yet
  CHECK_FALSE(SendOnce(table, "g", "a", 0, 1));
  table.Clear();
  CHECK_FALSE(SendOnce(table, "g", "a", 0, 2));
}

TEST_CASE("dropping what is old changes no answer") {
  Deduplication table;
  table.DropSome(0);  // nothing yet
  for (int i = 0; i < 1'000; ++i) CHECK_FALSE(SendOnce(table, "g", std::to_string(i), i, 1));
  for (int i = 0; i < 100; ++i) table.DropSome(kInterval + 499);
  for (int i = 0; i < 1'000; ++i) {
    CAPTURE(i);
    CHECK(SendOnce(table, "g", std::to_string(i), kInterval + 499, 2).has_value() == (i >= 500));
  }
}

TEST_CASE("the table answers as a map does, at random") {
  ForEachSeed(20, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Deduplication table;
    std::map<std::pair<std::string, std::string>, std::pair<std::int64_t, std::uint64_t>> sent;
    bool in_groups = false;
    std::int64_t now = 0;
    for (std::uint64_t ticket = 1; ticket <= 3'000; ++ticket) {
      now += static_cast<std::int64_t>(random() % (kInterval / 200));
      const std::string group = std::to_string(random() % 5);
      const std::string id = std::to_string(random() % 400);
      auto& last = sent.try_emplace({in_groups ? group : "", id}, -kInterval, 0).first->second;
      const bool is_duplicate = now - last.first < kInterval;
      const auto answer = SendOnce(table, group, id, now, ticket);
      REQUIRE(answer.has_value() == is_duplicate);
      if (is_duplicate) {
        REQUIRE(*answer == last.second);
      } else {
        last = {now, ticket};
      }
      if (random() % 16 == 0) table.DropSome(now);
      if (ticket == 1) {
        in_groups = seed % 2 == 0;
        table.Clear();
        sent.clear();
        if (in_groups) table.SetScope(DeduplicationScope::kMessageGroup, now);
      }
    }
  });
}

}  // namespace
}  // namespace decouple::testing
