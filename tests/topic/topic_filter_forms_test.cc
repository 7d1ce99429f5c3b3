// A condition means the same in each of its forms: as an expression and as JSON, of bodies that are structs and text,
// tested directly and found by the index of a topic.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/body_fields.h"
#include "decouple/clock.h"
#include "decouple/filter_expression.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/filter/filter_index.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/json/filter_policy.h"
#include "decouple/limits.h"
#include "decouple/message_attributes.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "topic_testing.h"

namespace forms {

struct Line {
  std::string sku = {};
  int count = 0;
};
constexpr auto DecoupleFields(const Line*) {
  return decouple::Fields(decouple::Field("sku", &Line::sku), decouple::Field("count", &Line::count));
}

struct Customer {
  std::string name = {};
  std::optional<std::string> ip = {};
};
constexpr auto DecoupleFields(const Customer*) {
  return decouple::Fields(decouple::Field("name", &Customer::name), decouple::Field("ip", &Customer::ip));
}

struct Purchase {
  double price = 0;
  bool paid = false;
  std::string store = {};
  Customer customer = {};
  std::vector<Line> lines = {};
  std::vector<std::string> tags = {};
  // Spelled with dots, as their own names are: beside `customer`, and below an object that there is not otherwise.
  std::optional<std::string> customer_city = {};
  std::optional<int> zone = {};
};
constexpr auto DecoupleFields(const Purchase*) {
  using decouple::Field;
  return decouple::Fields(Field("price", &Purchase::price), Field("paid", &Purchase::paid),
                          Field("store", &Purchase::store), Field("customer", &Purchase::customer),
                          Field("lines", &Purchase::lines), Field("tags", &Purchase::tags),
                          Field("customer.city", &Purchase::customer_city), Field("delivery.zone", &Purchase::zone));
}

}  // namespace forms

namespace {

using decouple::Attribute;
using decouple::FilterDialect;
using decouple::FilterExpression;
using decouple::FilterPolicy;
using decouple::FilterScope;
using decouple::Limits;
using decouple::ManualClock;
using decouple::MessageAttributes;
using decouple::StandardQueue;
using decouple::Where;
using forms::Customer;
using forms::Line;
using forms::Purchase;
using namespace decouple::testing;  // NOLINT: all of them

// A struct, and texts that spell what it holds.
struct Message {
  Purchase body;
  std::vector<std::string> texts;
  MessageAttributes attributes = {};
};

const std::vector<Message>& Messages() {
  static const std::vector<Message> messages = {
      {{.price = 120,
        .paid = true,
        .store = "Ångström",
        .customer = {"Kari", "10.1.2.3"},
        .lines = {{"x", 1}, {"y", 9}},
        .tags = {"new", "urgent"},
        .customer_city = "oslo",
        .zone = 3},
       {R"({"price": 120, "paid": true, "store": "Ångström", "lines": [{"sku": "x", "count": 1},
            {"sku": "y", "count": 9}], "customer": {"name": "Kari", "ip": "10.1.2.3", "city": "oslo"},
            "tags": ["new", "urgent"], "delivery": {"zone": 3}})",
        R"({"price": 1.2e2, "paid": true, "store": "\u00c5ngstr\u00f6m", "lines": [{"sku": "x", "count": 1},
            [{"sku": "y", "count": 9}]], "customer.name": "Kari", "customer": {"ip": "10.1.2.3"},
            "customer.city": "oslo", "tags": [["new"], "urgent"], "delivery.zone": 3})"},
       {{"kind", "sale"}, {"weight", 7}}},
      {{.price = 99.5, .store = "bergen", .customer = {"kari", {}}, .lines = {{"x", 9}}},
       {R"({"price": 99.5, "paid": false, "store": "bergen", "customer": {"name": "kari"},
            "lines": {"sku": "x", "count": 9}, "tags": []})",
        R"({"price": 99.5, "paid": false, "store": "bergen", "customer.name": "kari",
            "lines.sku": "x", "lines.count": 9})"},
       {{"kind", "return"}}},
      {{}, {R"({"price": 0, "paid": false, "store": "", "customer": {"name": ""}})"}, {}},
  };
  return messages;
}

