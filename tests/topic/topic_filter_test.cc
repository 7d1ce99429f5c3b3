// Filters on a topic: the index finds exactly the policies that match, and the other messages are counted by reason.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/body_fields.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/filter/filter_index.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/json/filter_policy.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "seed.h"
#include "topic_testing.h"

namespace {

using decouple::Attribute;
using decouple::AttributeValue;
using decouple::Error;
using decouple::FilterPolicy;
using decouple::FilterScope;
using decouple::Limits;
using decouple::ManualClock;
using decouple::MessageAttributes;
using decouple::StandardQueue;
using namespace decouple::testing;  // NOLINT: all of them

struct Opaque {
  int number = 0;
};

// Random policies and bodies over so few keys and values that they often match.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  int Roll(int sides) { return static_cast<int>(random_() % static_cast<std::uint64_t>(sides)); }

  std::string Value() {
    static const std::vector<std::string> kValues = {"\"a\"", "\"b\"", "\"ab\"", "1",   "2",
                                                     "2.0",   "true",  "false",  "null"};
    return kValues[static_cast<std::size_t>(Roll(static_cast<int>(kValues.size())))];
  }

  std::string Pattern() {
    switch (Roll(12)) {
      case 0:
        return R"({"prefix": "a"})";
      case 1:
        return R"({"numeric": [">", 1]})";
      case 2:
        return R"({"exists": true})";
      case 3:
        return R"({"exists": false})";
      case 4:
        return R"({"anything-but": ["a", "b"]})";
      default:
        return Value();
    }
  }

  std::string Group(int depth) {
    std::string text = "{";
    const int first = Roll(3);
    const int keys = 1 + Roll(2);
    for (int i = 0; i < keys; ++i) {
      if (i != 0) text += ",";
      // Dots make paths: "k.l" is "l" below "k".
      text += std::string("\"") + static_cast<char>('k' + (first + i) % 3);
      text += Roll(4) == 0 ? ".x\":" : "\":";
      text += depth > 0 && Roll(4) == 0 ? Group(depth - 1) : List();
    }
    if (depth > 0 && Roll(4) == 0) text += ",\"$or\":[" + Group(depth - 1) + "," + Group(depth - 1) + "]";
    return text + "}";
  }

  std::string List() {
    std::string text = "[" + Pattern();
    for (int i = Roll(3); i > 0; --i) text += "," + Pattern();
    return text + "]";
  }

  std::string Body(int depth) {
    if (depth == 0 || Roll(3) == 0) return Value();
    if (Roll(3) == 0) {
      std::string text = "[";
      for (int i = Roll(3); i > 0; --i) text += Body(depth - 1) + (i > 1 ? "," : "");
      return text + "]";
    }
    std::string text = "{";
    for (int i = 0; i < 3; ++i) {
      if (Roll(3) == 0) continue;
      if (text.size() > 1) text += ",";
      text += std::string("\"") + static_cast<char>('k' + i) + (Roll(4) == 0 ? ".x" : "") + "\":" + Body(depth - 1);
    }
    return text + "}";
  }

  // The values of a body, by the names on the way to each: no path is the beginning of another.
  using Leaves = std::vector<std::pair<std::vector<std::string>, std::string>>;
  void AddLeaves(const std::vector<std::string>& path, int depth, Leaves& leaves) {
    for (const char* name : {"k", "l", "x"}) {
      if (Roll(3) == 0) continue;
      std::vector<std::string> below = path;
      below.emplace_back(name);
      if (depth > 0 && Roll(2) == 0) {
        AddLeaves(below, depth - 1, leaves);
      } else {
        leaves.emplace_back(below, Roll(4) == 0 ? "[" + Value() + "," + Value() + "]" : Value());
      }
    }
  }

  // A body with these values, in which some of the names are joined by dots.
  std::string Spell(const Leaves& leaves) {
    Leaves spelled;
    for (const auto& [path, value] : leaves) {
      std::vector<std::string> keys = {path.front()};
      for (std::size_t i = 1; i < path.size(); ++i) {
        if (Roll(2) == 0) {
          keys.back() += "." + path[i];
        } else {
          keys.push_back(path[i]);
        }
      }
      spelled.emplace_back(std::move(keys), value);
    }
    std::sort(spelled.begin(), spelled.end());
    return Nest(spelled, 0);
  }

