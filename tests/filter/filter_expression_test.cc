#include "decouple/filter_expression.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/body_fields.h"
#include "decouple/error.h"
#include "decouple/json/filter_policy.h"
#include "decouple/message_attributes.h"

namespace shop {

enum class Priority { kLow = 1, kHigh = 2 };

struct Item {
  std::string sku;
  int count = 0;
};
constexpr auto DecoupleFields(const Item*) {
  return decouple::Fields(decouple::Field("sku", &Item::sku), decouple::Field("count", &Item::count));
}

struct Address {
  std::string city;
  std::optional<std::string> ip;
};
constexpr auto DecoupleFields(const Address*) {
  return decouple::Fields(decouple::Field("city", &Address::city), decouple::Field("ip", &Address::ip));
}

struct Order {
  double price = 0;
  bool paid = false;
  std::string store = {};
  Priority priority = Priority::kLow;
  std::vector<Item> items = {};
  std::vector<std::string> tags = {};
  std::optional<Address> address = {};
};
constexpr auto DecoupleFields(const Order*) {
  using decouple::Field;
  return decouple::Fields(Field("price", &Order::price), Field("paid", &Order::paid), Field("store", &Order::store),
                          Field("priority", &Order::priority), Field("items", &Order::items),
                          Field("tags", &Order::tags), Field("address", &Order::address));
}

}  // namespace shop

namespace {

using decouple::Attribute;
using decouple::Error;
using decouple::ErrorOf;
using decouple::FilterPolicy;
using decouple::FilterScope;
using decouple::MessageAttributes;
using decouple::Where;
using shop::Address;
using shop::Item;
using shop::Order;

template <typename Expression>
bool Matches(const Expression& expression, const Order& order, const MessageAttributes& attributes = {}) {
  const auto policy = expression.Policy();
  INFO(policy.status());
  REQUIRE(policy.ok());
  return policy->Matches(attributes, order);
}

bool JsonMatches(const char* json, const Order& order) {
  return FilterPolicy::Parse(json, FilterScope::kMessageBody).value().Matches({}, order);
}

template <typename Expression>
std::optional<Error> ErrorIn(const Expression& expression) {
  return ErrorOf(expression.Policy().status());
}

}  // namespace

TEST_CASE("numbers of a struct are compared") {
  CHECK(Matches(Where(&Order::price) > 100, {.price = 100.5}));
  CHECK_FALSE(Matches(Where(&Order::price) > 100, {.price = 100}));
  CHECK(Matches(Where(&Order::price) >= 100, {.price = 100}));
  CHECK(Matches(Where(&Order::price) < 0.5, {.price = 0.25}));
  CHECK_FALSE(Matches(Where(&Order::price) <= 0.5, {.price = 0.75}));
  CHECK(Matches(Where(&Order::price) == 1e2, {.price = 100}));
  CHECK(Matches(Where(&Order::price) != 1, {.price = 100}));
  CHECK(Matches(Where(&Order::price) > 100 && Where(&Order::price) < 200, {.price = 150}));
  CHECK_FALSE(Matches(Where(&Order::price) > 100 && Where(&Order::price) < 200, {.price = 200}));
  CHECK(Matches(Where(&Order::priority) == shop::Priority::kHigh, {.priority = shop::Priority::kHigh}));
  CHECK_FALSE(Matches(Where(&Order::price) > 0, {.price = std::numeric_limits<double>::infinity()}));
}

TEST_CASE("text and bools of a struct are compared") {
  CHECK(Matches(Where(&Order::store) == "oslo", {.store = "oslo"}));
  CHECK(Matches(Where(&Order::store).In({"oslo", "bergen"}), {.store = "bergen"}));
  CHECK_FALSE(Matches(Where(&Order::store).NotIn({"oslo", "bergen"}), {.store = "bergen"}));
  CHECK(Matches(Where(&Order::store).StartsWith("os"), {.store = "oslo"}));
  CHECK(Matches(Where(&Order::store).EndsWith("lo"), {.store = "oslo"}));
  CHECK_FALSE(Matches(Where(&Order::store).DoesNotStartWith("os"), {.store = "oslo"}));
  CHECK(Matches(Where(&Order::store).EqualsIgnoreCase("OSLO"), {.store = "oslo"}));
  CHECK(Matches(Where(&Order::paid) == true, {.paid = true}));
  CHECK_FALSE(Matches(Where(&Order::paid) == true, {.paid = false}));
}