FilterPolicy ParsedForm(const std::string& json, FilterScope scope) {
  const auto policy = FilterPolicy::Parse(json, scope, Limits::Service(), FilterDialect::kEventBridge);
  INFO(json << " " << policy.status());
  REQUIRE(policy.ok());
  return *policy;
}

// Which messages each form of a condition lets through: that of every policy and every body must be the same. Negations
// have no JSON: then `json` is empty.
template <typename Body>
void CheckForms(const FilterExpression<Body>& expression, const std::vector<std::string>& jsons, FilterScope scope,
                const std::vector<bool>& expected) {
  INFO((jsons.empty() ? "" : jsons.front()));
  std::vector<FilterPolicy> policies = {expression.Policy().value()};
  for (const std::string& json : jsons) policies.push_back(ParsedForm(json, scope));

  // An index over all forms, among policies that match nothing and policies without an exact value.
  std::vector<FilterPolicy> others = {(Where(&Purchase::store) == "nowhere").Policy().value(),
                                      (Where(&Purchase::price) < -1).Policy().value()};
  std::vector<const decouple::internal::FilterGroup*> trees;
  for (const auto* list : {&policies, &others}) {
    for (const FilterPolicy& policy : *list) trees.push_back(decouple::internal::Access::Tree(policy));
  }
  const decouple::internal::FilterIndex index(trees);
  const auto found_by_index = [&](const MessageAttributes& attributes, const auto& body) {
    const decouple::internal::FilterInput input(attributes, body);
    std::vector<std::uint32_t> found;
    index.ForEachMatch(input.root(), [&](std::uint32_t policy) { found.push_back(policy); });
    std::sort(found.begin(), found.end());
    return found;
  };

  ManualClock clock;
  auto structs = MakeTopic<Purchase>(clock);
  auto texts = MakeTopic<std::string>(clock);
  std::vector<StandardQueue<Purchase>> struct_queues;
  std::vector<StandardQueue<std::string>> text_queues;
  for (const FilterPolicy& policy : policies) {
    struct_queues.push_back(Make<StandardQueue<Purchase>>(clock));
    text_queues.push_back(Make<StandardQueue<std::string>>(clock));
    SubscribeForGood(structs, struct_queues.back(), {.filter = policy});
    SubscribeForGood(texts, text_queues.back(), {.filter = policy});
  }

  REQUIRE(expected.size() == Messages().size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Message& message = Messages()[i];
    INFO("message " << i);
    std::vector<std::uint32_t> all;
    for (std::uint32_t policy = 0; expected[i] && policy < policies.size(); ++policy) all.push_back(policy);
    for (const FilterPolicy& policy : policies) CHECK(policy.Matches(message.attributes, message.body) == expected[i]);
    CHECK(found_by_index(message.attributes, message.body) == all);
    REQUIRE(structs.Publish(message.body, {.attributes = message.attributes}).ok());
    for (auto& queue : struct_queues) CHECK(queue.Receive()->size() == (expected[i] ? 1 : 0));
    for (const std::string& text : message.texts) {
      INFO(text);
      for (const FilterPolicy& policy : policies) CHECK(policy.Matches(message.attributes, text) == expected[i]);
      CHECK(found_by_index(message.attributes, text) == all);
      REQUIRE(texts.Publish(text, {.attributes = message.attributes}).ok());
      for (auto& queue : text_queues) CHECK(queue.Receive()->size() == (expected[i] ? 1 : 0));
    }
  }
}

template <typename Body>
void CheckBodyForms(const FilterExpression<Body>& expression, const std::vector<std::string>& jsons,
                    const std::vector<bool>& expected) {
  CheckForms(expression, jsons, FilterScope::kMessageBody, expected);
}

