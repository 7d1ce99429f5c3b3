// How the text of a partition key becomes a number of 128 bits.
//
// An MD5 takes some 150 ns, more than all the rest of a put, and the same keys come again and again. So each thread
// remembers those that it hashed lately: a put of a key that is among them takes a tenth of that.

#ifndef DECOUPLE_INTERNAL_STREAM_PARTITION_HASH_H_
#define DECOUPLE_INTERNAL_STREAM_PARTITION_HASH_H_

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/numeric/int128.h"
#include "decouple/internal/base/mix.h"
#include "decouple/internal/base/string_hash.h"
#include "decouple/message.h"

namespace decouple::internal {

// The number whose bytes the digest is, the first of them the highest (Kinesis).
inline absl::uint128 Md5Of(std::string_view text) {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  // Both looked up or made once, which is what costs most of a short hash.
  static const EVP_MD* const md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  std::array<unsigned char, 16> digest{};
  // It fails for want of memory only, or where OpenSSL was configured without MD5.
  if (EVP_DigestInit_ex(context.get(), md5, nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), text.data(), text.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    std::abort();
  }
  absl::uint128 number = 0;
  for (const unsigned char byte : digest) number = number << 8 | byte;
  return number;
}

// The same, from memory if this thread has hashed `text` lately. A thousand keys in turn are all remembered.
inline absl::uint128 RecentMd5Of(std::string_view text) {
  struct Recent {
    std::string text;
    absl::uint128 md5;
  };
  struct Set {  // of texts with equal hashes, the oldest of which makes room
    std::array<Recent, 4> all;
    std::size_t oldest = 0;
  };
  constexpr std::size_t kSets = 1'024;
  // Made at a thread's first use: a quarter of a megabyte is too much for threads that never put.
  thread_local const auto sets = std::make_unique<std::array<Set, kSets>>();
  Set& set = (*sets)[StringHash(text) % kSets];
  for (const Recent& recent : set.all) {
    if (recent.text == text && !text.empty()) [[likely]]
      return recent.md5;
  }
  Recent& oldest = set.all[set.oldest++ % set.all.size()];
  oldest.text.assign(text);
  oldest.md5 = Md5Of(text);
  return oldest.md5;
}

inline absl::uint128 FastHashOf(std::string_view text) {
  const std::uint64_t hash = std::hash<std::string_view>()(text);
  return absl::MakeUint128(Mix(hash), hash);
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_STREAM_PARTITION_HASH_H_