TEST_CASE("members of members are found through optionals and arrays") {
  const Order sent{.address = Address{"oslo", "10.1.2.3"}};
  CHECK(Matches(Where(&Order::address, &Address::city) == "oslo", sent));
  CHECK(Matches(Where(&Order::address, &Address::ip).InNetwork("10.0.0.0/8"), sent));
  CHECK(Matches(Where(&Order::address, &Address::city).IsAbsent(), {}));
  CHECK(Matches(Where(&Order::address, &Address::ip).IsAbsent(), {.address = Address{"oslo", std::nullopt}}));
  const Order two{.items = {{"x", 1}, {"y", 9}}};
  CHECK(Matches(Where(&Order::items, &Item::sku) == "y", two));
  CHECK(Matches(Where(&Order::items, &Item::sku).IsAbsent(), {}));
  CHECK(Matches(Where(&Order::tags) == "urgent", {.tags = {"new", "urgent"}}));
  CHECK_FALSE(Matches(Where(&Order::tags).Exists(), {}));
}

TEST_CASE("conditions on one array that are joined must hold for the same element") {
  const auto condition = Where(&Order::items, &Item::sku) == "x" && Where(&Order::items, &Item::count) > 5;
  CHECK(Matches(condition, {.items = {{"y", 1}, {"x", 9}}}));
  CHECK_FALSE(Matches(condition, {.items = {{"x", 1}, {"y", 9}}}));
}

TEST_CASE("conditions on body and attributes can be joined") {
  const auto condition = Where(&Order::price) > 100 && Attribute("store").In({"a", "b"});
  CHECK(Matches(condition, {.price = 101}, {{"store", "b"}}));
  CHECK_FALSE(Matches(condition, {.price = 101}, {{"store", "c"}}));
  CHECK_FALSE(Matches(condition, {.price = 100}, {{"store", "b"}}));
  CHECK(Matches(Attribute("n") > 5, {}, {{"n", 6}}));
  CHECK_FALSE(Matches(Attribute("n") > 5, {}, {{"n", "6"}}));
  CHECK(Matches(Attribute("n").In({"x", 6}), {}, {{"n", 6}}));
}

TEST_CASE("one of the alternatives must match") {
  const auto condition = (Where(&Order::price) > 100 || Attribute("urgent").Exists() || Where(&Order::paid) == true) &&
                         Where(&Order::store) == "oslo";
  CHECK(Matches(condition, {.price = 101, .store = "oslo"}));
  CHECK(Matches(condition, {.store = "oslo"}, {{"urgent", "yes"}}));
  CHECK(Matches(condition, {.paid = true, .store = "oslo"}));
  CHECK_FALSE(Matches(condition, {.store = "oslo"}));
  CHECK_FALSE(Matches(condition, {.price = 101, .store = "bergen"}));
}

TEST_CASE("an expression equals the policy that its JSON gives") {
  const auto json = [](const char* text) { return FilterPolicy::Parse(text, FilterScope::kMessageBody).value(); };
  CHECK((Where(&Order::price) > 100).Policy().value() == json(R"({"price": [{"numeric": [">", 100]}]})"));
  CHECK((Where(&Order::items, &Item::sku).In({"x", "y"}) && Where(&Order::store).NotIn({"a"})).Policy().value() ==
        json(R"({"items": {"sku": ["x", "y"]}, "store": [{"anything-but": ["a"]}]})"));
}

TEST_CASE("policies in JSON read described structs") {
  const Order order{.price = 120, .store = "oslo", .items = {{"x", 1}, {"y", 9}}, .address = Address{"bergen", {}}};
  CHECK(JsonMatches(R"({"price": [{"numeric": [">", 100]}], "address": {"city": ["bergen"]}})", order));
  CHECK(JsonMatches(R"({"items": {"sku": ["y"], "count": [9]}})", order));
  CHECK_FALSE(JsonMatches(R"({"items": {"sku": ["x"], "count": [9]}})", order));
  CHECK(JsonMatches(R"({"paid": [false], "address": {"ip": [{"exists": false}]}})", order));
  CHECK(JsonMatches(R"({"unknown": [{"exists": false}]})", order));
}

