#include "decouple/message_attributes.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "catch.h"

namespace decouple::testing {

bool IsValid(const MessageAttributes& attributes) { return internal::CheckAttributes(attributes, 10).ok(); }
bool IsValidName(const std::string& name) { return IsValid({{name, "value"}}); }

TEST_CASE("an attribute's type follows from its value") {
  CHECK(AttributeValue("text").type() == "String");
  CHECK(AttributeValue(std::string("text")).value() == "text");
  CHECK(AttributeValue(120).type() == "Number");
  CHECK(AttributeValue(120).value() == "120");
  CHECK(AttributeValue(-1.5).value() == "-1.5");
  CHECK(AttributeValue(std::numeric_limits<std::uint64_t>::max()).value() == "18446744073709551615");
  CHECK(AttributeValue::Number("12.50").value() == "12.50");
  CHECK(AttributeValue::Binary(std::string("\0\1", 2)).value().size() == 2);
}

TEST_CASE("an attribute's name is 1 to 256 letters, digits, underscores, hyphens and dots") {
  CHECK(IsValidName("a"));
  CHECK(IsValidName("Az09_-.x"));
  CHECK(IsValidName(std::string(256, 'a')));
  CHECK_FALSE(IsValidName(""));
  CHECK_FALSE(IsValidName(std::string(257, 'a')));
  CHECK_FALSE(IsValidName("a b"));
  CHECK_FALSE(IsValidName("a/b"));
  CHECK_FALSE(IsValidName("ä"));
}

TEST_CASE("an attribute's name has no leading, trailing or doubled dot") {
  CHECK(IsValidName("a.b.c"));
  CHECK_FALSE(IsValidName(".a"));
  CHECK_FALSE(IsValidName("a."));
  CHECK_FALSE(IsValidName("a..b"));
}

TEST_CASE("an attribute's name does not start with AWS. or Amazon.") {
  CHECK_FALSE(IsValidName("AWS.x"));
  CHECK_FALSE(IsValidName("aws.x"));
  CHECK_FALSE(IsValidName("Amazon.x"));
  CHECK(IsValidName("AWSx"));
  CHECK(IsValidName("x.AWS.x"));
}

TEST_CASE("an attribute's type is String, Number or Binary, with an optional suffix") {
  CHECK(IsValid({{"a", AttributeValue("x").WithSuffix("json")}}));
  CHECK(IsValid({{"a", AttributeValue(1).WithSuffix("int")}}));
  CHECK(AttributeValue(1).WithSuffix("int").type() == "Number.int");
  CHECK_FALSE(IsValid({{"a", AttributeValue("x").WithSuffix("")}}));
  CHECK_FALSE(IsValid({{"a", AttributeValue("x").WithSuffix("a/b")}}));
  CHECK(IsValid({{"a", AttributeValue("x").WithSuffix(std::string(249, 'a'))}}));
  CHECK_FALSE(IsValid({{"a", AttributeValue("x").WithSuffix(std::string(250, 'a'))}}));
}

TEST_CASE("the suffix of an attribute's type may have blanks, and end with a dot") {
  CHECK(IsValid({{"a", AttributeValue("x").WithSuffix("  prefixed.")}}));
  CHECK(IsValid({{"a", AttributeValue(1).WithSuffix(" ")}}));
  CHECK(IsValid({{"a", AttributeValue::Binary("x").WithSuffix("a b")}}));
  CHECK_FALSE(IsValid({{"a", AttributeValue("x").WithSuffix("a\tb")}}));
  CHECK_FALSE(IsValid({{"a", AttributeValue::Number("x").WithSuffix(" ")}}));  // the suffix does not make it a text
}

TEST_CASE("a String has no control characters but tab, newline and return; a Binary has any") {
  for (int c = 0; c < 256; ++c) {
    const std::string value{'a', static_cast<char>(c), 'b'};
    const bool is_allowed = c >= 0x20 || c == '\t' || c == '\n' || c == '\r';
    CHECK(IsValid({{"a", value}}) == is_allowed);
    CHECK(IsValid({{"a", AttributeValue(value).WithSuffix("json")}}) == is_allowed);
    CHECK(IsValid({{"a", AttributeValue::Binary(value)}}));
  }
  const absl::Status status = internal::CheckAttributes({{"name", std::string("ab\x1F", 3)}}, 10);
  CHECK(absl::StrContains(status.message(), "attribute \"name\" has the control character U+001f at 2"));
}

TEST_CASE("a Number has at most 38 significant digits") {
  const auto is_number = [](const std::string& text) { return IsValid({{"a", AttributeValue::Number(text)}}); };
  const std::string digits = "12345678901234567890123456789012345678";
  REQUIRE(digits.size() == 38);
  CHECK(is_number(digits));
  CHECK(is_number("-" + digits));
  CHECK(is_number("000" + digits + "000.000"));
  CHECK(is_number("0.0000" + digits));
  CHECK(is_number("1.2345678901234567890123456789012345678e9"));
  CHECK_FALSE(is_number(digits + "9"));
  CHECK_FALSE(is_number(digits + ".9"));
  CHECK_FALSE(is_number("0.0000" + digits + "9"));
  CHECK_FALSE(is_number("1" + std::string(37, '0') + "1"));  // 39 from the first to the last
  CHECK(is_number("1" + std::string(36, '0') + "1"));
}

TEST_CASE("a Number is 0, or between 10^-128 and 10^126") {
  const auto is_number = [](const std::string& text) { return IsValid({{"a", AttributeValue::Number(text)}}); };
  for (const std::string sign : {"", "+", "-"}) {
    CHECK(is_number(sign + "0"));
    CHECK(is_number(sign + "0e999"));
    CHECK(is_number(sign + "1e126"));
    CHECK(is_number(sign + "1" + std::string(126, '0')));
    CHECK(is_number(sign + "9.99e125"));
    CHECK_FALSE(is_number(sign + "1.0000000001e126"));
    CHECK_FALSE(is_number(sign + "1" + std::string(125, '0') + "1"));
    CHECK_FALSE(is_number(sign + "1e127"));
    CHECK_FALSE(is_number(sign + "1e99999999999999999999"));
    CHECK(is_number(sign + "1e-128"));
    CHECK_FALSE(is_number(sign + "9.99e-129"));
  }
  CHECK_FALSE(IsValid({{"a", std::numeric_limits<double>::max()}}));
  CHECK_FALSE(IsValid({{"a", std::numeric_limits<double>::quiet_NaN()}}));
  CHECK(IsValid({{"a", 1e126}}));
  for (const char* text : {"1e", "e1", ".", "+", "1.2.3", " 1", "1 ", "--1", "1e1.5"}) CHECK_FALSE(is_number(text));
  for (const char* text : {".5", "5.", "5.e1", "+.5E-1"}) CHECK(is_number(text));
}

TEST_CASE("an attribute's value must not be empty, and a Number must be a number") {
  CHECK_FALSE(IsValid({{"a", ""}}));
  CHECK_FALSE(IsValid({{"a", AttributeValue::Binary("")}}));
  CHECK(IsValid({{"a", AttributeValue::Number("-1e9")}}));
  CHECK_FALSE(IsValid({{"a", AttributeValue::Number("ten")}}));
  CHECK_FALSE(IsValid({{"a", AttributeValue::Number("0x10")}}));
  CHECK_FALSE(IsValid({{"a", std::numeric_limits<double>::infinity()}}));
}

TEST_CASE("an array is a String.Array of JSON texts, numbers, true, false and null") {
  const AttributeValue mixed = AttributeValue::Array({"oslo", std::string("b"), 2, -2.5, true, false, nullptr});
  CHECK(mixed.type() == "String.Array");
  CHECK(mixed.value() == R"(["oslo","b",2,-2.5,true,false,null])");
  CHECK(AttributeValue::Array({}).value() == "[]");
  CHECK(AttributeValue::Array({"a"}).value() == R"(["a"])");
  CHECK(AttributeValue::Array({std::numeric_limits<double>::infinity(), std::nan("")}).value() == "[null,null]");
  CHECK(IsValid({{"a", mixed}, {"b", AttributeValue::Array({})}}));
}

TEST_CASE("an array is made from a range, too") {
  CHECK(AttributeValue::Array(std::vector<std::string>{"a", "b"}).value() == R"(["a","b"])");
  CHECK(AttributeValue::Array(std::vector<int>{1, 2}).value() == "[1,2]");
  CHECK(AttributeValue::Array(std::vector<int>()).value() == "[]");
}

TEST_CASE("texts in an array are escaped as JSON asks for") {
  CHECK(AttributeValue::Array({"\"\\/", std::string("\0\x1F\n ", 4), "\xC3\xA5"}).value() ==
        "[\"\\\"\\\\/\",\"\\u0000\\u001f\\u000a \",\"\xC3\xA5\"]");
}

TEST_CASE("attributes with the same name twice are refused") {
  CHECK_FALSE(IsValid({{"a", 1}, {"a", 2}}));
  MessageAttributes attributes;
  attributes.Set("a", 1);
  attributes.Set("a", 2);
  CHECK(attributes.size() == 1);
  CHECK(attributes.Find("a")->value() == "2");
  CHECK(attributes.Find("b") == nullptr);
}

TEST_CASE("the size of attributes counts names, types and values") {
  CHECK(MessageAttributes().bytes() == 0);
  CHECK(MessageAttributes({{"name", "value"}, {"n", 10}}).bytes() == 4 + 6 + 5 + 1 + 6 + 2);
}

}  // namespace decouple::testing
