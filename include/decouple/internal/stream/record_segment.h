// A stretch of a shard's records, side by side by what they are asked for: bodies with bodies, keys with keys. So one
// who reads the bodies in order runs through memory that holds nothing else.
//
// A record is written once, by the one who has its ticket, and does not change while the segment lasts:
//
//   size 0   its writer's, or nobody's yet
//   a size   everybody's, read only: its store publishes the record (every record has at least a key)
//
// MessageWriter is a plain store, as the line is most likely in the cache of one who waits at the tip: the writer need not
// wait for it. What such a reader looks at, the size and the time, lies together, so that he takes as few lines from
// the writer as may be. (A put with a reader at its heels took half as long again with exchanges of bits, and sizes and
// times apart.)
//
// Who publishes the last of 64 records adds up what they have, while he has their sizes at hand: so a read, which is
// bounded by bytes and counts them, does not look at each record.
//
// Who reads holds the segment. It has gone from the shard by the time that its last hold goes; it ends then. Its keys
// are kept when it is used again (small_string.h).

#ifndef DECOUPLE_INTERNAL_STREAM_RECORD_SEGMENT_H_
#define DECOUPLE_INTERNAL_STREAM_RECORD_SEGMENT_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/small_string.h"
#include "decouple/internal/memory/huge_page_pool.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::internal {

template <typename T>
class RecordSegment {
 public:
  // In place, or shared with others who have it; as IsShared() says.
  union Body {
    Body() {}
    ~Body() {}
    T own;
    SharedBody* shared;
  };

  // With one hold, the caller's. `capacity` is a multiple of 64, `allocate` one of PageSpan's.
  static RecordSegment* Create(std::uint32_t capacity, PageSpan (*allocate)(std::size_t, std::size_t)) {
    const Layout layout(capacity);
    const PageSpan memory = allocate(layout.bytes, Layout::kAlignment);
    return new (memory.memory()) RecordSegment(memory, layout);
  }

  // Before anybody else sees it: which stretch it holds, the records from `first` on.
  void Begin(std::uint64_t number, std::uint64_t first) {
    number_ = number;
    first_ = first;
  }

  std::uint64_t number() const { return number_; }
  std::uint64_t first() const { return first_; }
  std::uint64_t end() const { return first_ + capacity_; }
  std::uint32_t capacity() const { return capacity_; }

  // ---- the one who has the ticket -----------------------------------------------------------------------------------

  void Write(std::uint32_t at, std::string_view key, std::int64_t arrival, T&& body) {
    new (&bodies_[at].own) T(std::move(body));
    keys_[at].Assign(key);
    heads_[at].arrival = arrival;
    heads_[at].is_shared = false;
  }
  // Takes over a hold of the caller's.
  void WriteShared(std::uint32_t at, std::string_view key, std::int64_t arrival, SharedBody* body) {
    bodies_[at].shared = body;
    keys_[at].Assign(key);
    heads_[at].arrival = arrival;
    heads_[at].is_shared = true;
    has_shared_.store(true, std::memory_order_relaxed);  // the size publishes it
  }
  // Within a RcuReadGuard: the record may be read and over, and the segment with it.
  void Publish(std::uint32_t at, std::uint32_t bytes) {
    heads_[at].size.store(bytes, std::memory_order_release);
    if (at % kBlock == kBlock - 1) [[unlikely]]
      AddUpBlock(at / kBlock);
  }

  // ---- everybody, with a hold or within a RcuReadGuard ---------------------------------------------------------------

  bool IsReady(std::uint32_t at) const { return SizeOf(at) != 0; }

  struct Ready {
    std::uint32_t records = 0;
    std::uint64_t bytes = 0;
  };

  // Has the processor fetch what CountReady() looks at in a segment of so many records that is full. By an address that
  // need not be a segment's any more.
  static void Prefetch(const RecordSegment* segment, std::uint32_t records) {
    const auto* const begin = reinterpret_cast<const std::byte*>(segment);
    for (std::size_t at = 0; at < sizeof(RecordSegment) + records / kBlock * sizeof(Sum); at += kCacheLine) {
      __builtin_prefetch(begin + at);
    }
  }

  // How many records are ready from `at` on without a gap, at most `most` of them.
  Ready CountReady(std::uint32_t at, std::uint32_t most) const {
    const std::uint32_t end = at + std::min(most, capacity_ - at);
    Ready ready;
    std::uint32_t next = at;
    do {
      if (next % kBlock == 0) next = CountBlocks(next, end, ready.bytes);
      const std::uint32_t block_end = std::min(end, (next / kBlock + 1) * kBlock);
      next = CountOneByOne(next, block_end, ready.bytes);
      if (next != block_end) break;
    } while (next != end);
    ready.records = next - at;
    return ready;
  }

