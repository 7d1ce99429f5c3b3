#include "decouple/filter_policy.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/body_fields.h"
#include "decouple/error.h"
#include "decouple/json/filter_policy.h"
#include "decouple/limits.h"
#include "decouple/message_attributes.h"

namespace {

using decouple::AttributeValue;
using decouple::Error;
using decouple::ErrorOf;
using decouple::FilterPolicy;
using decouple::FilterScope;
using decouple::Limits;
using decouple::MessageAttributes;

AttributeValue StringArray(std::string text) { return AttributeValue(std::move(text)).WithSuffix("Array"); }

bool AttributesMatch(std::string_view json, const MessageAttributes& attributes) {
  const auto policy = FilterPolicy::Parse(json);
  INFO(policy.status());
  REQUIRE(policy.ok());
  return policy->Matches(attributes, std::string("a body"));
}

bool BodyMatches(std::string_view json, const std::string& body) {
  const auto policy = FilterPolicy::Parse(json, FilterScope::kMessageBody);
  INFO(policy.status());
  REQUIRE(policy.ok());
  return policy->Matches({}, body);
}

// The error of a policy; empty if it is valid.
std::string Complaint(std::string_view json, FilterScope scope = FilterScope::kMessageBody) {
  const auto policy = FilterPolicy::Parse(json, scope);
  if (policy.ok()) return "";
  CHECK(ErrorOf(policy.status()) == Error::kInvalidParameter);
  return std::string(policy.status().message());
}

bool Mentions(const std::string& text, std::string_view what) {
  INFO(text);
  return text.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("an exact string matches the same string, in the same case") {
  CHECK(AttributesMatch(R"({"store": ["oslo"]})", {{"store", "oslo"}}));
  CHECK_FALSE(AttributesMatch(R"({"store": ["oslo"]})", {{"store", "Oslo"}}));
  CHECK_FALSE(AttributesMatch(R"({"store": ["oslo"]})", {{"store", "oslo "}}));
  CHECK_FALSE(AttributesMatch(R"({"store": ["oslo"]})", {{"other", "oslo"}}));
}

TEST_CASE("one element of a key's list must match, and all keys") {
  const std::string_view policy = R"({"store": ["oslo", "bergen"], "kind": ["sale"]})";
  CHECK(AttributesMatch(policy, {{"store", "bergen"}, {"kind", "sale"}}));
  CHECK_FALSE(AttributesMatch(policy, {{"store", "bergen"}}));
  CHECK_FALSE(AttributesMatch(policy, {{"store", "paris"}, {"kind", "sale"}}));
}

TEST_CASE("numbers match by value, however they are written") {
  for (const char* written : {"10", "10.0", "1e1", "+10", "0.1E2", "100e-1", "010"}) {
    INFO(written);
    CHECK(AttributesMatch(R"({"n": [10]})", {{"n", AttributeValue::Number(written)}}));
    CHECK(AttributesMatch(R"({"n": [1e1]})", {{"n", AttributeValue::Number(written)}}));
  }
  CHECK_FALSE(AttributesMatch(R"({"n": [10]})", {{"n", AttributeValue::Number("10.0000000000000000001")}}));
  CHECK(AttributesMatch(R"({"n": [9007199254740993]})", {{"n", AttributeValue::Number("9007199254740993")}}));
  CHECK_FALSE(AttributesMatch(R"({"n": [9007199254740993]})", {{"n", AttributeValue::Number("9007199254740992")}}));
  CHECK(AttributesMatch(R"({"n": [0]})", {{"n", AttributeValue::Number("-0.00")}}));
  CHECK(AttributesMatch(R"({"n": [0.001]})", {{"n", AttributeValue::Number("1e-3")}}));
  CHECK_FALSE(AttributesMatch(R"({"n": [0.001]})", {{"n", AttributeValue::Number("0.1")}}));
  CHECK(AttributesMatch(R"({"n": [{"numeric": [">", 0.05]}]})", {{"n", AttributeValue::Number("0.4")}}));
  CHECK_FALSE(AttributesMatch(R"({"n": [{"numeric": [">", 0.4]}]})", {{"n", AttributeValue::Number("0.05")}}));
  CHECK(AttributesMatch(R"({"n": [0.1]})", {{"n", 0.1}}));
}

TEST_CASE("a value of another type does not match") {
  CHECK_FALSE(AttributesMatch(R"({"n": [10]})", {{"n", "10"}}));
  CHECK_FALSE(AttributesMatch(R"({"n": ["10"]})", {{"n", 10}}));
  CHECK_FALSE(AttributesMatch(R"({"n": [{"numeric": [">", 1]}]})", {{"n", "10"}}));
  CHECK_FALSE(AttributesMatch(R"({"n": [{"prefix": "1"}]})", {{"n", 10}}));
  CHECK_FALSE(AttributesMatch(R"({"n": [{"cidr": "10.0.0.0/8"}]})", {{"n", "not an address"}}));
  CHECK(AttributesMatch(R"({"n": [10]})", {{"n", AttributeValue(10).WithSuffix("int")}}));
}

TEST_CASE("binary attributes count as absent") {
  CHECK_FALSE(AttributesMatch(R"({"b": [{"exists": true}]})", {{"b", AttributeValue::Binary("x")}}));
  CHECK(AttributesMatch(R"({"b": [{"exists": false}]})", {{"b", AttributeValue::Binary("x")}}));
}

TEST_CASE("prefix, suffix and equals-ignore-case match text alone") {
  CHECK(AttributesMatch(R"({"s": [{"prefix": "os"}]})", {{"s", "oslo"}}));
  CHECK(AttributesMatch(R"({"s": [{"prefix": "oslo"}]})", {{"s", "oslo"}}));
  CHECK_FALSE(AttributesMatch(R"({"s": [{"prefix": "oslos"}]})", {{"s", "oslo"}}));
  CHECK_FALSE(AttributesMatch(R"({"s": [{"prefix": "Os"}]})", {{"s", "oslo"}}));
  CHECK(AttributesMatch(R"({"s": [{"suffix": "lo"}]})", {{"s", "oslo"}}));
  CHECK_FALSE(AttributesMatch(R"({"s": [{"suffix": "oslos"}]})", {{"s", "oslo"}}));
  CHECK_FALSE(AttributesMatch(R"({"s": [{"suffix": "os"}]})", {{"s", "oslo"}}));
  CHECK(AttributesMatch(R"({"s": [{"equals-ignore-case": "OSLO"}]})", {{"s", "oSlo"}}));
  CHECK_FALSE(AttributesMatch(R"({"s": [{"equals-ignore-case": "OSLO"}]})", {{"s", "oslos"}}));
}

TEST_CASE("numeric compares with one bound, or with a lower and an upper one") {
  const auto matches = [](std::string_view range, double number) {
    return AttributesMatch(R"({"n": [{"numeric": )" + std::string(range) + "}]}", {{"n", number}});
  };
  CHECK(matches(R"(["=", 5])", 5));
  CHECK_FALSE(matches(R"(["=", 5])", 5.1));
  CHECK(matches(R"([">", 5])", 5.00001));
  CHECK_FALSE(matches(R"([">", 5])", 5));
  CHECK(matches(R"([">=", 5])", 5));
  CHECK_FALSE(matches(R"([">=", 5])", 4.99999));
  CHECK(matches(R"(["<", -5])", -6));
  CHECK_FALSE(matches(R"(["<", -5])", -5));
  CHECK(matches(R"(["<=", -5])", -5));
  CHECK_FALSE(matches(R"(["<=", -5])", -4));
  CHECK(matches(R"([">", 0, "<=", 150])", 150));
  CHECK_FALSE(matches(R"([">", 0, "<=", 150])", 150.5));
  CHECK_FALSE(matches(R"([">", 0, "<=", 150])", 0));
  CHECK(matches(R"([">=", -10.5, "<", -9])", -10.5));
  CHECK(matches(R"([">", 9])", 10));  // not as text
}

TEST_CASE("cidr matches addresses of its own version") {
  const auto matches = [](const std::string& cidr, const char* address) {
    return AttributesMatch(R"({"ip": [{"cidr": ")" + cidr + "\"}]}", {{"ip", address}});
  };
  CHECK(matches("10.0.0.0/24", "10.0.0.255"));
  CHECK_FALSE(matches("10.0.0.0/24", "10.0.1.0"));
  CHECK(matches("10.0.0.0/23", "10.0.1.0"));
  CHECK(matches("10.0.0.8/29", "10.0.0.15"));
  CHECK_FALSE(matches("10.0.0.8/29", "10.0.0.16"));
  CHECK(matches("0.0.0.0/0", "255.1.2.3"));
  CHECK(matches("192.168.1.1/32", "192.168.1.1"));
  CHECK_FALSE(matches("192.168.1.1/32", "192.168.1.2"));
  CHECK(matches("2001:db8::/32", "2001:db8:ffff::1"));
  CHECK_FALSE(matches("2001:db8::/32", "2001:db9::1"));
  CHECK_FALSE(matches("0.0.0.0/0", "::1"));
  CHECK_FALSE(matches("::/0", "1.2.3.4"));
}

TEST_CASE("exists requires presence or absence, whatever the value") {
  CHECK(AttributesMatch(R"({"a": [{"exists": true}]})", {{"a", "x"}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [{"exists": true}]})", {{"b", "x"}}));
  CHECK(AttributesMatch(R"({"a": [{"exists": false}]})", {{"b", "x"}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [{"exists": false}]})", {{"a", 1}}));
  CHECK(AttributesMatch(R"({"a": [{"exists": false}, "x"]})", {{"a", "x"}}));
}

TEST_CASE("anything-but requires a value that is not in its list") {
  CHECK(AttributesMatch(R"({"a": [{"anything-but": "x"}]})", {{"a", "y"}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [{"anything-but": "x"}]})", {{"a", "x"}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [{"anything-but": "x"}]})", {{"b", "y"}}));
  CHECK(AttributesMatch(R"({"a": [{"anything-but": ["x", "y"]}]})", {{"a", "z"}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [{"anything-but": ["x", "y"]}]})", {{"a", "y"}}));
  CHECK(AttributesMatch(R"({"a": [{"anything-but": [1, 2]}]})", {{"a", 3}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [{"anything-but": [1, 2]}]})", {{"a", AttributeValue::Number("2.0")}}));
  CHECK(AttributesMatch(R"({"a": [{"anything-but": {"prefix": "x"}}]})", {{"a", "yx"}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [{"anything-but": {"prefix": "x"}}]})", {{"a", "xy"}}));
}

TEST_CASE("a String.Array matches when one of its elements does") {
  CHECK(AttributesMatch(R"({"a": ["y"]})", {{"a", StringArray(R"(["x", "y"])")}}));
  CHECK_FALSE(AttributesMatch(R"({"a": ["z"]})", {{"a", StringArray(R"(["x", "y"])")}}));
  CHECK(AttributesMatch(R"({"a": [2]})", {{"a", StringArray(R"(["x", 2.0])")}}));
  CHECK(AttributesMatch(R"({"a": ["\"y\""]})", {{"a", AttributeValue::Array({"x", "\"y\""})}}));
  CHECK(AttributesMatch(R"({"a": [true]})", {{"a", StringArray("[true]")}}));
  CHECK(AttributesMatch(R"({"a": [null]})", {{"a", StringArray("[null]")}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [false]})", {{"a", StringArray("[true, null]")}}));
  CHECK(AttributesMatch(R"({"a": [{"anything-but": ["x"]}]})", {{"a", StringArray(R"(["x", "y"])")}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [{"anything-but": ["x", "y"]}]})", {{"a", StringArray(R"(["x", "y"])")}}));
}

TEST_CASE("a String.Array that is not a JSON array matches nothing") {
  for (const char* text : {"x", R"({"x": 1})", R"("x")", "[\"x\"", "5"}) {
    INFO(text);
    CHECK_FALSE(AttributesMatch(R"({"a": ["x"]})", {{"a", StringArray(text)}}));
    CHECK_FALSE(AttributesMatch(R"({"a": [{"anything-but": "z"}]})", {{"a", StringArray(text)}}));
    CHECK_FALSE(AttributesMatch(R"({"a": [{"exists": true}]})", {{"a", StringArray(text)}}));
    CHECK_FALSE(AttributesMatch(R"({"a": [{"exists": false}]})", {{"a", StringArray(text)}}));
  }
}

TEST_CASE("an empty array counts as absent") {
  CHECK(AttributesMatch(R"({"a": [{"exists": false}]})", {{"a", StringArray("[]")}}));
  CHECK_FALSE(AttributesMatch(R"({"a": [{"exists": true}]})", {{"a", StringArray("[]")}}));
  CHECK(BodyMatches(R"({"a": [{"exists": false}]})", R"({"a": []})"));
  CHECK(BodyMatches(R"({"a": {"b": [{"exists": false}]}})", R"({"a": []})"));
  CHECK_FALSE(BodyMatches(R"({"a": [{"anything-but": "x"}]})", R"({"a": [[]]})"));
}

TEST_CASE("a policy on the body follows its nesting") {
  const std::string_view policy = R"({"order": {"store": ["oslo"], "total": [{"numeric": [">", 10]}]}})";
  CHECK(BodyMatches(policy, R"({"order": {"store": "oslo", "total": 11, "more": []}, "more": null})"));
  CHECK_FALSE(BodyMatches(policy, R"({"order": {"store": "oslo", "total": 10}})"));
  CHECK_FALSE(BodyMatches(policy, R"({"store": "oslo", "total": 11})"));
  CHECK_FALSE(BodyMatches(policy, R"({"order": "oslo"})"));
  CHECK(BodyMatches(R"({"a": [true]})", R"({"a": true})"));
  CHECK(BodyMatches(R"({"a": [null]})", R"({"a": null})"));
  CHECK_FALSE(BodyMatches(R"({"a": [null]})", "{}"));
  CHECK(BodyMatches(R"({"a": [{"exists": true}]})", R"({"a": null})"));
  CHECK_FALSE(BodyMatches(R"({"a": [{"exists": true}]})", R"({"a": {"b": 1}})"));  // an object is no value
}

TEST_CASE("arrays in the body match when any element does, even in nested arrays") {
  CHECK(BodyMatches(R"({"a": ["y"]})", R"({"a": ["x", "y"]})"));
  CHECK(BodyMatches(R"({"a": ["y"]})", R"({"a": [["x"], [["y"]]]})"));
  CHECK_FALSE(BodyMatches(R"({"a": ["z"]})", R"({"a": [["x"], [["y"]]]})"));
  CHECK(BodyMatches(R"({"a": {"b": [1]}})", R"({"a": [[{"b": 2}], [{"b": 1}]]})"));
  CHECK(BodyMatches(R"({"b": [1]})", R"([{"b": 2}, {"b": 1}])"));
}

TEST_CASE("keys below an array must all match within the same element") {
  const std::string_view policy = R"({"items": {"sku": ["x"], "n": [{"numeric": [">", 5]}]}})";
  CHECK(BodyMatches(policy, R"({"items": [{"sku": "y", "n": 1}, {"sku": "x", "n": 9}]})"));
  CHECK_FALSE(BodyMatches(policy, R"({"items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 9}]})"));
  CHECK(BodyMatches(R"({"items": {"sku": ["x"], "n": [{"exists": false}]}})",
                    R"({"items": [{"sku": "y", "n": 1}, {"sku": "x"}]})"));
  CHECK_FALSE(BodyMatches(R"({"items": {"sku": ["x"], "n": [{"exists": false}]}})",
                          R"({"items": [{"sku": "y"}, {"sku": "x", "n": 1}]})"));
  const std::string_view neither = R"({"items": {"a": [{"exists": false}], "b": [{"exists": false}]}})";
  CHECK_FALSE(BodyMatches(neither, R"({"items": [{"a": 1}, {"b": 1}]})"));
  CHECK(BodyMatches(neither, R"({"items": [{"a": 1}, {"c": 1}]})"));
}

