// The hash of a string, or of a pair of strings. It hashes an absl::string_view: where Abseil was built for C++14, as
// Debian's was, absl::Hash of a std::string_view falls back to std::hash, which is slower (exp. 4).

#ifndef DECOUPLE_INTERNAL_BASE_STRING_HASH_H_
#define DECOUPLE_INTERNAL_BASE_STRING_HASH_H_

#include <cstddef>
#include <string_view>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"

namespace decouple::inline v0_1::internal {

inline std::size_t StringHash(std::string_view text) {
  return absl::Hash<absl::string_view>()(absl::string_view(text.data(), text.size()));
}

inline std::size_t StringHash(std::string_view first, std::string_view second) {
  const absl::string_view one(first.data(), first.size());
  const absl::string_view other(second.data(), second.size());
  return absl::Hash<std::pair<absl::string_view, absl::string_view>>()({one, other});
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_STRING_HASH_H_