  // What a record takes beside its body.
  static constexpr std::size_t overhead() { return sizeof(Head) + sizeof(SmallString); }

  // Every record is ready, so nobody writes any more.
  bool IsFull() const { return IsReady(capacity_ - 1) && CountReady(0, capacity_).records == capacity_; }

  // Of records that are ready.
  const Body* bodies() const { return bodies_; }
  bool has_shared() const { return has_shared_.load(std::memory_order_relaxed); }
  bool IsShared(std::uint32_t at) const { return heads_[at].is_shared; }
  const T& body(std::uint32_t at) const {
    return IsShared(at) ? *static_cast<const T*>(bodies_[at].shared->body()) : bodies_[at].own;
  }
  const SharedBody& shared(std::uint32_t at) const { return *bodies_[at].shared; }  // if IsShared()
  std::string_view key(std::uint32_t at) const { return keys_[at].text(); }
  std::int64_t arrival(std::uint32_t at) const { return heads_[at].arrival; }
  std::uint32_t bytes(std::uint32_t at) const { return SizeOf(at); }

  // When the last of its records arrived; the end of time while some may still come. Clocks are read before tickets
  // are taken, so records that are put at the same time by several threads may stand in another order than their times.
  std::int64_t LatestArrival() const {
    // Relaxed: whoever computes it comes to the same.
    std::int64_t latest = latest_.load(std::memory_order_relaxed);
    if (latest != kNotKnown) return latest;
    if (!IsFull()) return std::numeric_limits<std::int64_t>::max();
    const auto is_earlier = [](const Head& one, const Head& other) { return one.arrival < other.arrival; };
    latest = std::max_element(heads_, heads_ + capacity_, is_earlier)->arrival;
    latest_.store(latest, std::memory_order_relaxed);
    return latest;
  }

  // ---- holds --------------------------------------------------------------------------------------------------------

  // Relaxed: who adds one has one, or is in a section in which the shard's does not go.
  void AddReference() { holds_.fetch_add(1, std::memory_order_relaxed); }
  void RemoveReference() {
    if (IsLastReference()) Destroy();
  }
  // The caller's goes. True: it was the last, and the segment is the caller's.
  bool IsLastReference() {
    return holds_.fetch_sub(1, std::memory_order_acq_rel) == 1;  // what others read comes before its end
  }

  // By its owner: as after Create().
  void Clear() {
    DestroyBodies();
    // Relaxed: nobody else sees it.
    for (std::uint32_t at = 0; at < capacity_; ++at) heads_[at].size.store(0, std::memory_order_relaxed);
    for (std::uint32_t block = 0; block < capacity_ / kBlock; ++block) sums_[block].store(0, std::memory_order_relaxed);
    has_shared_.store(false, std::memory_order_relaxed);
    latest_.store(kNotKnown, std::memory_order_relaxed);
    holds_.store(1, std::memory_order_relaxed);
  }

  void Destroy() {
    DestroyBodies();
    std::destroy_n(keys_, capacity_);
    const PageSpan memory = memory_;
    this->~RecordSegment();
    memory.Free();
  }

 private:
  using Sum = std::atomic<std::uint64_t>;

  // What a read looks at.
  struct Head {
    std::int64_t arrival = 0;
    std::atomic<std::uint32_t> size{0};  // of body and key
    bool is_shared = false;
  };

  static constexpr std::uint32_t kBlock = 64;  // of which the sum is kept
  static constexpr std::int64_t kNotKnown = std::numeric_limits<std::int64_t>::min();

  // Where what is, from the segment's beginning.
  struct Layout {
    static constexpr std::size_t kAlignment = std::max(kCacheLine, alignof(Body));

    explicit Layout(std::uint32_t records) : capacity(records) {
      sums = Place(sizeof(RecordSegment), records / kBlock * sizeof(Sum));
      heads = Place(end, records * sizeof(Head));
      keys = Place(end, records * sizeof(SmallString));
      bodies = Place(end, records * sizeof(Body));
      bytes = (end + kAlignment - 1) / kAlignment * kAlignment;
    }

    std::size_t Place(std::size_t after, std::size_t size) {
      const std::size_t at = (after + kAlignment - 1) / kAlignment * kAlignment;
      end = at + size;
      return at;
    }

