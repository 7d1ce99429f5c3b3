// A text that most likely has few characters, where it belongs: in 16 bytes, if it has up to 15. (A std::string has 32,
// and takes 80 instructions to assign.) The partition key of a record, and what is remembered of a send, are such.
//
// The memory of a longer text is kept for the next one.

#ifndef DECOUPLE_INTERNAL_BASE_SMALL_STRING_H_
#define DECOUPLE_INTERNAL_BASE_SMALL_STRING_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace decouple::internal {

// Written by one thread at a time; then read by any.
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
    if (IsElsewhere()) delete[] ReadElsewhere().text;
  }

  std::string_view text() const {
    if (!IsElsewhere()) [[likely]]
      return {bytes_, static_cast<std::size_t>(bytes_[kTag])};
    const HeapText elsewhere = ReadElsewhere();
    return {elsewhere.text, elsewhere.size};
  }

  void Assign(std::string_view text) {
    if (text.size() <= kLongestHere && !IsElsewhere()) [[likely]] {
      CopyHere(text);
      bytes_[kTag] = static_cast<char>(text.size());
    } else {
      AssignElsewhere(text);
    }
  }

 private:
  static constexpr char kElsewhere = 127;  // more than fits here
  static constexpr std::size_t kSmallestElsewhere = 32;

  // What the bytes hold if the text is not here.
  struct HeapText {
    char* text = nullptr;
    std::uint32_t size = 0;
    char capacity_bits = 0;  // its memory has 2 to the power of this
    char padding[2] = {};
    char tag = kElsewhere;
  };

  static constexpr std::size_t kTag = offsetof(HeapText, tag);  // in this byte, of a text that is here: its size
  static constexpr std::size_t kLongestHere = kTag;

  void Swap(SmallString& other) { std::swap(bytes_, other.bytes_); }

  bool IsElsewhere() const { return bytes_[kTag] == kElsewhere; }

  HeapText ReadElsewhere() const {
    HeapText elsewhere;
    std::memcpy(&elsewhere, bytes_, sizeof(elsewhere));
    return elsewhere;
  }

  // As two halves that may overlap: their sizes are known, so they are a load and a store each.
  void CopyHere(std::string_view text) {
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

  void AssignElsewhere(std::string_view text) {
    HeapText elsewhere = IsElsewhere() ? ReadElsewhere() : HeapText();
    if (elsewhere.text == nullptr || text.size() > std::size_t{1} << elsewhere.capacity_bits) {
      delete[] elsewhere.text;
      const std::size_t capacity = std::max(kSmallestElsewhere, std::bit_ceil(text.size()));
      elsewhere.text = new char[capacity];
      elsewhere.capacity_bits = static_cast<char>(std::countr_zero(capacity));
    }
    std::copy(text.begin(), text.end(), elsewhere.text);
    elsewhere.size = static_cast<std::uint32_t>(text.size());
    std::memcpy(bytes_, &elsewhere, sizeof(elsewhere));
  }

  alignas(HeapText) char bytes_[sizeof(HeapText)] = {};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_SMALL_STRING_H_