TEST_CASE("text is compared without regard to case, by wildcards, and by what it must not be") {
  const auto store = Where(&Order::store);
  CHECK(Matches(store.StartsWithIgnoreCase("ÅNG"), {.store = "ångström"}));
  CHECK_FALSE(Matches(store.StartsWithIgnoreCase("ANG"), {.store = "ångström"}));
  CHECK(Matches(store.EndsWithIgnoreCase("STRÖM"), {.store = "ångström"}));
  CHECK(Matches(store.EqualsIgnoreCase("ÅNGSTRÖM"), {.store = "ångström"}));
  CHECK_FALSE(Matches(store.DoesNotEqualIgnoreCase("ÅNGSTRÖM"), {.store = "ångström"}));
  CHECK(Matches(store.DoesNotEqualIgnoreCase("ÅNGSTRÖM"), {.store = "oslo"}));
  CHECK(Matches(store.MatchesWildcard("o*l*"), {.store = "oslo"}));
  CHECK_FALSE(Matches(store.MatchesWildcard("o*l"), {.store = "oslo"}));
  CHECK(Matches(store.DoesNotMatchWildcard("o*l"), {.store = "oslo"}));
  CHECK_FALSE(Matches(store.DoesNotEndWith("lo"), {.store = "oslo"}));
  CHECK(Matches(store.DoesNotEndWith("lo"), {.store = "bergen"}));
  CHECK(Matches(store.StartsWith("") && store.EndsWith(""), {.store = ""}));
  CHECK(Matches(Attribute("s").MatchesWildcard("a*") && Attribute("s").DoesNotEndWith("z"), {}, {{"s", "ab"}}));
  CHECK_FALSE(Matches(Attribute("s").DoesNotEndWith("z"), {}, {}));  // it needs a value
}

TEST_CASE("Not holds exactly where the condition does not") {
  CHECK(Matches(Not(Where(&Order::price) > 100), {.price = 100}));
  CHECK_FALSE(Matches(Not(Where(&Order::price) > 100), {.price = 101}));
  CHECK(Matches(Not(Attribute("store") == "oslo"), {}, {}));  // where != needs a value
  CHECK_FALSE(Matches(Attribute("store") != "oslo", {}, {}));
  CHECK_FALSE(Matches(Not(Attribute("store") == "oslo"), {}, {{"store", "oslo"}}));
  CHECK(Matches(Not(Not(Where(&Order::paid) == true)), {.paid = true}));
  CHECK_FALSE(Matches(Not(Not(Where(&Order::paid) == true)), {.paid = false}));
}

TEST_CASE("Not of a condition on an array holds if no element fulfils it") {
  const Order two{.items = {{"x", 1}, {"y", 9}}};
  CHECK_FALSE(Matches(Not(Where(&Order::items, &Item::sku) == "x"), two));
  CHECK(Matches(Where(&Order::items, &Item::sku) != "x", two));
  CHECK(Matches(Not(Where(&Order::items, &Item::sku) == "z"), two));
  CHECK(Matches(Not(Where(&Order::items, &Item::sku) == "x" && Where(&Order::items, &Item::count) == 9), two));
  CHECK(Matches(Not(Where(&Order::items, &Item::sku) == "x"), {}));
  CHECK_FALSE(Matches(Where(&Order::items, &Item::count) == 9 && Not(Where(&Order::items, &Item::sku) == "x"), two));
}

