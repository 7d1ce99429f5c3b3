#include "decouple/internal/filter/case_folding.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "catch.h"

namespace {

using decouple::internal::FoldCase;
using decouple::internal::FoldCodePoint;
using decouple::internal::FoldsTo;
using decouple::internal::kCaseFolding;

}  // namespace

TEST_CASE("the ranges of case folding are ascending, and together the 1454 mappings of Unicode 14") {
  std::size_t mappings = 0;
  std::uint32_t end = 0;
  for (const auto& range : kCaseFolding) {
    INFO(range.first);
    REQUIRE(range.first >= end);
    REQUIRE(range.last >= range.first);
    REQUIRE((range.last - range.first) % range.step == 0);
    mappings += (range.last - range.first) / range.step + 1;
    end = range.last + 1;
  }
  CHECK(mappings == 1454);
}

TEST_CASE("folding twice is folding once") {
  for (std::uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    const std::uint32_t folded = FoldCodePoint(code_point);
    if (folded != code_point) REQUIRE(FoldCodePoint(folded) == folded);
  }
}

TEST_CASE("a character folds to its small letter, and others stay as they are") {
  CHECK(FoldCodePoint('@') == '@');
  CHECK(FoldCodePoint('A') == 'a');
  CHECK(FoldCodePoint('Z') == 'z');
  CHECK(FoldCodePoint('[') == '[');
  CHECK(FoldCodePoint(0xD6) == 0xF6);    // Ö
  CHECK(FoldCodePoint(0xD7) == 0xD7);    // the sign of multiplication, in the midst of letters
  CHECK(FoldCodePoint(0xD8) == 0xF8);    // Ø
  CHECK(FoldCodePoint(0x100) == 0x101);  // Ā, in a range of every other code point
  CHECK(FoldCodePoint(0x101) == 0x101);
  CHECK(FoldCodePoint(0x178) == 0xFF);       // Ÿ, to a lower block
  CHECK(FoldCodePoint(0x130) == 0x130);      // İ has only a full and a Turkic folding
  CHECK(FoldCodePoint(0x131) == 0x131);      // ı
  CHECK(FoldCodePoint(0x3A3) == 0x3C3);      // Σ
  CHECK(FoldCodePoint(0x3C2) == 0x3C3);      // ς, as at the end of a word
  CHECK(FoldCodePoint(0x1E9E) == 0xDF);      // ẞ to ß: status S
  CHECK(FoldCodePoint(0x1F88) == 0x1F80);    // ᾈ, status S
  CHECK(FoldCodePoint(0x212A) == 'k');       // the sign of Kelvin
  CHECK(FoldCodePoint(0xAB70) == 0x13A0);    // Cherokee folds to the capital letters
  CHECK(FoldCodePoint(0x1E921) == 0x1E943);  // the last of all
  CHECK(FoldCodePoint(0x1E922) == 0x1E922);
  CHECK(FoldCodePoint(0x10FFFF) == 0x10FFFF);
}

TEST_CASE("text is folded character by character, in each length that UTF-8 has") {
  CHECK(FoldCase("OsLo 7") == "oslo 7");
  CHECK(FoldCase("ÅNGSTRÖM") == "ångström");
  CHECK(FoldCase("\u212A\u2126") == "k\u03C9");  // Kelvin and Ohm: three bytes to one, and to two
  CHECK(FoldCase("\u023A") == "\u2C65");         // Ⱥ: two bytes to three
  CHECK(FoldCase("\U00010400") == "\U00010428");
  CHECK(FoldCase("straße") == "straße");
  CHECK(FoldCase("").empty());
}

TEST_CASE("bytes that are no UTF-8 stand for themselves") {
  for (const std::string_view text :
       {"\x80", "\xC3", "\xC1\x81", "\xE0\x81\x81", "\xF5\x80\x80\x80", "\xF4\x90\x80\x80",
        "\xC3"
        "A",
        "\xFF", "\xE2\x84"}) {
    const std::string folded = FoldCase(std::string(text) + "B");
    CHECK(folded == FoldCase(text) + "b");
    CHECK(FoldCase(text).size() == text.size());
    CHECK(FoldsTo(text, FoldCase(text)));
  }
  CHECK_FALSE(FoldsTo("\xC1\x81", "a"));  // an A, written longer than it has to be
}

TEST_CASE("text folds to what its folding is, and to nothing else") {
  for (const std::string_view text : {"", "Oslo", "ÅNGSTRÖM", "a\u212A", "\u212A", "x\U00010400y", "ß"}) {
    const std::string folded = FoldCase(text);
    CHECK(FoldsTo(text, folded));
    CHECK(FoldsTo(folded, folded));
    CHECK_FALSE(FoldsTo(text, folded + "x"));
    CHECK_FALSE(FoldsTo(std::string(text) + "x", folded));
  }
  CHECK(FoldsTo("\u212A", "k"));
  CHECK_FALSE(FoldsTo("k", "\u212A"));  // which is not folded
  CHECK_FALSE(FoldsTo("Å", "a"));
  CHECK_FALSE(FoldsTo("ss", "ß"));
}
