#include "decouple/filter_policy.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
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

TEST_CASE("equals-ignore-case folds the case of all scripts") {
  CHECK(AttributesMatch(R"({"s": [{"equals-ignore-case": "ÅNGSTRÖM"}]})", {{"s", "ångström"}}));
  CHECK(AttributesMatch(R"({"s": [{"equals-ignore-case": "ångström"}]})", {{"s", "ÅNGSTRÖM"}}));
  CHECK(AttributesMatch(R"({"s": [{"equals-ignore-case": "ΌΔΟΣ"}]})", {{"s", "όδος"}}));
  CHECK(AttributesMatch(R"({"s": [{"equals-ignore-case": "МОСКВА"}]})", {{"s", "Москва"}}));
  CHECK_FALSE(AttributesMatch(R"({"s": [{"equals-ignore-case": "angstrom"}]})", {{"s", "ångström"}}));
  CHECK_FALSE(AttributesMatch(R"({"s": [{"equals-ignore-case": "STRASSE"}]})", {{"s", "straße"}}));
  CHECK(BodyMatches(R"({"s": [{"equals-ignore-case": "ÅNGSTRÖM"}]})", R"({"s": "\u00e5ngstr\u00f6m"})"));
}

TEST_CASE("prefix, suffix and equals-ignore-case may be empty") {
  for (const char* text : {"x", "1"}) {
    CHECK(AttributesMatch(R"({"s": [{"prefix": ""}]})", {{"s", text}}));
    CHECK(AttributesMatch(R"({"s": [{"suffix": ""}]})", {{"s", text}}));
    CHECK_FALSE(AttributesMatch(R"({"s": [{"equals-ignore-case": ""}]})", {{"s", text}}));
  }
  CHECK_FALSE(AttributesMatch(R"({"s": [{"prefix": ""}]})", {{"s", 1}}));
  CHECK_FALSE(AttributesMatch(R"({"s": [{"prefix": ""}]})", {{"t", "x"}}));
  CHECK(BodyMatches(R"({"s": [{"equals-ignore-case": ""}]})", R"({"s": ""})"));
  CHECK(BodyMatches(R"({"s": [{"suffix": ""}]})", R"({"s": ""})"));
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

TEST_CASE("a body that is no JSON object matches no policy on the body") {
  for (const char* body : {"not json", "{", "{\"a\": 1} x", "", "5", "null", "true", "\"text\"", "[]", R"([{"b": 1}])",
                           R"([{"a": {"b": 1}}])"}) {
    INFO(body);
    CHECK_FALSE(BodyMatches(R"({"a": [{"exists": false}]})", body));
    CHECK_FALSE(BodyMatches(R"({"a": {"b": [{"exists": false}]}})", body));
    CHECK_FALSE(BodyMatches(R"({"b": [1]})", body));
    CHECK_FALSE(BodyMatches(R"({"$or": [{"a": [{"exists": false}]}, {"b": [1]}]})", body));
  }
  CHECK(BodyMatches(R"({"a": [{"exists": false}]})", "{}"));
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

TEST_CASE("dots in a key of the body are levels of it, however the body spells them") {
  for (const char* policy : {R"({"a.b.c": ["x"]})", R"({"a": {"b.c": ["x"]}})", R"({"a.b": {"c": ["x"]}})",
                             R"({"a": {"b": {"c": ["x"]}}})"}) {
    INFO(policy);
    for (const char* body : {R"({"a": {"b": {"c": "x"}}})", R"({"a.b": {"c": "x"}})", R"({"a": {"b.c": "x"}})",
                             R"({"a.b.c": "x"})", R"({"a.b": [{"c": "y"}, {"c": "x"}]})", R"({"a": [{"b.c": ["x"]}]})",
                             R"({"a": 5, "a.b": {"d": 1}, "a.b.c": "x"})", R"({"a.b": {"c": "y"}, "a.b.c": "x"})"}) {
      INFO(body);
      CHECK(BodyMatches(policy, body));
    }
    for (const char* body : {R"({"a": {"b": {"c": "y"}}})", R"({"a.b.c": "y"})", R"({"a.b.c.d": "x"})",
                             R"({"a.b": "x"})", R"({"b.c": "x"})", R"({"a..b.c": "x"})", R"({"a.b.c.": "x"})",
                             R"({".a.b.c": "x"})", R"({"c": "x", "a.b": 1})", R"([{"a.b.c": "x"}])"}) {
      INFO(body);
      CHECK_FALSE(BodyMatches(policy, body));
    }
  }
}

TEST_CASE("keys that begin alike are joined, in whichever spelling") {
  for (const char* policy :
       {R"({"a.b": ["x"], "a.c": [1]})", R"({"a": {"b": ["x"], "c": [1]}})", R"({"a": {"b": ["x"]}, "a.c": [1]})"}) {
    INFO(policy);
    CHECK(BodyMatches(policy, R"({"a": {"b": "x", "c": 1}})"));
    CHECK(BodyMatches(policy, R"({"a": {"b": "x"}, "a.c": 1})"));
    CHECK(BodyMatches(policy, R"({"a.b": "x", "a.c": 1})"));
    CHECK(BodyMatches(policy, R"({"a": [{"b": "y", "c": 1}, {"b": "x", "c": 1}]})"));
    CHECK_FALSE(BodyMatches(policy, R"({"a": [{"b": "x"}, {"c": 1}]})"));  // within the same element
    CHECK_FALSE(BodyMatches(policy, R"({"a.b": "x"})"));
  }
  CHECK(FilterPolicy::Parse(R"({"a.b": ["x"]})", FilterScope::kMessageBody).value() ==
        FilterPolicy::Parse(R"({"a": {"b": ["x"]}})", FilterScope::kMessageBody).value());
}

TEST_CASE("a path is absent if no spelling has it") {
  for (const char* policy : {R"({"a.b": [{"exists": false}]})", R"({"a": {"b": [{"exists": false}]}})"}) {
    INFO(policy);
    CHECK(BodyMatches(policy, R"({"a.c": 1})"));
    CHECK(BodyMatches(policy, R"({"a": {"c": 1}, "b": 2})"));
    CHECK_FALSE(BodyMatches(policy, R"({"a.b": 1})"));
    CHECK_FALSE(BodyMatches(policy, R"({"a": {"c": 1}, "a.b": null})"));
    CHECK(BodyMatches(policy, R"({"a.b.c": 1})"));  // an object is no value
    for (const char* beside : {"5", "null", "[]", "[5]", "[[], [5]]", R"([{"b": 2}, 5])"}) {
      INFO(beside);
      CHECK_FALSE(BodyMatches(policy, absl::StrCat(R"({"a.b": 1, "a": )", beside, "}")));
    }
    for (const char* beside : {"5", "[]", "[5]", R"([{"c": 2}])"}) {
      INFO(beside);
      CHECK(BodyMatches(policy, absl::StrCat(R"({"a.c": 1, "a": )", beside, "}")));
    }
  }
}

TEST_CASE("what is no object counts for the path itself, whatever is below the path in another spelling") {
  const std::string_view five = R"({"a": [5]})";
  CHECK(BodyMatches(five, R"({"a": 5, "a.b": 1})"));
  CHECK(BodyMatches(five, R"({"a": [[5]], "a.b": 1})"));
  CHECK_FALSE(BodyMatches(five, R"({"a": [], "a.b": 5})"));
  const std::string_view absent = R"({"a.b.c": [{"exists": false}]})";
  CHECK_FALSE(BodyMatches(absent, R"({"a.b": 5, "a": {"b": [{"c": 1}]}})"));
  CHECK(BodyMatches(absent, R"({"a.b": 5, "a": {"b": [6]}})"));
  CHECK(BodyMatches(absent, R"({"a.b": [5, {"c": 1}]})"));  // one spelling: each element counts
}

TEST_CASE("alternatives and the keys beside them may be met by different elements of an array") {
  const std::string_view policy = R"({"items": {"sku": ["x"]}, "$or": [{"items": {"n": [1]}}, {"b": [1]}]})";
  CHECK(BodyMatches(policy, R"({"items": [{"sku": "x"}, {"n": 1}]})"));
  CHECK_FALSE(BodyMatches(policy, R"({"items": [{"sku": "x"}, {"n": 2}]})"));
}

TEST_CASE("in the name of an attribute a dot is a character") {
  CHECK(AttributesMatch(R"({"a.b": ["x"]})", {{"a.b", "x"}}));
  CHECK_FALSE(AttributesMatch(R"({"a.b": ["x"]})", {{"a", "x"}, {"b", "x"}}));
}

TEST_CASE("a dotted key counts as one level for the combinations, and as the key that it names") {
  std::string list = "[0";
  for (int i = 1; i < 76; ++i) list += "," + std::to_string(i);
  list += "]";
  CHECK(Complaint("{\"a.b\":" + list + "}").empty());
  CHECK(Mentions(Complaint("{\"a\":{\"b\":" + list + "}}"), "152 combinations"));
  CHECK(
      Complaint(R"({"a.b":[1],"a":{"c":[1]},"d":[1],"$or":[{"a":{"b":[1]}},{"a.b":[2],"a.c":[2],"e":[1]}]})").empty());
}

TEST_CASE("a path that is given twice, or is too long, is refused") {
  CHECK(Mentions(Complaint(R"({"a": {"b": ["x"]}, "a.b": ["y"]})"), "at $.a.b: the path \"a.b\" is given twice"));
  CHECK(Mentions(Complaint(R"({"": ["x"], "": ["y"]})"), "the key \"\" is given twice"));
  CHECK(Complaint(R"({"$or": [{"a.b": ["x"]}, {"a": {"b": ["y"]}}]})").empty());
  const auto path = [](int names) {
    std::string key = "k";
    for (int i = 1; i < names; ++i) key += ".k";
    return R"({")" + key + R"(": ["x"]})";
  };
  CHECK(Complaint(path(128)).empty());
  CHECK(Mentions(Complaint(path(129)), "a path of 129 names; allowed are at most 128"));
  CHECK(FilterPolicy::Parse(path(129)).ok());  // the name of an attribute
}

TEST_CASE("$or whose objects have an operator or another reserved word is an ordinary key") {
  for (const char* word : {"wildcard", "exactly", "regex", "=", "<", "<=", ">", ">=", "not-wildcard",
                           "not-equals-ignore-case", "date-after", "date-on-or-after", "date-before",
                           "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range"}) {
    INFO(word);
    const std::string policy = R"({"$or": [{"a": [1]}, {")" + std::string(word) + R"(": [1]}]})";
    CHECK(Mentions(Complaint(policy), "at $.$or[0].a: an unknown operator"));  // so "$or" has a list of operators
  }
  CHECK(Complaint(R"({"$or": [{"a": [1]}, {"regexp": [1]}]})").empty());
  CHECK(AttributesMatch(R"({"$or": [{"prefix": "x"}, {"numeric": ["=", 1]}]})", {{"$or", "xy"}}));
  CHECK(AttributesMatch(R"({"$or": ["x"]})", {{"$or", "x"}}));
}

TEST_CASE("each malformed policy is refused with what is wrong, and where") {
  CHECK(Mentions(Complaint("nope"), "no JSON"));
  CHECK(Mentions(Complaint(R"({"a": ["x"])"), "at byte 12"));
  CHECK(Mentions(Complaint("[]"), "at $: a filter policy is an object; found is []"));
  CHECK(Mentions(Complaint(R"({"a": []})"), "at $.a: an empty list"));
  CHECK(Mentions(Complaint(R"({"a": {}})"), "at $.a: an empty object"));
  CHECK(Mentions(Complaint(R"({"a": "x"})"), "at $.a: a key must have a list of what may match; found is \"x\""));
  CHECK(Mentions(Complaint(R"({"a": {"b": 5}})"), "at $.a.b: a key must have a list"));
  CHECK(Mentions(Complaint(R"({"a": {"b": ["x"]}})", FilterScope::kMessageAttributes), "at $.a: "));
  CHECK(Mentions(Complaint(R"({"a": ["x", ["y"]]})"), "at $.a[1]: a list in a list"));
  CHECK(Mentions(Complaint(R"({"a": [{}]})"), "at $.a[0]: an object of a list has one operator; found is {}"));
  CHECK(Mentions(Complaint(R"({"a": [{"prefix": "x", "suffix": "y"}]})"), "at $.a[0]: an object of a list has one"));
  CHECK(Mentions(Complaint(R"({"a": [{"wildcard": "x*"}]})"), "at $.a[0].wildcard: an operator of EventBridge's"));
  CHECK(Mentions(Complaint(R"({"a": [{"wildcart": "x*"}]})"), "at $.a[0].wildcart: an unknown operator; allowed are"));
  CHECK(Mentions(Complaint(R"({"a": [{"prefix": 5}]})"), "at $.a[0].prefix: it takes a string"));
  CHECK(Mentions(Complaint(R"({"a": [{"suffix": {"equals-ignore-case": "x"}}]})"),
                 "at $.a[0].suffix: it takes a string"));
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
  for (const char* refused :
       {"[]", "{}", R"(["x", 5])", "true", "null", "[true]", R"({"suffix": "x"})", R"({"prefix": "x", "suffix": "y"})",
        R"([["x"]])", R"({"wildcard": "x*"})", R"({"equals-ignore-case": "x"})"}) {
    INFO(refused);
    CHECK(Mentions(Complaint(R"({"a": [{"anything-but": )" + std::string(refused) + "}]}"),
                   "at $.a[0].anything-but: anything-but takes"));
  }
  for (const char* prefix : {R"("")", "5", R"(["x"])", R"({"x": "y"})", "null"}) {
    CHECK(Mentions(Complaint(R"({"a": [{"anything-but": {"prefix": )" + std::string(prefix) + "}}]}"),
                   "at $.a[0].anything-but.prefix: it takes a string"));
  }
}

TEST_CASE("a policy has at most five keys, which are leaves") {
  const auto error = [](std::string_view json) {
    const auto policy = FilterPolicy::Parse(json, FilterScope::kMessageBody);
    return policy.ok() ? std::nullopt : ErrorOf(policy.status());
  };
  CHECK(error(R"({"a":[1],"b":[1],"c":{"d":[1],"e":[1],"f":[1]}})") == std::nullopt);
  CHECK(error(R"({"a":[1],"b":[1],"c":{"d":[1],"e":[1],"f":[1],"g":[1]}})") == Error::kInvalidParameter);
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
    if (!policy.ok()) CHECK(ErrorOf(policy.status()) == Error::kInvalidParameter);
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
  CHECK(ErrorOf(FilterPolicy::Parse(larger).status()) == Error::kInvalidParameter);
  CHECK(FilterPolicy::Parse(larger, FilterScope::kMessageAttributes, Limits::Unlimited()).ok());
}

TEST_CASE("an empty policy lets every message through") {
  for (const auto scope : {FilterScope::kMessageAttributes, FilterScope::kMessageBody}) {
    const FilterPolicy policy = FilterPolicy::Parse("{}", scope).value();
    CHECK(policy == FilterPolicy());
    CHECK(policy.Matches({}, std::string("no json")));
    CHECK(policy.Matches({{"a", "x"}}));
  }
}

TEST_CASE("attributes without a body match the policies that they match with any body") {
  const auto on_attributes = FilterPolicy::Parse(R"({"a": ["x"]})").value();
  CHECK(on_attributes.Matches({{"a", "x"}}));
  CHECK_FALSE(on_attributes.Matches({{"a", "y"}}));
  CHECK_FALSE(on_attributes.Matches({}));
  CHECK(FilterPolicy::Parse(R"({"a": [{"exists": false}]})").value().Matches({}));
  CHECK(FilterPolicy().Matches({}));
}

TEST_CASE("where the body is not there, or cannot be looked into, no policy on the body matches") {
  struct Opaque {};
  const auto absent = FilterPolicy::Parse(R"({"a": [{"exists": false}]})", FilterScope::kMessageBody).value();
  CHECK(absent.Matches({}, std::string("{}")));
  CHECK_FALSE(absent.Matches({}));
  CHECK_FALSE(absent.Matches({}, Opaque()));
}

TEST_CASE("policies are equal that have the same conditions") {
  const auto parse = [](std::string_view json) { return FilterPolicy::Parse(json).value(); };
  CHECK(parse(R"({"a": [1, "x"]})") == parse(R"({"a":[1.0,"x"]})"));
  CHECK_FALSE(parse(R"({"a": [1]})") == parse(R"({"a": [2]})"));
  CHECK_FALSE(parse(R"({"a": [1]})") == FilterPolicy());
  CHECK(FilterPolicy() == FilterPolicy());
  CHECK(FilterPolicy().Matches({}, 5));
  CHECK(parse(R"({"a": [{"equals-ignore-case": "X"}]})") == parse(R"({"a": [{"equals-ignore-case": "x"}]})"));
}
