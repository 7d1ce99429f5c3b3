// A string of 16 bytes that holds up to 15 characters in place: half the size of a std::string, and cheaper to assign
// (exp. 3). For strings that are mostly short, such as the partition keys of records and the ids that deduplication
// remembers.
//
// Memory. A longer string lies on the heap; its memory is kept for the strings that are assigned later.

#ifndef DECOUPLE_INTERNAL_BASE_SMALL_STRING_H_
#define DECOUPLE_INTERNAL_BASE_SMALL_STRING_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "decouple/internal/base/assert.h"

namespace decouple::inline v0_1::internal {

// Threading: written by one thread at a time, then read by any.
class SmallString {
 public:
  SmallString() = default;
  explicit SmallString(std::string_view text) { Assign(text); }
  SmallString(SmallString&& other) noexcept { Swap(other); }
  SmallString& operator=(SmallString&& other) noexcept {
    Swap(other);
    return *this;
  }
  ~SmallString() {
    if (IsOnHeap()) delete[] ReadHeap().text;
  }

  std::string_view text() const {
    if (!IsOnHeap()) [[likely]]
      return {bytes_, static_cast<std::size_t>(bytes_[kTag])};
    const HeapText heap = ReadHeap();
    return {heap.text, heap.size};
  }

  void Assign(std::string_view text) {
    if (text.size() <= kLongestInPlace && !IsOnHeap()) [[likely]] {
      CopyInPlace(text);
      bytes_[kTag] = static_cast<char>(text.size());
    } else {
      AssignSlow(text);
    }
  }

 private:
  static constexpr char kOnHeap = 127;  // as the tag: more than any size in place
  static constexpr std::size_t kSmallestOnHeap = 32;

  // What the bytes hold if the string is on the heap.
  struct HeapText {
    char* text = nullptr;
    std::uint32_t size = 0;
    char capacity_bits = 0;  // the memory has 2 to the power of this bytes
    char padding[2] = {};
    char tag = kOnHeap;
  };

  static constexpr std::size_t kTag =
      offsetof(HeapText, tag);  // in this byte: the size of a string in place, or kOnHeap
  static constexpr std::size_t kLongestInPlace = kTag;

  void Swap(SmallString& other) { std::swap(bytes_, other.bytes_); }

  bool IsOnHeap() const { return bytes_[kTag] == kOnHeap; }

  HeapText ReadHeap() const {
    HeapText heap;
    std::memcpy(&heap, bytes_, sizeof(heap));
    return heap;
  }

  // Copies two halves that may overlap: as their sizes are constants, each is a load and a store.
  void CopyInPlace(std::string_view text) {
    if (text.size() >= 8) {
      CopyEnds<8>(text);
    } else if (text.size() >= 4) {
      CopyEnds<4>(text);
    } else {
      std::copy(text.begin(), text.end(), bytes_);
    }
  }
  template <std::size_t n>
  void CopyEnds(std::string_view text) {
    std::memcpy(bytes_, text.data(), n);
    std::memcpy(bytes_ + text.size() - n, text.data() + text.size() - n, n);
  }

  // Slow path: the string is or was on the heap.
  void AssignSlow(std::string_view text) {
    DECOUPLE_ASSERT(text.size() <= UINT32_MAX);
    HeapText heap = IsOnHeap() ? ReadHeap() : HeapText();
    if (heap.text == nullptr || text.size() > std::size_t{1} << heap.capacity_bits) {
      delete[] heap.text;
      const std::size_t capacity = std::max(kSmallestOnHeap, std::bit_ceil(text.size()));
      heap.text = new char[capacity];
      heap.capacity_bits = static_cast<char>(std::countr_zero(capacity));
    }
    std::copy(text.begin(), text.end(), heap.text);
    heap.size = static_cast<std::uint32_t>(text.size());
    std::memcpy(bytes_, &heap, sizeof(heap));
  }

  static_assert(sizeof(HeapText) == 16 && kTag == 15);

  alignas(HeapText) char bytes_[sizeof(HeapText)] = {};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_SMALL_STRING_H_
