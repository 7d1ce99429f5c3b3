// What decides which shard a record goes to: a number of 128 bits, most often the hash of the record's partition key.
//
//   HashKeyOf("truck-7");                      // the MD5 of the text, as a number: the same shard as the service
//   ParseHashKey("170141183460469231731687303715884105728");
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

namespace decouple {

using HashKey = absl::uint128;

inline constexpr HashKey kLargestHashKey = absl::Uint128Max();

// From and to which hash key a shard reaches, both of them its own.
struct HashKeyRange {
  HashKey starting = 0;
  HashKey ending = kLargestHashKey;

  constexpr bool Contains(HashKey key) const { return starting <= key && key <= ending; }
  friend constexpr bool operator==(const HashKeyRange&, const HashKeyRange&) = default;
};

// How partition keys become hash keys. kMd5 as the service does; kFast is many times cheaper, and the same for the same
// key within one build of a program only.
enum class PartitionHash { kMd5, kFast };

inline HashKey HashKeyOf(std::string_view partition_key, PartitionHash hash = PartitionHash::kMd5) {
  return hash == PartitionHash::kMd5 ? internal::RecentMd5Of(partition_key) : internal::FastHashOf(partition_key);
}

// As the service writes it: decimal digits.
inline std::string ToString(HashKey key) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(key % 10)));
    key /= 10;
  } while (key != 0);
  return digits;
}

// kInvalidArgument: it is not one to 39 decimal digits of a number below 2^128, the first of them 0 only in "0".
inline absl::StatusOr<HashKey> ParseHashKey(std::string_view text) {
  HashKey key = 0;
  if (absl::SimpleAtoi({text.data(), text.size()}, &key) && ToString(key) == text) return key;
  return internal::MakeError(Error::kInvalidArgument,
                             absl::StrCat("hash key \"", std::string(text),
                                          "\"; allowed are decimal numbers from 0 to ", ToString(kLargestHashKey)));
}

}  // namespace decouple

#endif  // DECOUPLE_HASH_KEY_H_
