#include "decouple/internal/stream/record_segment.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "catch.h"
#include "decouple/internal/memory/huge_page_pool.h"

namespace decouple::testing {
namespace {

using internal::PageSpan;

constexpr std::uint32_t kSegmentRecords = 320;  // five blocks, each with a sum of its sizes

using Segment = internal::RecordSegment<int>;

struct Destroy {
  void operator()(Segment* segment) const { segment->Destroy(); }
};

std::uint32_t BytesOf(std::uint32_t at) { return at % 7 + 1; }

// Counts what CountReady() must return, record by record.
Segment::Ready CountOneByOne(const std::vector<bool>& is_published, std::uint32_t at, std::uint32_t most) {
  Segment::Ready ready;
  for (; at < kSegmentRecords && ready.records < most && is_published[at]; ++at, ++ready.records)
    ready.bytes += BytesOf(at);
  return ready;
}

// Publishes the records of a segment in `order`, and calls `check` after each.
template <typename Check>
void Publish(const std::vector<std::uint32_t>& order, Check check) {
  const std::unique_ptr<Segment, Destroy> segment(Segment::Create(kSegmentRecords, PageSpan::Separate));
  std::vector<bool> is_published(kSegmentRecords, false);
  for (const std::uint32_t at : order) {
    segment->Write(at, "key", 0, static_cast<int>(at));
    segment->Publish(at, BytesOf(at));
    is_published[at] = true;
    check(*segment, is_published);
  }
}

void CheckFrom(const Segment& segment, const std::vector<bool>& is_published, std::uint32_t at) {
  for (const std::uint32_t most : {1U, 54U, 63U, 64U, 65U, 128U, 200U, kSegmentRecords}) {
    const auto ready = segment.CountReady(at, most);
    const auto expected = CountOneByOne(is_published, at, most);
    INFO("from " << at << ", at most " << most);
    REQUIRE(ready.records == expected.records);
    REQUIRE(ready.bytes == expected.bytes);
  }
}

std::vector<std::uint32_t> InOrder() {
  std::vector<std::uint32_t> order(kSegmentRecords);
  for (std::uint32_t at = 0; at < kSegmentRecords; ++at) order[at] = at;
  return order;
}

TEST_CASE("records are counted as ready up to the first that is not") {
  Publish(InOrder(), [](const Segment& segment, const std::vector<bool>& is_published) {
    for (const std::uint32_t at : {0U, 10U, 32U, 63U, 64U, 127U, 128U, 300U, 319U})
      CheckFrom(segment, is_published, at);
  });
}

TEST_CASE("a block without a sum is counted record by record, the blocks behind it by their sums") {
  std::vector<std::uint32_t> order = InOrder();
  // The second block's last record comes before its first, which comes last of all: so no thread adds up the block.
  std::rotate(order.begin() + 64, order.begin() + 65, order.end());
  Publish(order, [](const Segment& segment, const std::vector<bool>& is_published) {
    for (const std::uint32_t at : {0U, 32U, 63U, 64U, 65U, 96U, 128U}) CheckFrom(segment, is_published, at);
  });
}

}  // namespace
}  // namespace decouple::testing
