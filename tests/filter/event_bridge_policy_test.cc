// Operators that JSON policies have in EventBridge's dialect only.

#include <string>
#include <string_view>

#include "catch.h"
#include "decouple/error.h"
#include "decouple/filter_policy.h"
#include "decouple/json/filter_policy.h"
#include "decouple/limits.h"

namespace {

using decouple::Error;
using decouple::ErrorOf;
using decouple::FilterDialect;
using decouple::FilterPolicy;
using decouple::FilterScope;
using decouple::Limits;

absl::StatusOr<FilterPolicy> EventBridgePolicy(std::string_view pattern) {
  return FilterPolicy::Parse(R"({"t": [)" + std::string(pattern) + "]}", FilterScope::kMessageBody, Limits::Service(),
                             FilterDialect::kEventBridge);
}

// Whether text matches a pattern, which SNS's dialect must refuse.
bool EventBridgeMatches(std::string_view pattern, const std::string& body) {
  const auto refused = FilterPolicy::Parse(R"({"t": [)" + std::string(pattern) + "]}", FilterScope::kMessageBody);
  INFO(pattern);
  CHECK(ErrorOf(refused.status()) == Error::kInvalidParameter);
  CHECK(std::string(refused.status().message()).find("EventBridge") != std::string::npos);
  const auto policy = EventBridgePolicy(pattern);
  INFO(policy.status());
  REQUIRE(policy.ok());
  return policy->Matches({}, R"({"t": )" + body + "}");
}

std::string EventBridgeComplaint(std::string_view pattern) {
  const auto policy = EventBridgePolicy(pattern);
  return policy.ok() ? "" : std::string(policy.status().message());
}

bool SaysThat(const std::string& text, std::string_view what) {
  INFO(text);
  return text.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("a star of a wildcard stands for any text") {
  CHECK(EventBridgeMatches(R"({"wildcard": "img-*.png"})", R"("img-7.png")"));
  CHECK(EventBridgeMatches(R"({"wildcard": "img-*.png"})", R"("img-.png")"));
  CHECK_FALSE(EventBridgeMatches(R"({"wildcard": "img-*.png"})", R"("img-7.PNG")"));
  CHECK_FALSE(EventBridgeMatches(R"({"wildcard": "a*a"})", R"("a")"));
  CHECK(EventBridgeMatches(R"({"wildcard": "a*a"})", R"("aa")"));
  CHECK(EventBridgeMatches(R"({"wildcard": "*b*c*"})", R"("abbxc")"));
  CHECK_FALSE(EventBridgeMatches(R"({"wildcard": "*b*c*"})", R"("acb")"));
  CHECK(EventBridgeMatches(R"({"wildcard": "*ab*ab"})", R"("abab")"));
  CHECK_FALSE(EventBridgeMatches(R"({"wildcard": "*ab*ab"})", R"("xab")"));
  CHECK(EventBridgeMatches(R"({"wildcard": "*"})", R"("")"));
  CHECK_FALSE(EventBridgeMatches(R"({"wildcard": "*"})", "5"));
  CHECK(EventBridgeMatches(R"({"wildcard": "x"})", R"("x")"));
  CHECK_FALSE(EventBridgeMatches(R"({"wildcard": "x"})", R"("xx")"));
}

TEST_CASE("a backslash takes its meaning from a star of a wildcard") {
  CHECK(EventBridgeMatches(R"({"wildcard": "a\\*b"})", R"("a*b")"));
  CHECK_FALSE(EventBridgeMatches(R"({"wildcard": "a\\*b"})", R"("axb")"));
  CHECK(EventBridgeMatches(R"({"wildcard": "\\\\*"})", R"("\\x")"));
  CHECK(EventBridgeMatches(R"({"wildcard": "\\**"})", R"("*x")"));
}

TEST_CASE("prefix and suffix can be without regard to case") {
  CHECK(EventBridgeMatches(R"({"prefix": {"equals-ignore-case": "ÅNG"}})", R"("ångström")"));
  CHECK_FALSE(EventBridgeMatches(R"({"prefix": {"equals-ignore-case": "ÅNG"}})", R"("xångström")"));
  CHECK(EventBridgeMatches(R"({"suffix": {"equals-ignore-case": ".png"}})", R"("a.PNG")"));
  CHECK_FALSE(EventBridgeMatches(R"({"suffix": {"equals-ignore-case": ".png"}})", R"("a.PNGx")"));
  CHECK_FALSE(EventBridgeMatches(R"({"suffix": {"equals-ignore-case": ".png"}})", R"("png")"));
}

TEST_CASE("anything-but takes suffixes, wildcards, text without regard to case, and lists of all") {
  CHECK(EventBridgeMatches(R"({"anything-but": {"suffix": "x"}})", R"("xy")"));
  CHECK_FALSE(EventBridgeMatches(R"({"anything-but": {"suffix": "x"}})", R"("yx")"));
  CHECK_FALSE(EventBridgeMatches(R"({"anything-but": {"suffix": ["x", "y"]}})", R"("ay")"));
  CHECK(EventBridgeMatches(R"({"anything-but": {"prefix": ["x", "y"]}})", R"("ay")"));
  CHECK_FALSE(EventBridgeMatches(R"({"anything-but": {"prefix": ["x", "y"]}})", R"("ya")"));
  CHECK_FALSE(EventBridgeMatches(R"({"anything-but": {"equals-ignore-case": "ÅR"}})", R"("år")"));
  CHECK(EventBridgeMatches(R"({"anything-but": {"equals-ignore-case": ["a", "b"]}})", R"("c")"));
  CHECK_FALSE(EventBridgeMatches(R"({"anything-but": {"equals-ignore-case": ["a", "b"]}})", R"("B")"));
  CHECK_FALSE(EventBridgeMatches(R"({"anything-but": {"wildcard": "a*b"}})", R"("axb")"));
  CHECK(EventBridgeMatches(R"({"anything-but": {"wildcard": ["a*b", "*x*"]}})", R"("abc")"));
  CHECK_FALSE(EventBridgeMatches(R"({"anything-but": {"wildcard": ["a*b", "*x*"]}})", R"("uxv")"));
  CHECK(EventBridgeMatches(R"({"anything-but": {"wildcard": "*"}})", "5"));
  CHECK(EventBridgeMatches(R"({"anything-but": {"suffix": "x"}})", R"(["x", "y"])"));  // one that is not refused
}

TEST_CASE("what SNS's dialect has, EventBridge's has, too") {
  for (const char* pattern : {R"("x")", "1", "null", R"({"prefix": "x"})", R"({"anything-but": {"prefix": "x"}})",
                              R"({"numeric": ["<", 1]})", R"({"cidr": "10.0.0.0/8"})", R"({"exists": false})"}) {
    INFO(pattern);
    CHECK(EventBridgePolicy(pattern).value() ==
          FilterPolicy::Parse(R"({"t": [)" + std::string(pattern) + "]}", FilterScope::kMessageBody).value());
  }
}

TEST_CASE("malformed operators of EventBridge's are refused with what is allowed") {
  CHECK(SaysThat(EventBridgeComplaint(R"({"wildcard": "a**"})"), "at $.t[0].wildcard: a wildcard pattern has"));
  CHECK(SaysThat(EventBridgeComplaint(R"({"wildcard": "a\\"})"), "at $.t[0].wildcard: a wildcard pattern has"));
  CHECK(SaysThat(EventBridgeComplaint(R"({"wildcard": "\\a"})"), "at $.t[0].wildcard: a wildcard pattern has"));
  CHECK(SaysThat(EventBridgeComplaint(R"({"wildcard": ["a*"]})"), "at $.t[0].wildcard: a wildcard pattern has"));
  CHECK(SaysThat(EventBridgeComplaint(R"({"prefix": 5})"), "at $.t[0].prefix: it takes a string, or an object of"));
  CHECK(SaysThat(EventBridgeComplaint(R"({"prefix": {"suffix": "x"}})"), "at $.t[0].prefix: it takes a string, or"));
  CHECK(SaysThat(EventBridgeComplaint(R"({"prefix": {"equals-ignore-case": 5}})"), "at $.t[0].prefix: it takes"));
  CHECK(SaysThat(EventBridgeComplaint(R"({"like": "x"})"),
                 "allowed are prefix, suffix, equals-ignore-case, cidr, numeric, "
                 "exists, anything-but, wildcard"));
  CHECK(SaysThat(EventBridgeComplaint(R"({"anything-but": {"numeric": [">", 1]}})"),
                 "or an object of one prefix, suffix, equals-ignore-case or wildcard"));
  for (const char* texts : {"[]", "5", "null", R"([5])", R"(["x", 5])", R"({"x": "y"})", R"([["x"]])"}) {
    INFO(texts);
    CHECK(SaysThat(EventBridgeComplaint(R"({"anything-but": {"equals-ignore-case": )" + std::string(texts) + "}}"),
                   "at $.t[0].anything-but.equals-ignore-case: it takes a string or a list of strings"));
  }
  CHECK(SaysThat(EventBridgeComplaint(R"({"anything-but": {"suffix": ["x", ""]}})"), "of at least one character"));
  CHECK(SaysThat(EventBridgeComplaint(R"({"anything-but": {"wildcard": "**"}})"), "a wildcard pattern has"));
}