 private:
  // Requires: the leaves are sorted, and alike in the first `depth` keys.
  static std::string Nest(const Leaves& leaves, std::size_t depth) {
    std::string text = "{";
    for (std::size_t i = 0; i < leaves.size();) {
      const std::string& key = leaves[i].first[depth];
      Leaves below;
      for (; i < leaves.size() && leaves[i].first[depth] == key; ++i) below.push_back(leaves[i]);
      if (text.size() > 1) text += ",";
      text += "\"" + key + "\":";
      text += below.front().first.size() == depth + 1 ? below.front().second : Nest(below, depth + 1);
    }
    return text + "}";
  }

  std::mt19937_64 random_;
};

}  // namespace

TEST_CASE("an index finds exactly the policies that match") {
  ForEachSeed(30, [](std::uint64_t seed) {
    Dice dice(seed);
    std::vector<FilterPolicy> policies;
    std::vector<std::string> texts;
    for (int i = 0; i < 60; ++i) {
      texts.push_back(dice.Group(3));
      policies.push_back(FilterPolicy::Parse(texts.back(), FilterScope::kMessageBody, Limits::Unlimited()).value());
    }
    std::vector<const decouple::internal::FilterGroup*> trees;
    for (const FilterPolicy& policy : policies) trees.push_back(decouple::internal::Access::Tree(policy));
    const decouple::internal::FilterIndex index(trees);
    const MessageAttributes none;
    for (int i = 0; i < 200; ++i) {
      const std::string body = dice.Body(4);
      std::vector<std::uint32_t> found;
      const decouple::internal::FilterInput input(none, body);
      index.ForEachMatch(input.root(), [&](std::uint32_t policy) { found.push_back(policy); });
      std::sort(found.begin(), found.end());
      std::vector<std::uint32_t> expected;
      for (std::uint32_t policy = 0; policy < policies.size(); ++policy) {
        if (policies[policy].Matches(none, body)) expected.push_back(policy);
      }
      INFO("body " << body);
      REQUIRE(found == expected);
    }
  });
}

TEST_CASE("a body matches the same policies in each of its spellings") {
  ForEachSeed(30, [](std::uint64_t seed) {
    Dice dice(seed);
    for (int i = 0; i < 100; ++i) {
      const std::string text = dice.Group(3);
      const FilterPolicy policy = FilterPolicy::Parse(text, FilterScope::kMessageBody, Limits::Unlimited()).value();
      Dice::Leaves leaves;
      dice.AddLeaves({}, 3, leaves);
      const std::string first = dice.Spell(leaves);
      const bool matches = policy.Matches({}, first);
      for (int spelling = 0; spelling < 3; ++spelling) {
        const std::string other = dice.Spell(leaves);
        INFO(text << " of " << first << " and " << other);
        REQUIRE(policy.Matches({}, other) == matches);
      }
    }
  });
}

TEST_CASE("a subscription whose filter is set to an empty policy gets every message") {
  ManualClock clock;
  auto topic = MakeTopic<Opaque>(clock);
  auto queue = Make<StandardQueue<Opaque>>(clock);
  const auto subscription = SubscribeForGood(topic, queue, {.filter = Attribute("a") == 1});
  REQUIRE(topic.Publish(Opaque{1}).ok());
  CHECK(queue.Counts().ready == 0);
  for (const auto scope : {FilterScope::kMessageAttributes, FilterScope::kMessageBody}) {
    REQUIRE(subscription.SetFilter(FilterPolicy::Parse("{}", scope)).ok());
    CHECK(subscription.filter() == FilterPolicy());
    REQUIRE(topic.Publish(Opaque{2}).ok());
    REQUIRE(queue.Receive()->size() == 1);
    REQUIRE(subscription.SetFilter(Attribute("a") == 1).ok());
    REQUIRE(topic.Publish(Opaque{3}).ok());
    CHECK(queue.Counts().ready == 0);
  }
  CHECK(topic.Statistics().number_of_notifications_filtered_out == 3);
}

