// A hash table of small values that stand for something: numbers or pointers. It knows 31 bits of the hash of each, and
// asks its user whether it stands for the same.
//
// The entries of a hash lie from its home on without a gap (linear probing). So whether there is one, and where a new
// one goes, is seen in a line of the cache, or two, which are on their way early if they are asked for. (Abseil's sets
// look into one array to find a place in another, and wait twice. That was an eighth of a send, receive and delete of a
// FIFO queue, which knows hundreds of thousands of ids.) Who erases moves up what follows, so nothing is left to be
// cleaned up later.
//
// By one thread at a time.

#ifndef DECOUPLE_INTERNAL_LINEAR_TABLE_H_
#define DECOUPLE_INTERNAL_LINEAR_TABLE_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace decouple::internal {

template <typename Value>
class LinearTable {
 public:
  struct Found {
    Value& value;  // may be replaced by another that stands for the same
    bool is_new;
  };

  std::size_t size() const { return size_; }

  // The entries of that hash are on their way. For others too while one thread changes the table: what they see then
  // may be elsewhere, and is as good as nothing.
  void Prefetch(std::uint32_t hash) const {
    const std::byte* const entries = hint_.load(std::memory_order_relaxed);
    if (entries != nullptr) __builtin_prefetch(entries + HomeOf(hash) * sizeof(Entry), /* to write */ 1);
  }

  // The value of this hash for which is_same(value) is true; null if there is none.
  template <typename IsSame>
  Value* Find(std::uint32_t hash, IsSame is_same) {
    if (entries_.empty()) return nullptr;
    for (std::size_t i = HomeOf(hash); entries_[i].mark_and_hash != 0; i = Next(i)) {
      if (entries_[i].mark_and_hash == Marked(hash) && is_same(entries_[i].value)) return &entries_[i].value;
    }
    return nullptr;
  }

  // The same; if there is none, `value`, which is in the table then. O(1), amortized.
  template <typename IsSame>
  Found FindOrInsert(Value value, std::uint32_t hash, IsSame is_same) {
    if (size_ >= most_) Rehash(entries_.empty() ? kSmallest : 2 * entries_.size());
    for (std::size_t i = HomeOf(hash);; i = Next(i)) {
      Entry& entry = entries_[i];
      if (entry.mark_and_hash == Marked(hash) && is_same(entry.value)) return {entry.value, false};
      if (entry.mark_and_hash != 0) continue;
      entry = {value, Marked(hash)};
      ++size_;
      return {entry.value, true};
    }
  }

  // Returns whether it was there. O(1), amortized with the memory that it gives back.
  bool Erase(Value value, std::uint32_t hash) {
    if (entries_.empty()) return false;
    std::size_t i = HomeOf(hash);
    while (entries_[i].value != value || entries_[i].mark_and_hash != Marked(hash)) {
      if (entries_[i].mark_and_hash == 0) return false;
      i = Next(i);
    }
    Close(i);
    --size_;
    if (entries_.size() > kSmallest && size_ < entries_.size() / 8) Rehash(entries_.size() / 4);
    return true;
  }

  void Clear() {
    SetEntries({});
    size_ = most_ = 0;
  }

 private:
  static constexpr std::size_t kSmallest = 64;

  struct Entry {
    Value value{};
    std::uint32_t mark_and_hash = 0;  // 0: none
  };

  static std::uint32_t Marked(std::uint32_t hash) { return hash | 1U << 31; }

  // By the highest of the 31 bits.
  std::size_t HomeOf(std::uint32_t hash) const { return (hash << 1) >> shift_.load(std::memory_order_relaxed); }
  std::size_t Next(std::size_t i) const { return (i + 1) & (entries_.size() - 1); }
  std::size_t Distance(std::size_t from, std::size_t to) const { return (to - from) & (entries_.size() - 1); }

  // Takes an entry out: those behind it that would not be found beyond a gap move up.
  void Close(std::size_t gap) {
    for (std::size_t i = Next(gap); entries_[i].mark_and_hash != 0; i = Next(i)) {
      if (Distance(HomeOf(entries_[i].mark_and_hash), i) < Distance(gap, i)) continue;
      entries_[gap] = entries_[i];
      gap = i;
    }
    entries_[gap] = {};
  }

  // `capacity`: a power of two.
  void Rehash(std::size_t capacity) {
    const std::vector<Entry> old = SetEntries(std::vector<Entry>(capacity));
    shift_.store(32 - std::countr_zero(capacity), std::memory_order_relaxed);
    most_ = capacity / 4 * 3;
    for (const Entry& entry : old) {
      if (entry.mark_and_hash == 0) continue;
      std::size_t i = HomeOf(entry.mark_and_hash);
      while (entries_[i].mark_and_hash != 0) i = Next(i);
      entries_[i] = entry;
    }
  }

  // Returns what there was.
  std::vector<Entry> SetEntries(std::vector<Entry> entries) {
    hint_.store(reinterpret_cast<const std::byte*>(entries.data()), std::memory_order_relaxed);
    return std::exchange(entries_, std::move(entries));
  }

  std::vector<Entry> entries_;  // of a power of two, or none
  std::size_t size_ = 0;
  std::size_t most_ = 0;  // that it takes before it grows
  // Relaxed: for who has the table, and for Prefetch(), which need not see them together.
  std::atomic<int> shift_{31};
  std::atomic<const std::byte*> hint_{nullptr};  // where the entries are
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LINEAR_TABLE_H_
