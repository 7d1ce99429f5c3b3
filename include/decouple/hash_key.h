// Hash keys: the 128-bit numbers that decide which shard a record goes to, usually hashes of partition keys.
//
//   HashKey key = HashKeyOf("truck-7");        // the MD5 of the text as a number: the same shard as with the service
//   auto parsed = ParseHashKey("170141183460469231731687303715884105728");
//
// All functions may be called from any thread.

#ifndef DECOUPLE_HASH_KEY_H_
#define DECOUPLE_HASH_KEY_H_

#include <string>
#include <string_view>

#include "absl/numeric/int128.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/stream/partition_hash.h"

namespace decouple::inline v0_1 {

using HashKey = absl::uint128;

inline constexpr HashKey kLargestHashKey = absl::Uint128Max();

// The hash keys of a shard, both ends included.
struct HashKeyRange {
  HashKey starting = 0;
  HashKey ending = kLargestHashKey;

  constexpr bool Contains(HashKey key) const { return starting <= key && key <= ending; }
  friend constexpr bool operator==(const HashKeyRange&, const HashKeyRange&) = default;
};

// How partition keys are hashed. kMd5 is what the service does. kFast is many times cheaper, but the hash of a key
// stays the same only within one build of a program.
enum class PartitionHash { kMd5, kFast };

inline HashKey HashKeyOf(std::string_view partition_key, PartitionHash hash = PartitionHash::kMd5) {
  return hash == PartitionHash::kMd5 ? internal::RecentHashes::Md5Of(partition_key)
                                     : internal::FastHashOf(partition_key);
}

// Decimal digits, as the service writes hash keys.
inline std::string ToString(HashKey key) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(key % 10)));
    key /= 10;
  } while (key != 0);
  return digits;
}

// kInvalidArgument: `text` is not a decimal number from 0 to 2^128 - 1 without leading zeros.
inline absl::StatusOr<HashKey> ParseHashKey(std::string_view text) {
  HashKey key = 0;
  if (absl::SimpleAtoi({text.data(), text.size()}, &key) && ToString(key) == text) return key;
  return internal::MakeError(Error::kInvalidArgument,
                             absl::StrCat("hash key \"", std::string(text),
                                          "\"; allowed are decimal numbers from 0 to ", ToString(kLargestHashKey)));
}

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_HASH_KEY_H_
