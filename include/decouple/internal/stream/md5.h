// MD5 (RFC 1321), by which partition keys are hashed.
//
// It is no matter of security here, but of giving a key to the same shard as the service does. It is our own, as
// libcrypto's may be missing (where only approved digests are allowed), costs more to set up than to run for a short
// key, and ends before the program does: a stream may be put into by a destructor that runs after main().

#ifndef DECOUPLE_INTERNAL_STREAM_MD5_H_
#define DECOUPLE_INTERNAL_STREAM_MD5_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "absl/numeric/int128.h"

namespace decouple::inline v0_1::internal {

// What each of the 64 steps adds: the first 32 bits of abs(sin(step + 1)).
inline constexpr std::array<std::uint32_t, 64> kMd5Sines = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

class Md5 {
 public:
  // The digest of `text` as a number, its first byte the most significant one.
  static absl::uint128 Of(std::string_view text) {
    State state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const std::uint64_t bits = std::uint64_t{text.size()} * 8;
    for (; text.size() >= kBlock; text.remove_prefix(kBlock)) AddBlock(state, text.data());
    std::array<char, 2 * kBlock> last{};  // the rest, a bit that is set, zeros, and the number of bits
    text.copy(last.data(), text.size());
    last[text.size()] = static_cast<char>(0x80);
    const std::size_t size = text.size() + 1 + sizeof(bits) <= kBlock ? kBlock : 2 * kBlock;
    for (std::size_t i = 0; i < sizeof(bits); ++i) last[size - sizeof(bits) + i] = static_cast<char>(bits >> 8 * i);
    AddBlock(state, last.data());
    if (size > kBlock) AddBlock(state, last.data() + kBlock);
    absl::uint128 number = 0;
    for (const std::uint32_t word : state) {
      for (int shift = 0; shift < 32; shift += 8) number = number << 8 | (word >> shift & 0xFF);
    }
    return number;
  }

 private:
  using State = std::array<std::uint32_t, 4>;
  static constexpr std::size_t kBlock = 64;

  static void AddBlock(State& state, const char* block) {
    std::array<std::uint32_t, 16> words;
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = LittleEndian(block + 4 * i);
    std::uint32_t a = state[0];
    std::uint32_t b = state[1];
    std::uint32_t c = state[2];
    std::uint32_t d = state[3];
    const auto step = [&](std::uint32_t mixed, std::size_t number, std::size_t word, int shift) {
      const std::uint32_t turned = std::rotl(a + mixed + kMd5Sines[number] + words[word % 16], shift);
      a = d;
      d = c;
      c = b;
      b += turned;
    };
    constexpr std::array<std::array<int, 4>, 4> kShifts = {
        {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}};
    for (std::size_t i = 0; i < 16; ++i) step((b & c) | (~b & d), i, i, kShifts[0][i % 4]);
    for (std::size_t i = 0; i < 16; ++i) step((d & b) | (~d & c), 16 + i, 5 * i + 1, kShifts[1][i % 4]);
    for (std::size_t i = 0; i < 16; ++i) step(b ^ c ^ d, 32 + i, 3 * i + 5, kShifts[2][i % 4]);
    for (std::size_t i = 0; i < 16; ++i) step(c ^ (b | ~d), 48 + i, 7 * i, kShifts[3][i % 4]);
    state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d};
  }

  static std::uint32_t LittleEndian(const char* bytes) {
    std::uint32_t word = 0;
    if constexpr (std::endian::native == std::endian::little) {
      std::memcpy(&word, bytes, sizeof(word));
    } else {
      for (int i = 3; i >= 0; --i) word = word << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return word;
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_MD5_H_