template <typename Body>
void CheckAttributeForms(const FilterExpression<Body>& expression, const std::string& json,
                         const std::vector<bool>& expected) {
  CheckForms(expression, {json}, FilterScope::kMessageAttributes, expected);
}

}  // namespace

TEST_CASE("values and numbers match alike in all forms") {
  CheckBodyForms(Where(&Purchase::store) == "bergen", {R"({"store": ["bergen"]})"}, {false, true, false});
  CheckBodyForms(Where(&Purchase::price) == 120, {R"({"price": [1.2e2]})", R"({"price": [{"numeric": ["=", 120]}]})"},
                 {true, false, false});
  CheckBodyForms(Where(&Purchase::price) >= 99.5, {R"({"price": [{"numeric": [">=", 99.5]}]})"}, {true, true, false});
  CheckBodyForms(Where(&Purchase::paid) == false, {R"({"paid": [false]})"}, {false, true, true});
  CheckBodyForms(Where(&Purchase::tags) == "urgent", {R"({"tags": ["urgent"]})"}, {true, false, false});
  CheckBodyForms(Where(&Purchase::tags).IsAbsent(), {R"({"tags": [{"exists": false}]})"}, {false, true, true});
  CheckAttributeForms(Attribute("kind").In({"sale", "gift"}), R"({"kind": ["sale", "gift"]})", {true, false, false});
  CheckAttributeForms(Attribute("weight") > 6.5, R"({"weight": [{"numeric": [">", 6.5]}]})", {true, false, false});
  CheckAttributeForms(Attribute("weight").IsAbsent(), R"({"weight": [{"exists": false}]})", {false, true, true});
}

TEST_CASE("operators on text match alike in all forms") {
  const auto store = Where(&Purchase::store);
  const auto on_store = [](const std::string& pattern) { return std::vector{R"({"store": [)" + pattern + "]}"}; };
  CheckBodyForms(store.StartsWith("ber"), on_store(R"({"prefix": "ber"})"), {false, true, false});
  CheckBodyForms(store.StartsWith(""), on_store(R"({"prefix": ""})"), {true, true, true});
  CheckBodyForms(store.EndsWith(""), on_store(R"({"suffix": ""})"), {true, true, true});
  CheckBodyForms(store.EndsWith("ström"), on_store(R"({"suffix": "ström"})"), {true, false, false});
  CheckBodyForms(store.EqualsIgnoreCase("ÅNGSTRÖM"), on_store(R"({"equals-ignore-case": "ÅNGSTRÖM"})"),
                 {true, false, false});
  CheckBodyForms(store.EqualsIgnoreCase(""), on_store(R"({"equals-ignore-case": ""})"), {false, false, true});
  CheckBodyForms(store.StartsWithIgnoreCase("åNG"), on_store(R"({"prefix": {"equals-ignore-case": "åNG"}})"),
                 {true, false, false});
  CheckBodyForms(store.EndsWithIgnoreCase("GEN"), on_store(R"({"suffix": {"equals-ignore-case": "GEN"}})"),
                 {false, true, false});
  CheckBodyForms(store.MatchesWildcard("*r*"), on_store(R"({"wildcard": "*r*"})"), {true, true, false});
  CheckBodyForms(store.MatchesWildcard("b*r*n"), on_store(R"({"wildcard": "b*r*n"})"), {false, true, false});
  CheckBodyForms(store.NotIn({"bergen", "oslo"}), on_store(R"({"anything-but": ["bergen", "oslo"]})"),
                 {true, false, true});
  CheckBodyForms(store.DoesNotStartWith("b"), on_store(R"({"anything-but": {"prefix": "b"}})"), {true, false, true});
  CheckBodyForms(store.DoesNotEndWith("n"), on_store(R"({"anything-but": {"suffix": "n"}})"), {true, false, true});
  CheckBodyForms(store.DoesNotEqualIgnoreCase("BERGEN"),
                 on_store(R"({"anything-but": {"equals-ignore-case": "BERGEN"}})"), {true, false, true});
  CheckBodyForms(store.DoesNotMatchWildcard("b*"), on_store(R"({"anything-but": {"wildcard": "b*"}})"),
                 {true, false, true});
  CheckBodyForms(Where(&Purchase::customer, &Customer::ip).InNetwork("10.0.0.0/8"),
                 {R"({"customer": {"ip": [{"cidr": "10.0.0.0/8"}]}})"}, {true, false, false});
  CheckAttributeForms(Attribute("kind").EqualsIgnoreCase("SALE"), R"({"kind": [{"equals-ignore-case": "SALE"}]})",
                      {true, false, false});
  CheckAttributeForms(Attribute("kind").MatchesWildcard("*e*"), R"({"kind": [{"wildcard": "*e*"}]})",
                      {true, true, false});
}