    std::uint32_t capacity;
    std::size_t end = 0;
    std::size_t sums, heads, keys, bodies, bytes;
  };

  RecordSegment(const PageSpan& memory, const Layout& layout)
      : memory_(memory),
        capacity_(layout.capacity),
        sums_(reinterpret_cast<Sum*>(memory.memory() + layout.sums)),
        heads_(reinterpret_cast<Head*>(memory.memory() + layout.heads)),
        keys_(reinterpret_cast<SmallString*>(memory.memory() + layout.keys)),
        bodies_(reinterpret_cast<Body*>(memory.memory() + layout.bodies)) {
    std::uninitialized_value_construct_n(sums_, capacity_ / kBlock);
    std::uninitialized_value_construct_n(heads_, capacity_);
    std::uninitialized_value_construct_n(keys_, capacity_);
  }
  ~RecordSegment() = default;

  // Acquire, both: what they say is ready may be read.
  std::uint32_t SizeOf(std::uint32_t at) const { return heads_[at].size.load(std::memory_order_acquire); }
  std::uint64_t SumOf(std::uint32_t block) const { return sums_[block].load(std::memory_order_acquire); }

  // Both add up the bytes, and return where they stop. Up to the first record that is not ready:
  std::uint32_t CountOneByOne(std::uint32_t next, std::uint32_t end, std::uint64_t& bytes) const {
    for (; next < end; ++next) {
      const std::uint32_t size = SizeOf(next);
      if (size == 0) break;
      bytes += size;
    }
    return next;
  }
  // From the beginning of a block on, up to the first whose sum is not known:
  std::uint32_t CountBlocks(std::uint32_t next, std::uint32_t end, std::uint64_t& bytes) const {
    for (; end - next >= kBlock; next += kBlock) {
      const std::uint64_t known = SumOf(next / kBlock);
      if (known == 0) break;
      bytes += known;
    }
    return next;
  }

  // If all of its records are ready. If not, those who read them look at each.
  void AddUpBlock(std::uint32_t block) {
    const Ready ready = CountReady(block * kBlock, kBlock);
    if (ready.records == kBlock) sums_[block].store(ready.bytes, std::memory_order_release);
  }

  void DestroyBodies() {
    if (std::is_trivially_destructible_v<T> && !has_shared()) return;
    for (std::uint32_t at = 0; at < capacity_; ++at) {
      if (!IsReady(at)) continue;
      if (IsShared(at)) {
        bodies_[at].shared->RemoveReferences(1);
      } else {
        bodies_[at].own.~T();
      }
    }
  }

  const PageSpan memory_;  // in which it lies itself
  const std::uint32_t capacity_;
  std::uint64_t number_ = 0;
  std::uint64_t first_ = 0;
  std::atomic<bool> has_shared_{false};
  mutable std::atomic<std::int64_t> latest_{kNotKnown};
  Sum* const sums_;  // of the sizes of so many records each; 0: not known
  Head* const heads_;
  SmallString* const keys_;
  Body* const bodies_;
  alignas(kCacheLine) std::atomic<std::int64_t> holds_{1};
};

// A hold, or none.
template <typename T>
class SegmentReference {
 public:
  SegmentReference() = default;
  // Takes over a hold of the caller's.
  explicit SegmentReference(RecordSegment<T>* segment) : segment_(segment) {}
  SegmentReference(const SegmentReference& other) : segment_(other.segment_) {
    if (segment_ != nullptr) segment_->AddReference();
  }
  SegmentReference(SegmentReference&& other) noexcept : segment_(std::exchange(other.segment_, nullptr)) {}
  SegmentReference& operator=(SegmentReference other) noexcept {
    std::swap(segment_, other.segment_);
    return *this;
  }
  ~SegmentReference() {
    if (segment_ != nullptr) segment_->RemoveReference();
  }

  RecordSegment<T>& operator*() const { return *segment_; }
  RecordSegment<T>* operator->() const { return segment_; }

 private:
  RecordSegment<T>* segment_ = nullptr;
};

// A record's body, for those who share it further: it stays where it is.
template <typename T>
class RecordBody final : public SharedBody {
 public:
  RecordBody(RecordSegment<T>& segment, std::uint32_t at)
      : SharedBody(&segment.body(at), segment.IsShared(at) ? segment.shared(at).publication() : nullptr,
                   segment.bytes(at) - segment.key(at).size()),
        hold_((segment.AddReference(), &segment)) {}

 private:
  const SegmentReference<T> hold_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_STREAM_RECORD_SEGMENT_H_
