#include "decouple/internal/base/sha256.h"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "catch.h"

namespace decouple::testing {
namespace {

using internal::Sha256;

std::string HexadecimalOf(const std::array<unsigned char, 32>& digest) {
  std::string text;
  for (const unsigned char byte : digest) {
    text.push_back("0123456789abcdef"[byte >> 4]);
    text.push_back("0123456789abcdef"[byte & 0xF]);
  }
  return text;
}

std::string Sha256Of(std::string_view text, bool is_portable) {
  Sha256 hash;
  if (is_portable) hash.UsePortable();
  hash.Add(text.data(), text.size());
  return HexadecimalOf(hash.Finish());
}

TEST_CASE("a SHA-256 is as in the examples of FIPS 180-4, by the processor's instructions and without them") {
  for (const bool is_portable : {false, true}) {
    CAPTURE(is_portable);
    CHECK(Sha256Of("", is_portable) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(Sha256Of("abc", is_portable) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(Sha256Of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", is_portable) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(Sha256Of(std::string(1'000'000, 'a'), is_portable) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

TEST_CASE("a SHA-256 of texts of all lengths around its blocks is what other libraries compute") {
  for (const bool is_portable : {false, true}) {
    Sha256 of_all;  // of the digests of the texts of 0 to 299 bytes
    for (std::size_t size = 0; size < 300; ++size) {
      std::string text;
      for (std::size_t i = 0; i < size; ++i) text.push_back(static_cast<char>(size * 7 + i * 13));
      Sha256 hash;
      if (is_portable) hash.UsePortable();
      hash.Add(text.data(), text.size());
      of_all.Add(hash.Finish().data(), 32);
    }
    CHECK(HexadecimalOf(of_all.Finish()) == "759ec0862b4074135650ecc6b52b8c31b3b62a5d62c043fed94c4c3da04f9eca");
  }
}

TEST_CASE("a SHA-256 is the same in however many parts its text is added") {
  const std::string text(200, 'x');
  for (std::size_t first = 0; first <= text.size(); ++first) {
    for (const std::size_t second : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}}) {
      if (first + second > text.size()) continue;
      Sha256 hash;
      hash.Add(text.data(), first);
      hash.Add(text.data() + first, second);
      hash.Add(text.data() + first + second, text.size() - first - second);
      if (HexadecimalOf(hash.Finish()) != Sha256Of(text, true)) FAIL(first << " and " << second);
    }
  }
}

}  // namespace
}  // namespace decouple::testing
