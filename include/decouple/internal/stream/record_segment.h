// Consecutive records of a shard, as columns: bodies with bodies, keys with keys. So a reader that goes through the
// bodies in order runs through memory that holds nothing else.
//
// A record is written once, by the holder of its ticket, and does not change as long as the segment lasts. Its size is
// its state:
//
//   size 0   the ticket holder writes it, or it has no ticket yet; nobody reads it
//   size > 0 published: every thread may read it. The store of the size publishes the record (every record has at
//            least a key, so its size is not 0)
//
// Publishing is a plain store: the cache line is most likely in the cache of a reader that waits at the tip, and the
// writer need not wait for the line. Such a reader loads size and time, so they stand together, and it takes as few
// lines from the writer as possible (exp. 31).
//
// The thread that publishes the last of 64 records adds up the sizes of these, while it has them in its cache. So a
// read, which is bounded by bytes and counts them, does not look at each record.
//
// Lifetime: segments are counted by reference. The shard holds one reference until it has trimmed the segment, and each
// batch that a reader keeps holds one. The segment ends, or is cleared for reuse, when the last one is released. The
// memory of its keys is kept when it is used again (small_string.h).

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

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/small_string.h"
#include "decouple/internal/memory/huge_page_pool.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class RecordSegment {
 public:
  // IsShared() says which member it has: the body in place, or one that queues or other streams share.
  union Body {
    Body() {}
    ~Body() {}
    T in_place;
    SharedBody* shared;
  };

  // Returns a segment with one reference, the caller's. `capacity` is a multiple of 64, `allocate` one of PageSpan's.
  static RecordSegment* Create(std::uint32_t capacity, PageSpan (*allocate)(std::size_t, std::size_t)) {
    DECOUPLE_ASSERT(capacity > 0 && capacity % kBlock == 0);
    const Layout layout(capacity);
    const PageSpan memory = allocate(layout.bytes, Layout::kAlignment);
    return new (memory.memory()) RecordSegment(memory, layout);
  }

  // Sets which records it covers: the shard's segment `number`, the records from `first` on. Requires: no other thread
  // has seen the segment since Create() or Clear().
  void Begin(std::uint64_t number, std::uint64_t first) {
    number_ = number;
    first_ = first;
  }

  std::uint64_t number() const { return number_; }
  std::uint64_t first() const { return first_; }
  std::uint64_t end() const { return first_ + capacity_; }
  std::uint32_t capacity() const { return capacity_; }

  // ---- writing: the holder of the record's ticket -------------------------------------------------------------------

  void Write(std::uint32_t at, std::string_view key, std::int64_t arrival, T&& body) {
    DECOUPLE_ASSERT(!IsReady(at));
    std::construct_at(std::addressof(bodies_[at].in_place), std::move(body));
    keys_[at].Assign(key);
    heads_[at].arrival = arrival;
    heads_[at].is_shared = false;
  }
  // Takes over a reference of the caller's to the body.
  void WriteShared(std::uint32_t at, std::string_view key, std::int64_t arrival, SharedBody* body) {
    DECOUPLE_ASSERT(!IsReady(at));
    bodies_[at].shared = body;
    keys_[at].Assign(key);
    heads_[at].arrival = arrival;
    heads_[at].is_shared = true;
    has_shared_.store(true, std::memory_order_relaxed);  // published by the size's store
  }
  // Publishes the record. Requires: the caller is in a read section, as from the store on the record may be read and
  // trimmed, and the segment with it.
  void Publish(std::uint32_t at, std::uint32_t bytes) {
    DECOUPLE_ASSERT(bytes > 0 && !IsReady(at));
    heads_[at].size.store(bytes, std::memory_order_release);  // pairs with SizeOf()
    if (at % kBlock == kBlock - 1) [[unlikely]]
      AddUpBlock(at / kBlock);
  }

  // ---- reading: any thread that has a reference or is in a read section ---------------------------------------------

  bool IsReady(std::uint32_t at) const { return SizeOf(at) != 0; }

  struct Ready {
    std::uint32_t records = 0;
    std::uint64_t bytes = 0;
  };

  // Prefetches what CountReady() loads of a full segment of `records` records. The address need not be one of a segment
  // any more.
  static void Prefetch(const RecordSegment* segment, std::uint32_t records) {
    const auto* const begin = reinterpret_cast<const std::byte*>(segment);
    for (std::size_t at = 0; at < sizeof(RecordSegment) + records / kBlock * sizeof(Sum); at += kCacheLine) {
      __builtin_prefetch(begin + at);
    }
  }

  // Counts the records that are ready from `at` on without a gap, up to `max_records`.
  Ready CountReady(std::uint32_t at, std::uint32_t max_records) const {
    DECOUPLE_ASSERT(at < capacity_);
    const std::uint32_t end = at + std::min(max_records, capacity_ - at);
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

  // How many bytes a record takes in addition to its body.
  static constexpr std::size_t overhead() { return sizeof(Head) + sizeof(SmallString); }

  // Every record is ready, so no thread writes any more.
  bool IsFull() const { return IsReady(capacity_ - 1) && CountReady(0, capacity_).records == capacity_; }

  // What follows requires that the record is ready.
  const Body* bodies() const { return bodies_; }
  bool has_shared() const { return has_shared_.load(std::memory_order_relaxed); }
  bool IsShared(std::uint32_t at) const { return heads_[at].is_shared; }
  const T& body(std::uint32_t at) const {
    return IsShared(at) ? *static_cast<const T*>(bodies_[at].shared->body()) : bodies_[at].in_place;
  }
  const SharedBody& shared(std::uint32_t at) const { return *bodies_[at].shared; }  // if IsShared()
  std::string_view key(std::uint32_t at) const { return keys_[at].text(); }
  std::int64_t arrival(std::uint32_t at) const { return heads_[at].arrival; }
  std::uint32_t bytes(std::uint32_t at) const { return SizeOf(at); }

  // The latest arrival of its records; the end of time while it is not full. Appenders read the clock before they take
  // a ticket, so the order of records that several threads put at the same time may differ from that of their arrivals.
  std::int64_t LatestArrival() const {
    // Relaxed: every thread that computes it gets the same value.
    std::int64_t latest = latest_.load(std::memory_order_relaxed);
    if (latest != kNotKnown) return latest;
    if (!IsFull()) return std::numeric_limits<std::int64_t>::max();
    const auto is_earlier = [](const Head& one, const Head& other) { return one.arrival < other.arrival; };
    latest = std::max_element(heads_, heads_ + capacity_, is_earlier)->arrival;
    latest_.store(latest, std::memory_order_relaxed);
    return latest;
  }

  // ---- references ---------------------------------------------------------------------------------------------------

  // Relaxed: the caller has a reference already, or is in a read section, during which the shard's is not released.
  void AddReference() {
    [[maybe_unused]] const std::int64_t before = references_.fetch_add(1, std::memory_order_relaxed);
    DECOUPLE_ASSERT(before > 0);
  }
  void RemoveReference() {
    if (ReleaseReference()) Destroy();
  }
  // Releases the caller's reference. True: it was the last one, and the caller owns the segment now.
  // Acquire and release: what other threads read of the segment happens before its end.
  [[nodiscard]] bool ReleaseReference() {
    const std::int64_t before = references_.fetch_sub(1, std::memory_order_acq_rel);
    DECOUPLE_ASSERT(before > 0);
    return before == 1;
  }

  // Makes it as it was after Create(). Requires: the caller owns it, as ReleaseReference() returned true.
  void Clear() {
    DECOUPLE_ASSERT(references_.load(std::memory_order_relaxed) == 0);
    DestroyBodies();
    // Relaxed: no other thread sees the segment.
    for (std::uint32_t at = 0; at < capacity_; ++at) heads_[at].size.store(0, std::memory_order_relaxed);
    for (std::uint32_t block = 0; block < capacity_ / kBlock; ++block) sums_[block].store(0, std::memory_order_relaxed);
    has_shared_.store(false, std::memory_order_relaxed);
    latest_.store(kNotKnown, std::memory_order_relaxed);
    references_.store(1, std::memory_order_relaxed);
  }

  // Requires: the caller owns it, or has the only reference.
  void Destroy() {
    DECOUPLE_ASSERT(references_.load(std::memory_order_relaxed) <= 1);
    DestroyBodies();
    std::destroy_n(keys_, capacity_);
    const PageSpan memory = memory_;
    this->~RecordSegment();
    memory.Free();
  }

 private:
  using Sum = std::atomic<std::uint64_t>;

  // The part of a record that every read loads.
  struct Head {
    std::int64_t arrival = 0;
    std::atomic<std::uint32_t> size{0};  // of body and key
    bool is_shared = false;
  };
  static_assert(sizeof(Head) == 16 && kCacheLine % sizeof(Head) == 0, "a record's size and time share a cache line");

  static constexpr std::uint32_t kBlock = 64;  // the number of records whose sizes have one sum
  static constexpr std::int64_t kNotKnown = std::numeric_limits<std::int64_t>::min();

  // The columns' offsets from the segment's beginning.
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

  // Acquire, both: pair with Publish() and AddUpBlock(), so the records that they show as ready may be read.
  std::uint32_t SizeOf(std::uint32_t at) const {
    DECOUPLE_ASSERT(at < capacity_);
    return heads_[at].size.load(std::memory_order_acquire);
  }
  std::uint64_t SumOf(std::uint32_t block) const { return sums_[block].load(std::memory_order_acquire); }

  // Both add up the bytes, and return where they stop. This one stops at the first record that is not ready.
  std::uint32_t CountOneByOne(std::uint32_t next, std::uint32_t end, std::uint64_t& bytes) const {
    for (; next < end; ++next) {
      const std::uint32_t size = SizeOf(next);
      if (size == 0) break;
      bytes += size;
    }
    return next;
  }
  // This one begins with a block, and stops at the first block whose sum is not known.
  std::uint32_t CountBlocks(std::uint32_t next, std::uint32_t end, std::uint64_t& bytes) const {
    for (; end - next >= kBlock; next += kBlock) {
      const std::uint64_t known = SumOf(next / kBlock);
      if (known == 0) break;
      bytes += known;
    }
    return next;
  }

  // Does nothing if some records of the block are not ready yet: readers of the block then look at each record.
  void AddUpBlock(std::uint32_t block) {
    const Ready ready = CountReady(block * kBlock, kBlock);
    if (ready.records == kBlock) sums_[block].store(ready.bytes, std::memory_order_release);  // SumOf()
  }

  void DestroyBodies() {
    if (std::is_trivially_destructible_v<T> && !has_shared()) return;
    for (std::uint32_t at = 0; at < capacity_; ++at) {
      if (!IsReady(at)) continue;
      if (IsShared(at)) {
        bodies_[at].shared->RemoveReferences(1);
      } else {
        bodies_[at].in_place.~T();
      }
    }
  }

  const PageSpan memory_;  // the segment itself is at its beginning
  const std::uint32_t capacity_;
  std::uint64_t number_ = 0;
  std::uint64_t first_ = 0;
  std::atomic<bool> has_shared_{false};
  mutable std::atomic<std::int64_t> latest_{kNotKnown};
  Sum* const sums_;  // of the sizes of kBlock records each; 0: not known
  Head* const heads_;
  SmallString* const keys_;
  Body* const bodies_;
  alignas(kCacheLine) std::atomic<std::int64_t> references_{1};
};

// A reference to a segment, or none.
template <typename T>
class SegmentReference {
 public:
  SegmentReference() = default;
  // Takes over a reference of the caller's.
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

  RecordSegment<T>& operator*() const {
    DECOUPLE_ASSERT(segment_ != nullptr);
    return *segment_;
  }
  RecordSegment<T>* operator->() const { return segment_; }

 private:
  RecordSegment<T>* segment_ = nullptr;
};

// A record's body for sharing with queues or other streams: the body stays where it is, and keeps its segment alive.
template <typename T>
class RecordBody final : public SharedBody {
 public:
  RecordBody(RecordSegment<T>& segment, std::uint32_t at)
      : SharedBody(std::addressof(segment.body(at)), segment.IsShared(at) ? segment.shared(at).publication() : nullptr,
                   segment.bytes(at) - segment.key(at).size()),
        reference_((segment.AddReference(), &segment)) {}

 private:
  const SegmentReference<T> reference_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_RECORD_SEGMENT_H_
