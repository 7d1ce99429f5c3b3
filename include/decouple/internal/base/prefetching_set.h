// A hash set of small values, numbers or pointers, whose operations rarely wait for memory. The caller brings each
// value's hash and tells whether two values are equal.
//
// Design. Open addressing with linear probing: the entries of one hash follow their home slot without a gap. Beside the
// array of entries there is an array of marks, one byte per entry: seven bits of the hash, or "empty". The marks alone
// tell that a value is new, nearly always from one cache line of an array so small that it stays in the cache; if a
// mark matches, one more line decides, which a caller can prefetch. An insertion does not wait for the line of its
// entry either: it prefetches that line, and the next call writes the entry.
//
// Abseil's sets have such marks too, but write the entry at once. A FIFO queue keeps hundreds of thousands of ids here:
// with entries alone its calls took noticeably longer (exp. 2).
//
// An erasure moves the following entries up, so there are no tombstones to clean up later.
//
// Threading: one thread at a time, except for PrefetchMarks() and Prefetch(), which any thread may call.

#ifndef DECOUPLE_INTERNAL_BASE_PREFETCHING_SET_H_
#define DECOUPLE_INTERNAL_BASE_PREFETCHING_SET_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "decouple/internal/base/assert.h"

namespace decouple::inline v0_1::internal {

template <typename Value>
class PrefetchingSet {
 public:
  struct Found {
    Value& value;  // may be replaced by an equal one
    bool is_new;
  };

  std::size_t size() const { return size_; }

  // Prefetches the mark of the hash. While another thread changes the set it may prefetch the wrong line, which does no
  // harm.
  void PrefetchMarks(std::uint32_t hash) const {
    const std::uint8_t* const marks = marks_hint_.load(std::memory_order_relaxed);
    if (marks != nullptr) __builtin_prefetch(marks + HomeOf(hash), /* to write */ 1);
  }
  // Also prefetches the entry of the hash: for a value that is most likely in the set.
  void Prefetch(std::uint32_t hash) const {
    PrefetchMarks(hash);
    const Entry* const entries = entries_hint_.load(std::memory_order_relaxed);
    if (entries != nullptr) __builtin_prefetch(entries + HomeOf(hash), /* to write */ 1);
  }

  // The value of this hash for which is_same(value) is true; null if there is none. The pointer is valid until the next
  // call.
  template <typename IsSame>
  Value* Find(std::uint32_t hash, IsSame is_same) {
    WriteNew();
    if (marks_.empty()) return nullptr;
    const std::size_t place = FindPlace(hash, is_same);
    return marks_[place] == kNone ? nullptr : &entries_[place].value;
  }

  // Same as Find(), but inserts `value` if there is none. Amortized O(1).
  template <typename IsSame>
  Found FindOrInsert(Value value, std::uint32_t hash, IsSame is_same) {
    WriteNew();
    if (size_ >= most_) Rehash(marks_.empty() ? kSmallest : 2 * marks_.size());
    const std::size_t place = FindPlace(hash, is_same);
    if (marks_[place] != kNone) return {entries_[place].value, false};
    marks_[place] = MarkOf(hash);
    ++size_;
    new_ = {value, hash};
    place_of_new_ = &entries_[place];
    __builtin_prefetch(place_of_new_, /* to write */ 1);
    return {new_.value, true};
  }

  // Returns whether the value was in the set. Amortized O(1); gives memory back when the set has become small.
  bool Erase(Value value, std::uint32_t hash) {
    WriteNew();
    if (marks_.empty()) return false;
    const std::size_t place = FindPlace(hash, [&](const Value& other) { return other == value; });
    if (marks_[place] == kNone) return false;
    Close(place);
    --size_;
    if (marks_.size() > kSmallest && size_ < marks_.size() / 8) Rehash(marks_.size() / 4);
    return true;
  }

  void Clear() {
    place_of_new_ = nullptr;
    SetCapacity(0);
    size_ = 0;
  }

 private:
  static constexpr std::size_t kSmallest = 64;
  static constexpr std::uint8_t kNone = 0;

