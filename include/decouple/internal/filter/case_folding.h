// Text compared without regard to case: two texts are equal if they are after simple case folding (see
// case_folding_table.h). Bytes that are no UTF-8 stand for themselves.

#ifndef DECOUPLE_INTERNAL_FILTER_CASE_FOLDING_H_
#define DECOUPLE_INTERNAL_FILTER_CASE_FOLDING_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "decouple/internal/filter/case_folding_table.h"

namespace decouple::inline v0_1::internal {

// O(log table).
inline std::uint32_t FoldCodePoint(std::uint32_t code_point) {
  const auto* const range =
      std::lower_bound(kCaseFolding.begin(), kCaseFolding.end(), code_point,
                       [](const CaseFoldingRange& one, std::uint32_t wanted) { return one.last < wanted; });
  if (range == kCaseFolding.end() || code_point < range->first || (code_point - range->first) % range->step != 0) {
    return code_point;
  }
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(code_point) + range->offset);
}

// The first character of a text, folded: its bytes, and how many bytes of the text it takes. A byte that begins no
// character of UTF-8 is one by itself.
class FoldedCharacter {
 public:
  // Requires: `text` is not empty.
  explicit FoldedCharacter(std::string_view text) {
    const auto first = static_cast<unsigned char>(text.front());
    if (first < 0x80) {
      bytes_[0] = absl::ascii_tolower(first);
    } else if (const std::uint32_t code_point = Decode(text); code_point == kNoCharacter) {
      bytes_[0] = text.front();
    } else {
      Encode(FoldCodePoint(code_point));
    }
  }

  std::string_view bytes() const { return {bytes_.data(), size_}; }
  std::size_t taken() const { return taken_; }

 private:
  static constexpr std::uint32_t kNoCharacter = 0xFFFFFFFF;

  // Sets taken_ if the text begins with a character of UTF-8.
  std::uint32_t Decode(std::string_view text) {
    const auto first = static_cast<unsigned char>(text.front());
    const std::size_t length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    if (length == 0 || text.size() < length) return kNoCharacter;
    std::uint32_t code_point = first & (0x7FU >> length);
    for (const char c : text.substr(1, length - 1)) {
      const auto byte = static_cast<unsigned char>(c);
      if ((byte & 0xC0U) != 0x80) return kNoCharacter;
      code_point = code_point << 6 | (byte & 0x3FU);
    }
    constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
    if (code_point < kLeast[length] || code_point > 0x10FFFF) return kNoCharacter;  // written longer than it has to be
    taken_ = length;
    return code_point;
  }

  void Encode(std::uint32_t code_point) {
    const auto byte = [](std::uint32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
    const auto further = [&](unsigned shift) { return byte(0x80 | (code_point >> shift & 0x3F)); };
    if (code_point < 0x80) {
      bytes_[0] = byte(code_point);
    } else if (code_point < 0x800) {
      size_ = 2;
      bytes_ = {byte(0xC0 | code_point >> 6), further(0)};
    } else if (code_point < 0x10000) {
      size_ = 3;
      bytes_ = {byte(0xE0 | code_point >> 12), further(6), further(0)};
    } else {
      size_ = 4;
      bytes_ = {byte(0xF0 | code_point >> 18), further(12), further(6), further(0)};
    }
  }

  std::array<char, 4> bytes_{};
  std::size_t size_ = 1;
  std::size_t taken_ = 1;
};

// O(text).
inline std::string FoldCase(std::string_view text) {
  std::string folded;
  folded.reserve(text.size());
  while (!text.empty()) {
    const FoldedCharacter character(text);
    folded.append(character.bytes());
    text.remove_prefix(character.taken());
  }
  return folded;
}

// Whether FoldCase(text) == folded, without an allocation.
inline bool FoldsTo(std::string_view text, std::string_view folded) {
  std::size_t at = 0;
  const std::size_t shorter = std::min(text.size(), folded.size());
  for (; at < shorter && static_cast<unsigned char>(text[at]) < 0x80; ++at) {
    if (absl::ascii_tolower(static_cast<unsigned char>(text[at])) != folded[at]) return false;
  }
  text.remove_prefix(at);
  folded.remove_prefix(at);
  while (!text.empty()) {
    const FoldedCharacter character(text);
    if (folded.substr(0, character.bytes().size()) != character.bytes()) return false;
    text.remove_prefix(character.taken());
    folded.remove_prefix(character.bytes().size());
  }
  return folded.empty();
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_CASE_FOLDING_H_