TEST_CASE("of very many filtered subscriptions exactly those that match get a message") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::vector<StandardQueue<int>> queues;
  std::vector<decouple::SubscriptionReference<int>> subscriptions;
  constexpr int kQueues = 1'000;
  for (int i = 0; i < kQueues; ++i) {
    queues.push_back(Make<StandardQueue<int>>(clock));
    subscriptions.push_back(SubscribeForGood(topic, queues.back(), {.filter = Attribute("customer") == i}));
  }
  for (int i = 0; i < kQueues; i += 3) REQUIRE(subscriptions[static_cast<std::size_t>(i)].Unsubscribe().ok());
  for (int i = 1; i < kQueues; i += 3) {
    REQUIRE(subscriptions[static_cast<std::size_t>(i)].SetFilter(Attribute("customer") == kQueues + i).ok());
  }
  for (int i = 0; i < 2 * kQueues; ++i) REQUIRE(topic.Publish(i, {.attributes = {{"customer", i}}}).ok());
  for (int i = 0; i < kQueues; ++i) {
    const std::vector<int> got = ReceiveAll(queues[static_cast<std::size_t>(i)]);
    INFO(i);
    if (i % 3 == 0) REQUIRE(got.empty());
    if (i % 3 == 1) REQUIRE(got == std::vector{kQueues + i});
    if (i % 3 == 2) REQUIRE(got == std::vector{i});
  }
  CHECK(topic.Subscriptions().size() == 666);
}

TEST_CASE("a message that is filtered out is counted by the reason") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto by_attributes = Make<StandardQueue<std::string>>(clock);
  auto by_body = Make<StandardQueue<std::string>>(clock);
  SubscribeForGood(topic, by_attributes, {.filter = FilterPolicy::Parse(R"({"a": ["x"]})")});
  SubscribeForGood(topic, by_body, {.filter = FilterPolicy::Parse(R"({"b": [1]})", FilterScope::kMessageBody)});
  const auto publish = [&](const std::string& body, MessageAttributes attributes) {
    REQUIRE(topic.Publish(body, {.attributes = std::move(attributes)}).ok());
  };
  publish(R"({"b": 1})", {{"a", "x"}});
  CHECK(topic.Statistics().number_of_notifications_filtered_out == 0);
  publish(R"({"b": 1})", {});
  publish(R"({"b": 1})", {{"a", "y"}});
  publish(R"({"b": 1})", {{"a", AttributeValue("no array").WithSuffix("Array")}});
  publish(R"({"b": 2})", {{"a", "x"}});
  publish("no json", {{"a", "x"}});
  publish("[]", {{"a", "x"}});
  const auto statistics = topic.Statistics();
  CHECK(statistics.number_of_notifications_filtered_out == 6);
  CHECK(statistics.number_of_notifications_filtered_out_no_message_attributes == 1);
  CHECK(statistics.number_of_notifications_filtered_out_message_attributes == 1);
  CHECK(statistics.number_of_notifications_filtered_out_invalid_attributes == 1);
  CHECK(statistics.number_of_notifications_filtered_out_message_body == 1);
  CHECK(statistics.number_of_notifications_filtered_out_invalid_message_body == 2);
  CHECK(statistics.number_of_notifications_delivered == 8);
}

TEST_CASE("a malformed or too large filter is refused by Subscribe and SetFilter") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto queue = Make<StandardQueue<std::string>>(clock);
  CHECK(ErrorIn(topic.Subscribe(queue, {.filter = FilterPolicy::Parse("{")})) == Error::kInvalidParameter);
  const auto six = Attribute("a") == 1 && Attribute("b") == 1 && Attribute("c") == 1 && Attribute("d") == 1 &&
                   Attribute("e") == 1 && Attribute("f") == 1;
  CHECK(ErrorIn(topic.Subscribe(queue, {.filter = six})) == Error::kInvalidParameter);
  auto unlimited = MakeTopic<std::string>(clock, {.limits = Limits::Unlimited()});
  CHECK(unlimited.Subscribe(queue, {.filter = six}).ok());
  const auto subscription = SubscribeForGood(topic, queue, {.filter = Attribute("a") == 1});
  CHECK(ErrorIn(subscription.SetFilter(six)) == Error::kInvalidParameter);
  CHECK(subscription.filter() == (Attribute("a") == 1).Policy().value());
}

TEST_CASE("a policy on bodies that cannot be read is refused") {
  ManualClock clock;
  auto topic = MakeTopic<Opaque>(clock);
  auto queue = Make<StandardQueue<Opaque>>(clock);
  CHECK(ErrorIn(
            topic.Subscribe(queue, {.filter = FilterPolicy::Parse(R"({"number": [1]})", FilterScope::kMessageBody)})) ==
        Error::kInvalidParameter);
  CHECK(topic.Subscribe(queue, {.filter = FilterPolicy::Parse(R"({"number": [1]})")}).ok());
}
