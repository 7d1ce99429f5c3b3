// Hashes a partition key to a number of 128 bits.
//
// An MD5 takes longer than all the rest of a put, and the same keys come again and again. So each thread keeps a cache
// of the keys that it hashed recently (exp. 29).

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

namespace decouple::inline v0_1::internal {

// The MD5 digest as a number, its first byte the most significant one (Kinesis).
inline absl::uint128 Md5Of(std::string_view text) {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  // The algorithm is fetched once and the context made once a thread: that costs most of a short hash.
  static const EVP_MD* const md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  std::array<unsigned char, 16> digest{};
  // Fails only when memory is exhausted, or where OpenSSL was configured without MD5.
  if (EVP_DigestInit_ex(context.get(), md5, nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), text.data(), text.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    std::abort();
  }
  absl::uint128 number = 0;
  for (const unsigned char byte : digest) number = number << 8 | byte;
  return number;
}

// Same as Md5Of(), from this thread's cache if it has hashed `text` recently. The cache has 1 024 sets of four keys, so
// it has nearly all of a thousand keys that come in turn.
inline absl::uint128 RecentMd5Of(std::string_view text) {
  struct Recent {
    std::string text;
    absl::uint128 md5;
  };
  struct Set {  // keys whose StringHash() is equal modulo kSets; the oldest is replaced
    std::array<Recent, 4> all;
    std::size_t oldest = 0;
  };
  constexpr std::size_t kSets = 1'024;
  // Allocated at a thread's first use: a quarter of a megabyte is too much for threads that never put.
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

// A cheap hash. Equal keys have equal hashes within one build of a program only.
inline absl::uint128 FastHashOf(std::string_view text) {
  const std::uint64_t hash = std::hash<std::string_view>()(text);
  return absl::MakeUint128(Mix(hash), hash);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_PARTITION_HASH_H_
