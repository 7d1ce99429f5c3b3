#include "decouple/message.h"

#include <string>
#include <unordered_set>

#include "absl/container/flat_hash_set.h"
#include "catch.h"
#include "decouple/internal/base/access.h"

namespace decouple::testing {

ReceiptHandle ReceiptOf(std::uint64_t queue, std::uint64_t ticket, std::uint32_t segment, std::uint32_t receive) {
  return internal::Access::Make<ReceiptHandle>(queue, ticket, segment, receive);
}

TEST_CASE("a message id prints as the services print theirs") {
  const std::string text = MessageId(7, 42).ToString();
  REQUIRE(text.size() == 36);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    CHECK((dash ? text[i] == '-' : std::string("0123456789abcdef").find(text[i]) != std::string::npos));
  }
}

TEST_CASE("message ids compare and hash by queue and number") {
  CHECK(MessageId(1, 2) == MessageId(1, 2));
  CHECK(MessageId(1, 2) != MessageId(2, 1));
  absl::flat_hash_set<MessageId> ids = {MessageId(1, 2), MessageId(1, 2), MessageId(1, 3)};
  CHECK(ids.size() == 2);
  CHECK(MessageId(1, 2).ToString() != MessageId(2, 1).ToString());
}

TEST_CASE("a receipt handle is parsed from what it printed") {
  const auto receipt = ReceiptOf(0x0123456789abcdef, 0xfedcba9876543210, 77, 3);
  const auto parsed = ReceiptHandle::Parse(receipt.ToString());
  REQUIRE(parsed.ok());
  CHECK(*parsed == receipt);
  CHECK(receipt.ToString().size() == 56);
}

TEST_CASE("text that no receipt handle printed is refused") {
  const std::string good = ReceiptOf(1, 2, 3, 4).ToString();
  for (const std::string& bad :
       {std::string(), good.substr(1), good + "0", std::string(56, 'g'), std::string(56, '0'), "A" + good.substr(1)}) {
    CHECK(ErrorOf(ReceiptHandle::Parse(bad).status()) == Error::kReceiptHandleIsInvalid);
  }
}

TEST_CASE("a receipt handle with any digit changed is refused") {
  const std::string good = ReceiptOf(0x1234, 5, 6, 7).ToString();
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = bad[i] == '0' ? '1' : '0';
    CHECK_FALSE(ReceiptHandle::Parse(bad).ok());
  }
}

}  // namespace decouple::testing