TEST_CASE("paths match alike in all forms, with dots and without") {
  CheckBodyForms(Where(&Purchase::customer, &Customer::name) == "Kari",
                 {R"({"customer": {"name": ["Kari"]}})", R"({"customer.name": ["Kari"]})"}, {true, false, false});
  CheckBodyForms(Where(&Purchase::customer, &Customer::name).EqualsIgnoreCase("KARI"),
                 {R"({"customer.name": [{"equals-ignore-case": "KARI"}]})"}, {true, true, false});
  CheckBodyForms(Where(&Purchase::customer, &Customer::ip).IsAbsent(),
                 {R"({"customer": {"ip": [{"exists": false}]}})", R"({"customer.ip": [{"exists": false}]})"},
                 {false, true, true});
  CheckBodyForms(Where(&Purchase::customer_city) == "oslo",
                 {R"({"customer": {"city": ["oslo"]}})", R"({"customer.city": ["oslo"]})"}, {true, false, false});
  CheckBodyForms(Where(&Purchase::zone) == 3, {R"({"delivery": {"zone": [3]}})", R"({"delivery.zone": [3]})"},
                 {true, false, false});
  CheckBodyForms(Where(&Purchase::zone).IsAbsent(),
                 {R"({"delivery": {"zone": [{"exists": false}]}})", R"({"delivery.zone": [{"exists": false}]})"},
                 {false, true, true});
  CheckBodyForms(Where(&Purchase::customer, &Customer::name) == "Kari" && Where(&Purchase::customer_city) == "oslo",
                 {R"({"customer": {"name": ["Kari"], "city": ["oslo"]}})",
                  R"({"customer.name": ["Kari"], "customer": {"city": ["oslo"]}})"},
                 {true, false, false});
  CheckBodyForms(Where(&Purchase::lines, &Line::sku) == "x" && Where(&Purchase::lines, &Line::count) == 9,
                 {R"({"lines": {"sku": ["x"], "count": [9]}})", R"({"lines.sku": ["x"], "lines.count": [9]})"},
                 {false, true, false});
}

TEST_CASE("alternatives and negations match alike in all forms") {
  CheckBodyForms(Where(&Purchase::store) == "bergen" || Where(&Purchase::zone) == 3,
                 {R"({"$or": [{"store": ["bergen"]}, {"delivery.zone": [3]}]})"}, {true, true, false});
  CheckBodyForms(Not(Where(&Purchase::store) == "bergen"), {}, {true, false, true});
  CheckBodyForms(Not(Where(&Purchase::customer_city) == "oslo"), {}, {false, true, true});
  CheckBodyForms(Not(Where(&Purchase::zone).Exists()), {R"({"delivery.zone": [{"exists": false}]})"},
                 {false, true, true});
  CheckBodyForms(Where(&Purchase::price) > 1 && Not(Where(&Purchase::lines, &Line::sku) == "y"), {},
                 {false, true, false});
  CheckBodyForms(Where(&Purchase::paid) == false && Not(Attribute("kind") == "return"), {}, {false, false, true});
}
