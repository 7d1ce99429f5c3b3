#include "decouple/internal/memory/huge_page_pool.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/internal/base/cache_line.h"
#include "memory_testing.h"
#include "seed.h"

namespace decouple::testing {
namespace {

using internal::HugePagePool;
using internal::kCacheLine;
using internal::kHugePage;
using internal::PageSpan;

constexpr std::size_t kSpan = std::size_t{100} << 10;  // twenty in a huge page

PageSpan Take() { return PageSpan::FromHugePages(kSpan, kCacheLine); }

void Fill(const PageSpan& span, int with) { std::memset(span.memory(), with, kSpan); }

bool IsFilled(const PageSpan& span, int with) {
  const auto* const bytes = span.memory();
  return bytes[0] == std::byte(with) && std::memcmp(bytes, bytes + 1, kSpan - 1) == 0;
}

TEST_CASE("spans do not overlap, whichever are freed in between") {
  std::vector<PageSpan> spans(100);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    spans[i] = Take();
    Fill(spans[i], static_cast<int>(i));
  }
  for (std::size_t i = 0; i < spans.size(); i += 3) spans[i].Free();
  for (std::size_t i = 0; i < spans.size(); i += 3) {
    spans[i] = Take();
    Fill(spans[i], static_cast<int>(i));
  }
  for (std::size_t i = 0; i < spans.size(); ++i) CHECK(IsFilled(spans[i], static_cast<int>(i)));
  for (const PageSpan& span : spans) span.Free();
}

// Takes, fills and frees spans in a random order. Returns how many did not have the content that was written.
int FindWrongOnes(std::uint64_t seed, int content) {
  std::mt19937_64 random(seed);
  std::vector<PageSpan> spans;
  int wrong = 0;
  for (int i = 0; i < 2'000; ++i) {
    if (spans.size() < 30 && random() % 2 == 0) {
      spans.push_back(Take());
      Fill(spans.back(), content);
    } else if (!spans.empty()) {
      std::swap(spans[random() % spans.size()], spans.back());
      if (!IsFilled(spans.back(), content)) ++wrong;
      spans.back().Free();
      spans.pop_back();
    }
  }
  for (const PageSpan& span : spans) span.Free();
  return wrong;
}

TEST_CASE("a span belongs to one thread at a time") {
  ForEachSeed(1, [](std::uint64_t seed) {
    std::vector<int> wrong(4);
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < wrong.size(); ++thread) {
      threads.emplace_back(
          [thread, seed, &wrong] { wrong[thread] = FindWrongOnes(seed + thread, static_cast<int>(thread)); });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<int>(4));
  });
}

#if DECOUPLE_INTERNAL_MAPS_PAGES

TEST_CASE("huge pages are for spans of which at least six fit, and which are not left to the allocator") {
  CHECK(HugePagePool::Of((std::size_t{64} << 10) - 1, kCacheLine) == nullptr);
  CHECK(HugePagePool::Of(std::size_t{64} << 10, kCacheLine) != nullptr);
  constexpr std::size_t kPage = internal::kPageAlignment;
  CHECK(HugePagePool::Of(kHugePage / 6 / kPage * kPage, kCacheLine) != nullptr);
  CHECK(HugePagePool::Of(kHugePage / 6 / kPage * kPage + 1, kCacheLine) == nullptr);
}

TEST_CASE("spans are taken from a page that has free ones before another page is allocated") {
  constexpr std::size_t kSize = std::size_t{128} << 10;  // used by this test alone
  HugePagePool& spans = *HugePagePool::Of(kSize, kCacheLine);
  std::vector<void*> taken;
  for (int i = 0; i < 32; ++i) taken.push_back(spans.Take());  // two pages
  spans.Give(taken[3]);
  spans.Give(taken[5]);
  CHECK(spans.Take() == taken[3]);
  CHECK(spans.Take() == taken[5]);
  for (void* const span : taken) spans.Give(span);
}

#if DECOUPLE_MEMORY_IS_MEASURABLE

TEST_CASE("all pages but one go back to the system with their last spans, and an untouched page takes no memory") {
  constexpr std::size_t kSize = std::size_t{256} << 10;  // eight in a huge page
  HugePagePool& spans = *HugePagePool::Of(kSize, kCacheLine);
  const std::int64_t before = ResidentBytes();
  std::vector<void*> taken;
  for (int i = 0; i < 80; ++i) taken.push_back(spans.Take());
  CHECK(ResidentBytes() - before < kMebibyte);
  for (void* const span : taken) std::memset(span, 1, kSize);
  CHECK(ResidentBytes() - before >= 20 * kMebibyte);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (i % 8 != 0) spans.Give(taken[i]);
  }
  CHECK(ResidentBytes() - before >= 20 * kMebibyte);
  for (std::size_t i = 0; i < taken.size(); i += 8) spans.Give(taken[i]);
  CHECK(ResidentBytes() - before < 3 * kMebibyte);
}

#endif
#endif

}  // namespace
}  // namespace decouple::testing
