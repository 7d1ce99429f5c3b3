// A hash table of small values that stand for something: numbers or pointers. It knows the hash of each, and asks its
// user whether it stands for the same.
//
// The entries of a hash lie from its home on without a gap (linear probing). ColdFields the array of entries there is one of
// marks, a byte for each: seven bits made of the hash, or that there is no entry. So that a value is new is seen in the
// marks, almost always in one line of the cache, of an array so small that it is near; and where there is something, in
// one line more, which is on its way by then if it is asked for early. Nobody waits for the place of a new entry: it is
// written by the next call, and on its way until then. (A FIFO queue knows hundreds of thousands of ids: with entries
// alone a send, receive and delete took 6 to 15 per cent longer. Abseil's sets have marks of this kind, but write the
// entry at once.) Who erases moves up what follows, so nothing is left to be cleaned up later.
//
// By one thread at a time.

#ifndef DECOUPLE_INTERNAL_BASE_PREFETCHING_SET_H_
#define DECOUPLE_INTERNAL_BASE_PREFETCHING_SET_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace decouple::internal {

template <typename Value>
class PrefetchingSet {
 public:
  struct Found {
    Value& value;  // may be replaced by another that stands for the same
    bool is_new;
  };

  std::size_t size() const { return size_; }

  // What tells whether there is something of that hash is on its way. For others too while one thread changes the table:
  // what they see then may be elsewhere, and is as good as nothing.
  void PrefetchMarks(std::uint32_t hash) const {
    const std::uint8_t* const marks = marks_hint_.load(std::memory_order_relaxed);
    if (marks != nullptr) __builtin_prefetch(marks + HomeOf(hash), /* to write */ 1);
  }
  // The same, and the entries of that hash: for what is most likely there.
  void Prefetch(std::uint32_t hash) const {
    PrefetchMarks(hash);
    const Entry* const entries = entries_hint_.load(std::memory_order_relaxed);
    if (entries != nullptr) __builtin_prefetch(entries + HomeOf(hash), /* to write */ 1);
  }

  // The value of this hash for which is_same(value) is true; null if there is none. Until the next call.
  template <typename IsSame>
  Value* Find(std::uint32_t hash, IsSame is_same) {
    WriteNew();
    if (marks_.empty()) return nullptr;
    const std::size_t place = Prefetch(hash, is_same);
    return marks_[place] == kNone ? nullptr : &entries_[place].value;
  }

  // The same; if there is none, `value`, which is in the table then. O(1), amortized.
  template <typename IsSame>
  Found FindOrInsert(Value value, std::uint32_t hash, IsSame is_same) {
    WriteNew();
    if (size_ >= most_) Rehash(marks_.empty() ? kSmallest : 2 * marks_.size());
    const std::size_t place = Prefetch(hash, is_same);
    if (marks_[place] != kNone) return {entries_[place].value, false};
    marks_[place] = MarkOf(hash);
    ++size_;
    new_ = {value, hash};
    place_of_new_ = &entries_[place];
    __builtin_prefetch(place_of_new_, /* to write */ 1);
    return {new_.value, true};
  }

  // Returns whether it was there. O(1), amortized with the memory that it gives back.
  bool Erase(Value value, std::uint32_t hash) {
    WriteNew();
    if (marks_.empty()) return false;
    const std::size_t place = Prefetch(hash, [&](const Value& other) { return other == value; });
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

  // Of all bits of the hash, as those that decide on the home are much the same in its neighbourhood.
  static std::uint8_t MarkOf(std::uint32_t hash) {
    constexpr std::uint32_t kMix = 0x9E37'79B1;  // 2^32 divided by the golden ratio
    return static_cast<std::uint8_t>(0x80 | (hash * kMix) >> 25);
  }

  // By the highest bits.
  std::size_t HomeOf(std::uint32_t hash) const { return std::uint64_t{hash} >> shift_.load(std::memory_order_relaxed); }
  std::size_t Next(std::size_t i) const { return (i + 1) & (marks_.size() - 1); }
  std::size_t Distance(std::size_t from, std::size_t to) const { return (to - from) & (marks_.size() - 1); }

  // Where the value of this hash is for which is_same(value) is true, or else where it would be.
  template <typename IsSame>
  std::size_t Prefetch(std::uint32_t hash, IsSame is_same) const {
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

  // Takes an entry out: those behind it that would not be found beyond a gap move up.
  void Close(std::size_t gap) {
    for (std::size_t i = Next(gap); marks_[i] != kNone; i = Next(i)) {
      if (Distance(HomeOf(entries_[i].hash), i) < Distance(gap, i)) continue;
      marks_[gap] = marks_[i];
      entries_[gap] = entries_[i];
      gap = i;
    }
    marks_[gap] = kNone;
  }

  // `capacity`: a power of two. All entries are written.
  void Rehash(std::size_t capacity) {
    const auto [old_marks, old_entries] = SetCapacity(capacity);
    for (std::size_t from = 0; from < old_marks.size(); ++from) {
      if (old_marks[from] == kNone) continue;
      const std::size_t to = Prefetch(old_entries[from].hash, [](const Value&) { return false; });
      marks_[to] = old_marks[from];
      entries_[to] = old_entries[from];
    }
  }

  // Makes it empty. Returns what there was. `capacity`: a power of two, or 0.
  std::pair<std::vector<std::uint8_t>, std::vector<Entry>> SetCapacity(std::size_t capacity) {
    std::vector<std::uint8_t> marks(capacity, kNone);
    std::vector<Entry> entries(capacity);
    marks_hint_.store(marks.data(), std::memory_order_relaxed);
    entries_hint_.store(entries.data(), std::memory_order_relaxed);
    shift_.store(32 - (capacity == 0 ? 0 : std::countr_zero(capacity)), std::memory_order_relaxed);
    most_ = capacity / 4 * 3;
    return {std::exchange(marks_, std::move(marks)), std::exchange(entries_, std::move(entries))};
  }

  std::vector<std::uint8_t> marks_;  // as many as there are entries
  std::vector<Entry> entries_;       // of a power of two, or none
  std::size_t size_ = 0;
  std::size_t most_ = 0;  // that it takes before it grows
  // The last one that came in, if it has not been written where it belongs.
  Entry new_;
  Entry* place_of_new_ = nullptr;
  // Relaxed: for who has the table, and for the prefetches, which need not see them together.
  std::atomic<int> shift_{32};
  std::atomic<const std::uint8_t*> marks_hint_{nullptr};
  std::atomic<const Entry*> entries_hint_{nullptr};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_PREFETCHING_SET_H_