TEST_CASE("a body that is not JSON matches no policy on the body") {
  for (const char* body : {"not json", "{", "{\"a\": 1} x", ""}) {
    CHECK_FALSE(BodyMatches(R"({"a": [{"exists": false}]})", body));
    CHECK_FALSE(BodyMatches(R"({"a": {"b": [{"exists": false}]}})", body));
  }
  CHECK(BodyMatches(R"({"a": [{"exists": false}]})", "{}"));
  CHECK(BodyMatches(R"({"a": [{"exists": false}]})", "5"));
  CHECK_FALSE(BodyMatches(R"({"a": [{"exists": false}]})", std::string(200, '[') + std::string(200, ']')));
}

TEST_CASE("$or requires one of its alternatives together with the other keys, and nests") {
  const std::string_view policy = R"({"kind": ["sale"], "$or": [{"store": ["oslo"]}, {"n": [{"numeric": [">", 5]}]}]})";
  CHECK(AttributesMatch(policy, {{"kind", "sale"}, {"store", "oslo"}}));
  CHECK(AttributesMatch(policy, {{"kind", "sale"}, {"n", 6}}));
  CHECK_FALSE(AttributesMatch(policy, {{"kind", "sale"}, {"n", 5}}));
  CHECK_FALSE(AttributesMatch(policy, {{"store", "oslo"}, {"n", 6}}));
  const std::string_view nested = R"({"a": {"$or": [{"b": [1]}, {"c": [2], "$or": [{"d": [3]}, {"e": [4]}]}]}})";
  CHECK(BodyMatches(nested, R"({"a": {"b": 1}})"));
  CHECK(BodyMatches(nested, R"({"a": {"c": 2, "e": 4}})"));
  CHECK_FALSE(BodyMatches(nested, R"({"a": {"c": 2}})"));
  CHECK_FALSE(BodyMatches(nested, R"({"a": [{"c": 2}, {"e": 4}]})"));  // within the same element
  CHECK(BodyMatches(nested, R"({"a": [{"c": 2}, {"c": 2, "d": 3}]})"));
}

