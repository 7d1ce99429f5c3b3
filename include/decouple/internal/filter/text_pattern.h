// The patterns that a policy may have for text.

#ifndef DECOUPLE_INTERNAL_FILTER_TEXT_PATTERN_H_
#define DECOUPLE_INTERNAL_FILTER_TEXT_PATTERN_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "decouple/internal/filter/case_folding.h"

namespace decouple::inline v0_1::internal {

struct Prefix {
  std::string text;

  bool Fits(std::string_view value) const { return value.substr(0, text.size()) == text; }
  friend bool operator==(const Prefix&, const Prefix&) = default;
};

struct Suffix {
  std::string text;

  bool Fits(std::string_view value) const {
    return value.size() >= text.size() && value.substr(value.size() - text.size()) == text;
  }
  friend bool operator==(const Suffix&, const Suffix&) = default;
};

struct EqualsIgnoreCase {
  std::string folded;

  static EqualsIgnoreCase Of(std::string_view text) { return {FoldCase(text)}; }
  bool Fits(std::string_view value) const { return FoldsTo(value, folded); }
  friend bool operator==(const EqualsIgnoreCase&, const EqualsIgnoreCase&) = default;
};

struct PrefixIgnoreCase {
  std::string folded;

  static PrefixIgnoreCase Of(std::string_view text) { return {FoldCase(text)}; }
  bool Fits(std::string_view value) const { return Prefix{folded}.Fits(FoldCase(value)); }
  friend bool operator==(const PrefixIgnoreCase&, const PrefixIgnoreCase&) = default;
};

struct SuffixIgnoreCase {
  std::string folded;

  static SuffixIgnoreCase Of(std::string_view text) { return {FoldCase(text)}; }
  bool Fits(std::string_view value) const { return Suffix{folded}.Fits(FoldCase(value)); }
  friend bool operator==(const SuffixIgnoreCase&, const SuffixIgnoreCase&) = default;
};

// Text with stars, each of which stands for any text, also for none.
struct Wildcard {
  std::vector<std::string> pieces;  // what stands between the stars; at least one

  static constexpr const char* kShape =
      "a wildcard pattern has stars, and backslashes before stars and backslashes that stand for themselves; it has no "
      "two stars in a row";

  // None: two stars in a row, or a backslash before anything but a star or a backslash.
  static std::optional<Wildcard> Parse(std::string_view text) {
    Wildcard wildcard{{""}};
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] == '*') {
        if (wildcard.pieces.size() > 1 && wildcard.pieces.back().empty()) return std::nullopt;
        wildcard.pieces.emplace_back();
        continue;
      }
      if (text[at] == '\\' && (++at == text.size() || (text[at] != '*' && text[at] != '\\'))) return std::nullopt;
      wildcard.pieces.back().push_back(text[at]);
    }
    return wildcard;
  }

  // Taking each piece where it is first found is right, as what is left for the others is then longest.
  bool Fits(std::string_view value) const {
    if (pieces.size() == 1) return value == pieces.front();
    if (value.size() < pieces.front().size() + pieces.back().size() || !value.starts_with(pieces.front()) ||
        !value.ends_with(pieces.back())) {
      return false;
    }
    value.remove_prefix(pieces.front().size());
    value.remove_suffix(pieces.back().size());
    for (std::size_t i = 1; i + 1 < pieces.size(); ++i) {
      const std::size_t found = value.find(pieces[i]);
      if (found == std::string_view::npos) return false;
      value.remove_prefix(found + pieces[i].size());
    }
    return true;
  }
  friend bool operator==(const Wildcard&, const Wildcard&) = default;
};

using TextPattern = std::variant<Prefix, Suffix, EqualsIgnoreCase, Wildcard>;

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FILTER_TEXT_PATTERN_H_
