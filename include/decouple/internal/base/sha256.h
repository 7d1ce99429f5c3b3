// SHA-256 (FIPS 180-4), by which contents of bodies are compared.
//
// It is our own, as libcrypto ends before the program does: a FIFO queue may be sent to by a destructor that runs after
// main(). Where the processor has instructions for it, they are used, and it is as fast as libcrypto's.

#ifndef DECOUPLE_INTERNAL_BASE_SHA256_H_
#define DECOUPLE_INTERNAL_BASE_SHA256_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "decouple/internal/base/assert.h"

namespace decouple::inline v0_1::internal {

// What each of the 64 rounds adds: the first 32 bits of the fraction of the cube root of a prime number.
alignas(16) inline constexpr std::array<std::uint32_t, 64> kSha256Roots = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

class Sha256 {
 public:
  void Add(const void* bytes, std::size_t size) {
    const auto* from = static_cast<const unsigned char*>(bytes);
    size_ += size;
    if (pending_size_ > 0) {
      const std::size_t taken = std::min(size, kBlock - pending_size_);
      if (taken > 0) std::memcpy(pending_.data() + pending_size_, from, taken);
      pending_size_ += taken;
      from += taken;
      size -= taken;
      if (pending_size_ < kBlock) return;
      AddBlocks(pending_.data(), 1);
      pending_size_ = 0;
    }
    AddBlocks(from, size / kBlock);
    pending_size_ = size % kBlock;
    if (pending_size_ > 0) std::memcpy(pending_.data(), from + size - pending_size_, pending_size_);
  }

  // The digest of all that was added. Nothing may be added afterwards.
  std::array<unsigned char, 32> Finish() {
    const std::uint64_t bits = size_ * 8;
    std::array<unsigned char, 2 * kBlock> last{};  // the rest, a bit that is set, zeros, and the number of bits
    std::copy_n(pending_.begin(), pending_size_, last.begin());
    last[pending_size_] = 0x80;
    const std::size_t size = pending_size_ + 1 + sizeof(bits) <= kBlock ? kBlock : 2 * kBlock;
    for (std::size_t i = 0; i < sizeof(bits); ++i) last[size - 1 - i] = static_cast<unsigned char>(bits >> 8 * i);
    AddBlocks(last.data(), size / kBlock);
    std::array<unsigned char, 32> digest{};
    for (std::size_t i = 0; i < digest.size(); ++i) {
      digest[i] = static_cast<unsigned char>(state_[i / 4] >> (24 - 8 * (i % 4)));
    }
    return digest;
  }

  // Has it computed without the processor's instructions, for tests.
  void UsePortable() { has_instructions_ = false; }

 private:
  using State = std::array<std::uint32_t, 8>;
  static constexpr std::size_t kBlock = 64;

  static std::uint32_t BigEndian(const unsigned char* bytes) {
    if constexpr (std::endian::native == std::endian::little) {
      std::uint32_t word = 0;
      std::memcpy(&word, bytes, sizeof(word));
      return __builtin_bswap32(word);
    } else {
      std::uint32_t word = 0;
      for (int i = 0; i < 4; ++i) word = word << 8 | bytes[i];
      return word;
    }
  }

  void AddBlocks(const unsigned char* blocks, std::size_t count) {
#if defined(__x86_64__)
    if (has_instructions_) return AddByInstructions(state_, blocks, count);
#endif
    for (; count > 0; --count, blocks += kBlock) AddPortably(state_, blocks);
  }

  static void AddPortably(State& state, const unsigned char* block) {
    std::array<std::uint32_t, 64> words;
    for (std::size_t i = 0; i < 16; ++i) words[i] = BigEndian(block + 4 * i);
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t a = words[i - 15];
      const std::uint32_t b = words[i - 2];
      words[i] = words[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + words[i - 7] +
                 (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t first = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) +
                                  kSha256Roots[i] + words[i];
      const std::uint32_t second =
          (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g;
      g = f;
      f = e;
      e = d + first;
      d = c;
      c = b;
      b = a;
      a = first + second;
    }
    state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d,
             state[4] + e, state[5] + f, state[6] + g, state[7] + h};
  }

#if defined(__x86_64__)
  // Whether the processor has SHA-NI.
  static bool HasInstructions() {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
  }

  // The compiler's own vectors: <immintrin.h> would be 40 000 lines in every file that includes a FIFO queue.
  using Words [[gnu::vector_size(16)]] = int;

  // Four rounds in each step of the loop. The instructions want the state as the words
  // f e b a and h g d c, and give the schedule of the words of later rounds in two parts.
  __attribute__((target("sha,sse4.1"))) static void AddByInstructions(State& state, const unsigned char* blocks,
                                                                      std::size_t count) {
    const auto word = [&](int i) __attribute__((target("sha,sse4.1"))) {
      return static_cast<int>(state[static_cast<std::size_t>(i)]);
    };
    Words abef = {word(5), word(4), word(1), word(0)};
    Words cdgh = {word(7), word(6), word(3), word(2)};
    for (; count > 0; --count, blocks += kBlock) {
      const Words abef_before = abef;
      const Words cdgh_before = cdgh;
      Words words[4];  // those of the next sixteen rounds
      std::uint32_t loaded[16];
      for (std::size_t i = 0; i < 16; ++i) loaded[i] = BigEndian(blocks + 4 * i);
      std::memcpy(words, loaded, sizeof(words));
#pragma GCC unroll 16  // so that `words` are in registers
      for (std::size_t i = 0; i < 16; ++i) {
        Words& four = words[i % 4];
        Words roots;
        std::memcpy(&roots, &kSha256Roots[4 * i], sizeof(roots));
        const Words added = four + roots;
        cdgh = __builtin_ia32_sha256rnds2(cdgh, abef, added);
        abef = __builtin_ia32_sha256rnds2(abef, cdgh, __builtin_shufflevector(added, added, 2, 3, 0, 0));
        const Words last = words[(i + 3) % 4];
        const Words seventh = __builtin_shufflevector(words[(i + 2) % 4], last, 1, 2, 3, 4);
        four = __builtin_ia32_sha256msg2(__builtin_ia32_sha256msg1(four, words[(i + 1) % 4]) + seventh, last);
      }
      abef += abef_before;
      cdgh += cdgh_before;
    }
    const int after[8] = {abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0]};
    static_assert(sizeof(after) == sizeof(State));
    std::memcpy(state.data(), after, sizeof(after));
  }

  static bool HasInstructionsOnce() {
    static const bool has = HasInstructions();
    return has;
  }
  bool has_instructions_ = HasInstructionsOnce();
#else
  bool has_instructions_ = false;
#endif

  State state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, kBlock> pending_;  // the first pending_size_ bytes of a block
  std::size_t pending_size_ = 0;
  std::uint64_t size_ = 0;  // of all that was added
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_SHA256_H_