TEST_CASE("$or whose objects have an operator is an ordinary key") {
  CHECK(AttributesMatch(R"({"$or": [{"prefix": "x"}, {"numeric": ["=", 1]}]})", {{"$or", "xy"}}));
  CHECK(AttributesMatch(R"({"$or": ["x"]})", {{"$or", "x"}}));
}

TEST_CASE("each malformed policy is refused with what is wrong, and where") {
  CHECK(Mentions(Complaint("nope"), "no JSON"));
  CHECK(Mentions(Complaint(R"({"a": ["x"])"), "at byte 12"));
  CHECK(Mentions(Complaint("[]"), "at $: a filter policy is an object; found is []"));
  CHECK(Mentions(Complaint("{}"), "at $: an empty policy"));
  CHECK(Mentions(Complaint(R"({"a": []})"), "at $.a: an empty list"));
  CHECK(Mentions(Complaint(R"({"a": {}})"), "at $.a: an empty object"));
  CHECK(Mentions(Complaint(R"({"a": "x"})"), "at $.a: a key must have a list of what may match; found is \"x\""));
  CHECK(Mentions(Complaint(R"({"a": {"b": 5}})"), "at $.a.b: a key must have a list"));
  CHECK(Mentions(Complaint(R"({"a": {"b": ["x"]}})", FilterScope::kMessageAttributes), "at $.a: "));
  CHECK(Mentions(Complaint(R"({"a": ["x", ["y"]]})"), "at $.a[1]: a list in a list"));
  CHECK(Mentions(Complaint(R"({"a": [{}]})"), "at $.a[0]: an object of a list has one operator; found is {}"));
  CHECK(Mentions(Complaint(R"({"a": [{"prefix": "x", "suffix": "y"}]})"), "at $.a[0]: an object of a list has one"));
  CHECK(Mentions(Complaint(R"({"a": [{"wildcard": "x*"}]})"), "at $.a[0].wildcard: an unknown operator; allowed are"));
  CHECK(Mentions(Complaint(R"({"a": [{"prefix": 5}]})"), "at $.a[0].prefix: it takes a string"));
  CHECK(Mentions(Complaint(R"({"a": [{"suffix": ""}]})"), "at $.a[0].suffix: it takes a string of at least one"));
  CHECK(Mentions(Complaint(R"({"a": [{"equals-ignore-case": ["x"]}]})"), "at $.a[0].equals-ignore-case"));
  CHECK(Mentions(Complaint(R"({"a": [{"exists": "true"}]})"), "at $.a[0].exists: exists takes true or false"));
  CHECK(Mentions(Complaint(R"({"a": ["x"], "a": ["y"]})"), "the key \"a\" is given twice"));
  CHECK(Mentions(Complaint(R"({"$or": [{"a": ["x"]}]})"), "at $.$or[0].a: an unknown operator"));
  CHECK(Mentions(Complaint(R"({"$or": [{"a": ["x"]}, {}]})"), "at $.$or[1]: an empty object"));
  CHECK(Mentions(Complaint(std::string(300, '[')), "no JSON"));
}

