#include "decouple/sequence_number.h"

#include <string>
#include <unordered_set>
#include <vector>

#include "absl/hash/hash.h"
#include "decouple/internal/base/access.h"
#include "testing.h"

namespace decouple::testing {
namespace {

SequenceNumber OfRecord(std::uint64_t value, std::uint64_t incarnation, std::uint64_t shard) {
  return internal::Access::Make<SequenceNumber>(value, internal::Access::OriginOf<SequenceNumber>(incarnation, shard));
}

TEST_CASE("a queue's sequence number prints as 20 digits") {
  CHECK(SequenceNumber(42).ToString() == "00000000000000000042");
  CHECK(SequenceNumber(18'446'744'073'709'551'615U).ToString() == "18446744073709551615");
  CHECK(SequenceNumber(42).stream_incarnation() == 0);
  CHECK(SequenceNumber() < SequenceNumber(1));
  CHECK(SequenceNumber(9) < SequenceNumber(10));
}

TEST_CASE("a record's sequence number prints as 56 digits that show its stream and shard") {
  const SequenceNumber number = OfRecord(42, 1'099'511'627'775, 7);
  CHECK(number.ToString() ==
        "49"
        "00000000000000000042"
        "0000000001099511627775"
        "000000000007");
  CHECK(number.value() == 42);
  CHECK(number.stream_incarnation() == 1'099'511'627'775);
  CHECK(number.shard_number() == 7);
}

TEST_CASE("the texts of sequence numbers sort as the numbers do, whichever shard of a lineage gave them") {
  const std::vector<SequenceNumber> sorted = {OfRecord(9, 5, 8), OfRecord(10, 5, 1), OfRecord(99, 5, 3),
                                              OfRecord(100, 5, 2)};
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    CHECK(sorted[i - 1] < sorted[i]);
    CHECK(sorted[i - 1].ToString() < sorted[i].ToString());
  }
}

TEST_CASE("a sequence number is parsed from its text, and from no other") {
  for (const SequenceNumber number :
       {SequenceNumber(), SequenceNumber(7), SequenceNumber(~std::uint64_t{0}), OfRecord(1, 1, 0),
        OfRecord(~std::uint64_t{0}, (1ULL << 40) - 1, (1 << 24) - 1)}) {
    INFO(number.ToString());
    const auto parsed = SequenceNumber::Parse(number.ToString());
    REQUIRE(parsed.ok());
    CHECK(*parsed == number);
  }
  const std::string text = OfRecord(42, 3, 7).ToString();
  std::vector<std::string> wrong = {"",         "42",       " 0000000000000000042", "18446744073709551616",
                                    text + "0", "0" + text, text.substr(1),         "+0000000000000000042"};
  const auto with = [&](std::size_t at, const std::string& digits) {
    wrong.push_back(std::string(text).replace(at, digits.size(), digits));
  };
  with(0, "50");                       // not a record's
  with(2, "18446744073709551616");     // 2^64
  with(22, "0000000001099511627776");  // 2^40
  with(22, "1000000000000000000003");
  with(22, "0000000000000000000000");  // no stream
  with(44, "000016777216");            // 2^24
  with(55, "x");
  for (const std::string& one : wrong) {
    INFO(one);
    CHECK(ErrorIn(SequenceNumber::Parse(one)) == Error::kInvalidArgument);
  }
}

TEST_CASE("sequence numbers are equal, and hash alike, if value, stream and shard are") {
  std::unordered_set<SequenceNumber, absl::Hash<SequenceNumber>> all = {SequenceNumber(1), OfRecord(1, 1, 0),
                                                                        OfRecord(1, 1, 1), OfRecord(1, 2, 0)};
  CHECK(all.size() == 4);
  CHECK(all.contains(OfRecord(1, 2, 0)));
  CHECK_FALSE(all.contains(OfRecord(2, 2, 0)));
}

}  // namespace
}  // namespace decouple::testing