TEST_CASE("Not goes together with && and ||, and follows De Morgan's laws") {
  const auto dear = Where(&Order::price) > 100;
  const auto paid = Where(&Order::paid) == true;
  const auto urgent = Attribute("urgent").Exists();
  for (const double price : {100.0, 101.0}) {
    for (const bool is_paid : {false, true}) {
      for (const MessageAttributes& attributes : {MessageAttributes(), MessageAttributes{{"urgent", "yes"}}}) {
        const Order order{.price = price, .paid = is_paid};
        const bool is_dear = price > 100;
        const bool is_urgent = !attributes.empty();
        CHECK(Matches(Not(dear && paid), order, attributes) == !(is_dear && is_paid));
        CHECK(Matches(Not(dear || paid), order, attributes) == !(is_dear || is_paid));
        CHECK(Matches(Not(dear || urgent) && paid, order, attributes) == (!(is_dear || is_urgent) && is_paid));
        CHECK(Matches(Not(dear) || Not(urgent) || paid, order, attributes) == (!is_dear || !is_urgent || is_paid));
        CHECK(Matches(Not(dear) && Not(urgent && paid), order, attributes) == (!is_dear && !(is_urgent && is_paid)));
        CHECK(Matches((dear || paid) && Not(urgent), order, attributes) == ((is_dear || is_paid) && !is_urgent));
        CHECK(Matches(((dear || paid) && Not(urgent)) || urgent, order, attributes) ==
              (is_dear || is_paid || is_urgent));
      }
    }
  }
}

TEST_CASE("what cannot be read fulfils neither a condition nor its negation") {
  const FilterPolicy cheap = Not(Where(&Order::price) > 100).Policy().value();
  CHECK(cheap.Matches({}, std::string(R"({"price": 5})")));
  CHECK(cheap.Matches({}, std::string("{}")));
  CHECK(cheap.looks_at_body());
  for (const char* body : {"no json", "5", "[]"}) CHECK_FALSE(cheap.Matches({}, std::string(body)));
  CHECK_FALSE(cheap.Matches({}));
  const FilterPolicy other = Not(Attribute("a") == "x").Policy().value();
  CHECK(other.looks_at_attributes());
  CHECK_FALSE(other.looks_at_body());
  CHECK(other.Matches({{"a", decouple::AttributeValue("[\"y\"]").WithSuffix("Array")}}));
  CHECK_FALSE(other.Matches({{"a", decouple::AttributeValue("[\"x\", \"y\"]").WithSuffix("Array")}}));
  CHECK_FALSE(other.Matches({{"a", decouple::AttributeValue("no array").WithSuffix("Array")}}));
}

TEST_CASE("errors that the compiler cannot find are refused with the field's name") {
  const std::vector<decouple::internal::Operand<decouple::internal::Comparable::kText>> none;
  CHECK(ErrorIn(Where(&Order::store).In(none)) == Error::kInvalidParameter);
  CHECK(ErrorIn(Where(&Order::store).DoesNotStartWith("")) == Error::kInvalidParameter);
  CHECK(ErrorIn(Where(&Order::store).DoesNotEndWith("")) == Error::kInvalidParameter);
  for (const char* wildcard : {"a**", "a\\", "\\a"}) {
    CHECK(ErrorIn(Where(&Order::store).MatchesWildcard(wildcard)) == Error::kInvalidParameter);
    CHECK(ErrorIn(Where(&Order::store).DoesNotMatchWildcard(wildcard)) == Error::kInvalidParameter);
    CHECK(ErrorIn(Not(Where(&Order::store).MatchesWildcard(wildcard))) == Error::kInvalidParameter);
  }
  CHECK(ErrorIn(Where(&Order::price) > std::numeric_limits<double>::quiet_NaN()) == Error::kInvalidParameter);
  CHECK(ErrorIn(Attribute("n") > "five") == Error::kInvalidParameter);
  const auto network = Where(&Order::address, &Address::ip).InNetwork("10.0.0.0").Policy();
  REQUIRE_FALSE(network.ok());
  CHECK(std::string(network.status().message()).find("MessageBody.address.ip: \"10.0.0.0\"") != std::string::npos);
  CHECK(ErrorIn(Attribute("a").Exists() && Attribute("b").Exists() && Attribute("c").Exists() &&
                Attribute("d").Exists() && Attribute("e").Exists() && Attribute("f").Exists()) ==
        Error::kInvalidParameter);
  CHECK(ErrorIn(Attribute("a").Exists() && Attribute("b").Exists() && Attribute("c").Exists() &&
                Attribute("d").Exists() && Attribute("e").Exists() && Not(Attribute("f").Exists())) ==
        Error::kInvalidParameter);
}