  struct Entry {
    Value value{};
    std::uint32_t hash = 0;
  };

  // Depends on all bits of the hash: the highest alone, which choose the home slot, are much alike among neighbours.
  static std::uint8_t MarkOf(std::uint32_t hash) {
    constexpr std::uint32_t kMix = 0x9E37'79B1;  // 2^32 divided by the golden ratio
    return static_cast<std::uint8_t>(0x80 | (hash * kMix) >> 25);
  }

  // The home slot: the highest bits of the hash.
  std::size_t HomeOf(std::uint32_t hash) const { return std::uint64_t{hash} >> shift_.load(std::memory_order_relaxed); }
  std::size_t Next(std::size_t i) const { return (i + 1) & (marks_.size() - 1); }
  std::size_t Distance(std::size_t from, std::size_t to) const { return (to - from) & (marks_.size() - 1); }

  // The place of the value of this hash for which is_same(value) is true, or else the place where it would be inserted.
  template <typename IsSame>
  std::size_t FindPlace(std::uint32_t hash, IsSame is_same) const {
    DECOUPLE_ASSERT(size_ < marks_.size());  // else probing would not end
    const std::uint8_t mark = MarkOf(hash);
    std::size_t i = HomeOf(hash);
    for (; marks_[i] != kNone; i = Next(i)) {
      if (marks_[i] == mark && entries_[i].hash == hash && is_same(entries_[i].value)) break;
    }
    return i;
  }

  void WriteNew() {
    if (place_of_new_ == nullptr) return;
    *place_of_new_ = new_;
    place_of_new_ = nullptr;
  }

  // Closes the gap that an erased entry leaves: entries behind it that probing would no longer reach move up.
  void Close(std::size_t gap) {
    for (std::size_t i = Next(gap); marks_[i] != kNone; i = Next(i)) {
      if (Distance(HomeOf(entries_[i].hash), i) < Distance(gap, i)) continue;
      marks_[gap] = marks_[i];
      entries_[gap] = entries_[i];
      gap = i;
    }
    marks_[gap] = kNone;
  }

  // Requires: `capacity` is a power of two and all entries are written.
  void Rehash(std::size_t capacity) {
    const auto [old_marks, old_entries] = SetCapacity(capacity);
    for (std::size_t from = 0; from < old_marks.size(); ++from) {
      if (old_marks[from] == kNone) continue;
      const std::size_t to = FindPlace(old_entries[from].hash, [](const Value&) { return false; });
      marks_[to] = old_marks[from];
      entries_[to] = old_entries[from];
    }
  }

  // Replaces both arrays by empty ones and returns the old ones. `capacity`: a power of two, or 0.
  std::pair<std::vector<std::uint8_t>, std::vector<Entry>> SetCapacity(std::size_t capacity) {
    DECOUPLE_ASSERT(capacity == 0 || std::has_single_bit(capacity));
    std::vector<std::uint8_t> marks(capacity, kNone);
    std::vector<Entry> entries(capacity);
    marks_hint_.store(marks.data(), std::memory_order_relaxed);
    entries_hint_.store(entries.data(), std::memory_order_relaxed);
    shift_.store(32 - (capacity == 0 ? 0 : std::countr_zero(capacity)), std::memory_order_relaxed);
    most_ = capacity / 4 * 3;
    return {std::exchange(marks_, std::move(marks)), std::exchange(entries_, std::move(entries))};
  }

  std::vector<std::uint8_t> marks_;  // one per entry
  std::vector<Entry> entries_;       // a power of two, or none
  std::size_t size_ = 0;
  std::size_t most_ = 0;  // the set grows before it has more
  // The last value inserted, and where it is to be written; null once it has been.
  Entry new_;
  Entry* place_of_new_ = nullptr;
  // For prefetches by other threads, which need not see the three together; so they are relaxed.
  std::atomic<int> shift_{32};
  std::atomic<const std::uint8_t*> marks_hint_{nullptr};
  std::atomic<const Entry*> entries_hint_{nullptr};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_PREFETCHING_SET_H_