TEST_CASE("malformed networks are refused") {
  for (const char* cidr : {"10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "10.0.0.0/8x", "/8", "x/8"}) {
    INFO(cidr);
    CHECK(Mentions(Complaint(R"({"a": [{"cidr": ")" + std::string(cidr) + "\"}]}"), "at $.a[0].cidr: cidr takes"));
  }
  CHECK(Mentions(Complaint(R"({"a": [{"cidr": 5}]})"), "at $.a[0].cidr: cidr takes"));
}

TEST_CASE("malformed comparisons are refused") {
  const auto complaint = [](std::string_view range) {
    return Complaint(R"({"a": [{"numeric": )" + std::string(range) + "}]}");
  };
  CHECK(Mentions(complaint("5"), "at $.a[0].numeric: numeric takes"));
  CHECK(Mentions(complaint("[]"), "at $.a[0].numeric: numeric takes"));
  CHECK(Mentions(complaint(R"([">"])"), "at $.a[0].numeric: numeric takes"));
  CHECK(Mentions(complaint(R"([">", "5"])"), "at $.a[0].numeric[1]: numeric takes"));
  CHECK(Mentions(complaint("[5, 5]"), "at $.a[0].numeric[0]: numeric takes"));
  CHECK(Mentions(complaint(R"(["!=", 5])"), "at $.a[0].numeric[0]: allowed are"));
  CHECK(Mentions(complaint(R"(["=", 5, "<", 6])"), "at $.a[0].numeric[0]: allowed are"));
  CHECK(Mentions(complaint(R"([">", 5, "=", 6])"), "at $.a[0].numeric[2]: allowed are"));
  CHECK(Mentions(complaint(R"(["<", 5, ">", 1])"), "at $.a[0].numeric[0]: of two bounds the first"));
  CHECK(Mentions(complaint(R"([">", 5, ">", 6])"), "at $.a[0].numeric[2]: a second bound"));
  CHECK(Mentions(complaint(R"([">=", 5, "<=", 5])"), "at $.a[0].numeric: the lower bound must be below"));
  CHECK(complaint(R"([">=", 5, "<=", 5.00001])").empty());
}

