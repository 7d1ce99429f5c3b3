#include "decouple/internal/base/digest.h"

#include <cstddef>
#include <string>
#include <string_view>

#include "catch.h"

namespace decouple::testing {
namespace {

std::string HexadecimalOf(const auto& digest) {
  std::string text;
  for (const unsigned char byte : digest) {
    text.push_back("0123456789abcdef"[byte >> 4]);
    text.push_back("0123456789abcdef"[byte & 0xF]);
  }
  return text;
}

std::string Sha256Of(std::string_view text) {
  internal::Sha256 hash;
  hash.Add(text.data(), text.size());
  return HexadecimalOf(hash.Finish());
}

TEST_CASE("an MD5 is as in the test suite of RFC 1321") {
  CHECK(HexadecimalOf(internal::Md5Of("")) == "d41d8cd98f00b204e9800998ecf8427e");
  CHECK(HexadecimalOf(internal::Md5Of("abc")) == "900150983cd24fb0d6963f7d28e17f72");
}

TEST_CASE("a SHA-256 is as in the examples of FIPS 180-4") {
  CHECK(Sha256Of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(Sha256Of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a SHA-256 is the same in however many parts its text is added") {
  const std::string text(200, 'x');
  for (std::size_t first = 0; first <= text.size(); ++first) {
    internal::Sha256 hash;
    hash.Add(text.data(), first);
    hash.Add(text.data() + first, text.size() - first);
    if (HexadecimalOf(hash.Finish()) != Sha256Of(text)) FAIL(first);
  }
}

}  // namespace
}  // namespace decouple::testing
