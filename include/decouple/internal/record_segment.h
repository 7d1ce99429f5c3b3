// A stretch of a shard's records, side by side by what they are asked for: bodies with bodies, keys with keys. So one
// who reads the bodies in order runs through memory that holds nothing else.
//
// A record is written once, by the one who has its ticket, and does not change while the segment lasts:
//
//   ready bit 0   its writer's, or nobody's yet
//   ready bit 1   everybody's, read only. Set with a sequentially consistent exchange: it publishes the record, and
//                 comes before the look for those who wait (event_count.h)
//
// Who reads holds the segment. It has gone from the shard by the time that its last hold goes; it ends then. Its keys
// are kept when it is used again, so that the text of long ones has its memory already.

#ifndef DECOUPLE_INTERNAL_RECORD_SEGMENT_H_
#define DECOUPLE_INTERNAL_RECORD_SEGMENT_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "decouple/internal/pages.h"
#include "decouple/internal/shared_body.h"
#include "decouple/internal/thread_record.h"

namespace decouple::internal {

template <typename T>
class RecordSegment {
 public:
  // In place, or shared with others who have it; as the shared bit says.
  union Body {
    Body() {}
    ~Body() {}
    T own;
    SharedBody* shared;
  };

  // With one hold, the caller's. `capacity` is a multiple of 64.
  static RecordSegment* Create(std::uint32_t capacity) {
    const Layout layout(capacity);
    void* const memory = AllocatePages(layout.bytes, layout.kAlignment);
    return new (memory) RecordSegment(static_cast<std::byte*>(memory), layout);
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

  void Write(std::uint32_t at, std::string_view key, std::int64_t arrival, std::uint32_t bytes, T&& body) {
    new (&bodies_[at].own) T(std::move(body));
    WriteRest(at, key, arrival, bytes);
  }
  // Takes over a hold of the caller's.
  void WriteShared(std::uint32_t at, std::string_view key, std::int64_t arrival, std::uint32_t bytes,
                   SharedBody* body) {
    bodies_[at].shared = body;
    // Relaxed, both: the ready bit publishes them.
    shared_[at / 64].fetch_or(Bit(at), std::memory_order_relaxed);
    has_shared_.store(true, std::memory_order_relaxed);
    WriteRest(at, key, arrival, bytes);
  }
  // The segment may end with this: nothing of it may be touched afterwards.
  void Publish(std::uint32_t at) { ready_[at / 64].fetch_or(Bit(at), std::memory_order_seq_cst); }

  // ---- everybody, with a hold or within a ReadSection ---------------------------------------------------------------

  bool IsReady(std::uint32_t at) const { return (ReadyWord(at / 64) & Bit(at)) != 0; }

  // How many records are ready from `at` on without a gap, at most `most` of them.
  std::uint32_t CountReady(std::uint32_t at, std::uint32_t most) const {
    const std::uint32_t end = at + std::min(most, capacity_ - at);
    std::uint32_t next = at;
    while (next < end) {
      const auto run = static_cast<std::uint32_t>(std::countr_one(ReadyWord(next / 64) >> next % 64));
      next += std::min(run, 64 - next % 64);
      if (run == 0) break;
    }
    return std::min(next, end) - at;
  }

  // Every record is ready, so nobody writes any more.
  bool IsFull() const {
    for (std::uint32_t word = capacity_ / 64; word > 0; --word) {  // the last is filled last
      if (~ReadyWord(word - 1) != 0) return false;
    }
    return true;
  }

  // Of records that are ready.
  const Body* bodies() const { return bodies_; }
  bool has_shared() const { return has_shared_.load(std::memory_order_relaxed); }
  bool IsShared(std::uint32_t at) const {
    return (shared_[at / 64].load(std::memory_order_relaxed) & Bit(at)) != 0;  // published by the ready bit
  }
  const T& body(std::uint32_t at) const {
    return IsShared(at) ? *static_cast<const T*>(bodies_[at].shared->body()) : bodies_[at].own;
  }
  const SharedBody& shared(std::uint32_t at) const { return *bodies_[at].shared; }  // if IsShared()
  std::string_view key(std::uint32_t at) const { return keys_[at]; }
  std::int64_t arrival(std::uint32_t at) const { return arrivals_[at]; }
  std::uint32_t bytes(std::uint32_t at) const { return sizes_[at]; }

  // Of records that are ready. Once nobody writes any more, the sums up to every 64th record are kept: so a read, which
  // is bounded by bytes and counts them, does not look at each record's size.
  std::uint64_t BytesOf(std::uint32_t begin, std::uint32_t end) const {
    if (!HasSums()) return AddUp(begin, end);
    return sums_[end / 64] + AddUp(end / 64 * 64, end) - sums_[begin / 64] - AddUp(begin / 64 * 64, begin);
  }

  // When the last of its records arrived; the end of time while some may still come. Clocks are read before tickets
  // are taken, so records that are put at the same time by several threads may stand in another order than their times.
  std::int64_t LatestArrival() const {
    // Relaxed: whoever computes it comes to the same.
    std::int64_t latest = latest_.load(std::memory_order_relaxed);
    if (latest != kNotKnown) return latest;
    if (!IsFull()) return std::numeric_limits<std::int64_t>::max();
    latest = *std::max_element(arrivals_, arrivals_ + capacity_);
    latest_.store(latest, std::memory_order_relaxed);
    return latest;
  }

  // ---- holds --------------------------------------------------------------------------------------------------------

  // Relaxed: who adds one has one, or is in a section in which the shard's does not go.
  void AddHold() { holds_.fetch_add(1, std::memory_order_relaxed); }
  void RemoveHold() {
    if (IsLastHold()) Destroy();
  }
  // The caller's goes. True: it was the last, and the segment is the caller's.
  bool IsLastHold() {
    return holds_.fetch_sub(1, std::memory_order_acq_rel) == 1;  // what others read comes before its end
  }

  // By its owner: as after Create().
  void Clear() {
    DestroyBodies();
    for (std::uint32_t word = 0; word < capacity_ / 64; ++word) {
      // Relaxed: nobody else sees it.
      ready_[word].store(0, std::memory_order_relaxed);
      shared_[word].store(0, std::memory_order_relaxed);
    }
    has_shared_.store(false, std::memory_order_relaxed);
    latest_.store(kNotKnown, std::memory_order_relaxed);
    summing_.store(Summing::kNotYet, std::memory_order_relaxed);
    holds_.store(1, std::memory_order_relaxed);
  }

  void Destroy() {
    DestroyBodies();
    std::destroy_n(keys_, capacity_);
    const std::size_t bytes = Layout(capacity_).bytes;
    this->~RecordSegment();
    FreePages(this, bytes, Layout::kAlignment);
  }

 private:
  using Word = std::atomic<std::uint64_t>;

  // One reader makes the sums, for all.
  enum class Summing : std::uint8_t { kNotYet, kUnderWay, kDone };

  static constexpr std::int64_t kNotKnown = std::numeric_limits<std::int64_t>::min();

  // Where what is, from the segment's beginning.
  struct Layout {
    static constexpr std::size_t kAlignment = std::max(kCacheLine, alignof(Body));

    explicit Layout(std::uint32_t records) : capacity(records) {
      ready = Place(sizeof(RecordSegment), records / 64 * sizeof(Word));
      shared = Place(end, records / 64 * sizeof(Word));
      arrivals = Place(end, records * sizeof(std::int64_t));
      sizes = Place(end, records * sizeof(std::uint32_t));
      sums = Place(end, (records / 64 + 1) * sizeof(std::uint64_t));
      keys = Place(end, records * sizeof(std::string));
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
    std::size_t ready, shared, arrivals, sizes, sums, keys, bodies, bytes;
  };

  RecordSegment(std::byte* memory, const Layout& layout)
      : capacity_(layout.capacity),
        ready_(reinterpret_cast<Word*>(memory + layout.ready)),
        shared_(reinterpret_cast<Word*>(memory + layout.shared)),
        arrivals_(reinterpret_cast<std::int64_t*>(memory + layout.arrivals)),
        sizes_(reinterpret_cast<std::uint32_t*>(memory + layout.sizes)),
        sums_(reinterpret_cast<std::uint64_t*>(memory + layout.sums)),
        keys_(reinterpret_cast<std::string*>(memory + layout.keys)),
        bodies_(reinterpret_cast<Body*>(memory + layout.bodies)) {
    std::uninitialized_value_construct_n(ready_, capacity_ / 64);
    std::uninitialized_value_construct_n(shared_, capacity_ / 64);
    std::uninitialized_default_construct_n(keys_, capacity_);
  }
  ~RecordSegment() = default;

  static constexpr std::uint64_t Bit(std::uint32_t at) { return std::uint64_t{1} << at % 64; }

  std::uint64_t ReadyWord(std::uint32_t word) const { return ready_[word].load(std::memory_order_acquire); }

  std::uint64_t AddUp(std::uint32_t begin, std::uint32_t end) const {
    std::uint64_t sum = 0;
    for (std::uint32_t at = begin; at < end; ++at) sum += sizes_[at];
    return sum;
  }

  // Makes the sums, if it is time to and nobody else does.
  bool HasSums() const {
    Summing seen = summing_.load(std::memory_order_acquire);  // pairs with the release below: publishes the sums
    if (seen == Summing::kDone) return true;
    if (seen == Summing::kUnderWay || !IsFull()) return false;
    if (!summing_.compare_exchange_strong(seen, Summing::kUnderWay, std::memory_order_relaxed)) return false;
    sums_[0] = 0;
    for (std::uint32_t at = 0; at < capacity_; at += 64) sums_[at / 64 + 1] = sums_[at / 64] + AddUp(at, at + 64);
    summing_.store(Summing::kDone, std::memory_order_release);
    return true;
  }

  void WriteRest(std::uint32_t at, std::string_view key, std::int64_t arrival, std::uint32_t bytes) {
    keys_[at].assign(key);
    arrivals_[at] = arrival;
    sizes_[at] = bytes;
  }

  void DestroyBodies() {
    if (std::is_trivially_destructible_v<T> && !has_shared()) return;
    for (std::uint32_t at = 0; at < capacity_; ++at) {
      if (!IsReady(at)) continue;
      if (IsShared(at)) {
        bodies_[at].shared->RemoveHolds(1);
      } else {
        bodies_[at].own.~T();
      }
    }
  }

  const std::uint32_t capacity_;
  std::uint64_t number_ = 0;
  std::uint64_t first_ = 0;
  std::atomic<bool> has_shared_{false};
  mutable std::atomic<std::int64_t> latest_{kNotKnown};
  mutable std::atomic<Summing> summing_{Summing::kNotYet};
  Word* const ready_;
  Word* const shared_;
  std::int64_t* const arrivals_;
  std::uint32_t* const sizes_;
  std::uint64_t* const sums_;  // of the records before each 64th; written by the one who sums, then read only
  std::string* const keys_;
  Body* const bodies_;
  alignas(kCacheLine) std::atomic<std::int64_t> holds_{1};
};

// A hold, or none.
template <typename T>
class SegmentHold {
 public:
  SegmentHold() = default;
  // Takes over a hold of the caller's.
  explicit SegmentHold(RecordSegment<T>* segment) : segment_(segment) {}
  SegmentHold(const SegmentHold& other) : segment_(other.segment_) {
    if (segment_ != nullptr) segment_->AddHold();
  }
  SegmentHold(SegmentHold&& other) noexcept : segment_(std::exchange(other.segment_, nullptr)) {}
  SegmentHold& operator=(SegmentHold other) noexcept {
    std::swap(segment_, other.segment_);
    return *this;
  }
  ~SegmentHold() {
    if (segment_ != nullptr) segment_->RemoveHold();
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
        hold_((segment.AddHold(), &segment)) {}

 private:
  const SegmentHold<T> hold_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_RECORD_SEGMENT_H_