TEST_CASE("malformed exclusions are refused") {
  for (const char* refused : {"[]", "{}", R"(["x", 5])", "true", "null", "[true]", R"({"suffix": "x"})",
                              R"({"prefix": "x", "suffix": "y"})", R"([["x"]])"}) {
    INFO(refused);
    CHECK(Mentions(Complaint(R"({"a": [{"anything-but": )" + std::string(refused) + "}]}"),
                   "at $.a[0].anything-but: anything-but takes"));
  }
  CHECK(Mentions(Complaint(R"({"a": [{"anything-but": {"prefix": ""}}]})"), "at $.a[0].anything-but.prefix"));
}

TEST_CASE("a policy has at most five keys, which are leaves") {
  const auto error = [](std::string_view json) {
    const auto policy = FilterPolicy::Parse(json, FilterScope::kMessageBody);
    return policy.ok() ? std::nullopt : ErrorOf(policy.status());
  };
  CHECK(error(R"({"a":[1],"b":[1],"c":{"d":[1],"e":[1],"f":[1]}})") == std::nullopt);
  CHECK(error(R"({"a":[1],"b":[1],"c":{"d":[1],"e":[1],"f":[1],"g":[1]}})") == Error::kFilterPolicyLimitExceeded);
  CHECK(error(R"({"$or":[{"a":[1],"b":[1]},{"a":[2],"c":[1]},{"d":[1],"e":[1]}]})") == std::nullopt);
}

TEST_CASE("a policy has at most 150 combinations") {
  const auto list = [](int n) {
    std::string text = "[";
    for (int i = 0; i < n; ++i) text += (i == 0 ? "" : ",") + std::to_string(i);
    return text + "]";
  };
  const auto is_allowed = [](const std::string& json, FilterScope scope = FilterScope::kMessageAttributes) {
    const auto policy = FilterPolicy::Parse(json, scope);
    if (!policy.ok()) CHECK(ErrorOf(policy.status()) == Error::kFilterPolicyLimitExceeded);
    return policy.ok();
  };
  constexpr auto kBody = FilterScope::kMessageBody;
  CHECK(is_allowed("{\"a\":" + list(15) + ",\"b\":" + list(10) + "}"));
  CHECK_FALSE(is_allowed("{\"a\":" + list(151) + "}"));
  // In the body each list counts times the depth of its key.
  CHECK(is_allowed("{\"a\":{\"b\":" + list(75) + "}}", kBody));
  CHECK_FALSE(is_allowed("{\"a\":{\"b\":" + list(76) + "}}", kBody));
  CHECK_FALSE(is_allowed("{\"a\":{\"b\":{\"c\":" + list(3) + "}},\"d\":{\"e\":" + list(3) + "},\"f\":" + list(3) + "}",
                         kBody));  // 9 * 6 * 3 = 162
  // Alternatives add up; the sum is multiplied by the lists beside and inside them.
  CHECK(is_allowed("{\"a\":" + list(10) + ",\"$or\":[{\"b\":" + list(10) + "},{\"c\":" + list(5) + "}]}"));
  CHECK_FALSE(is_allowed("{\"a\":" + list(10) + ",\"$or\":[{\"b\":" + list(10) + "},{\"c\":" + list(6) + "}]}"));
  CHECK_FALSE(is_allowed("{\"$or\":[{\"b\":" + list(10) + ",\"$or\":[{\"c\":" + list(10) + "},{\"d\":" + list(5) +
                         "}]},{\"e\":[1]}]}"));  // 10 * 15 + 1
}

TEST_CASE("a policy has at most 256 KB, and limits can be lifted") {
  const auto of_size = [](std::size_t size) { return "{\"a\":[\"" + std::string(size - 10, 'x') + "\"]}"; };
  CHECK(FilterPolicy::Parse(of_size(262'144)).ok());
  const std::string larger = of_size(262'145);
  CHECK(ErrorOf(FilterPolicy::Parse(larger).status()) == Error::kFilterPolicyLimitExceeded);
  CHECK(FilterPolicy::Parse(larger, FilterScope::kMessageAttributes, Limits::Unlimited()).ok());
}

TEST_CASE("policies are equal that have the same conditions") {
  const auto parse = [](std::string_view json) { return FilterPolicy::Parse(json).value(); };
  CHECK(parse(R"({"a": [1, "x"]})") == parse(R"({"a":[1.0,"x"]})"));
  CHECK_FALSE(parse(R"({"a": [1]})") == parse(R"({"a": [2]})"));
  CHECK_FALSE(parse(R"({"a": [1]})") == FilterPolicy());
  CHECK(FilterPolicy() == FilterPolicy());
  CHECK(FilterPolicy().Matches({}, 5));
}
