// A shard: the part of a stream's records whose hash keys lie in its range, in the order in which they were put.
//
//   for (const decouple::Shard& shard : stream.Shards()) Start(shard.id);
//
// Resharding closes shards, which stay readable, and opens child shards that continue them: a key's records are first
// in the parent, then in the child. Plain values.

#ifndef DECOUPLE_SHARD_H_
#define DECOUPLE_SHARD_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/hash_key.h"
#include "decouple/message.h"

namespace decouple::inline v0_1 {

// A shard's number: counts from 0 in the order in which a stream's shards are opened.
class ShardId {
 public:
  constexpr ShardId() = default;
  constexpr explicit ShardId(std::uint64_t number) : number_(number) {}

  // "shardId-000000000042"
  std::string ToString() const { return absl::StrCat(kPrefix, absl::Dec(number_, absl::kZeroPad12)); }

  // kInvalidArgument: `text` is not what ToString() returned.
  static absl::StatusOr<ShardId> Parse(std::string_view text) {
    std::uint64_t number = 0;
    if (text.starts_with(kPrefix)) {
      const std::string_view digits = text.substr(std::string_view(kPrefix).size());
      if (absl::SimpleAtoi({digits.data(), digits.size()}, &number) && ShardId(number).ToString() == text) {
        return ShardId(number);
      }
    }
    return internal::MakeError(Error::kInvalidArgument,
                               "shard id \"" + std::string(text) + "\"; they read like \"shardId-000000000042\"");
  }

  constexpr std::uint64_t number() const { return number_; }

  friend constexpr auto operator<=>(const ShardId&, const ShardId&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const ShardId& id) {
    return H::combine(std::move(state), id.number_);
  }

 private:
  static constexpr char kPrefix[] = "shardId-";

  std::uint64_t number_ = 0;
};

struct Shard {
  ShardId id;
  // None, one shard that was split, or two that were merged. They may have gone since, with all their records.
  std::vector<ShardId> parents = {};
  HashKeyRange hash_key_range = {};
  // Less than the number of each of the shard's records, and greater than those of its parents'. A read at it or after
  // it begins with the first record, also while there is none.
  SequenceNumber starting_sequence_number = SequenceNumber();
  // Set when the shard is closed: the number of its last record, or the starting number if it never had any.
  std::optional<SequenceNumber> ending_sequence_number = std::nullopt;

  bool is_open() const { return !ending_sequence_number.has_value(); }

  friend bool operator==(const Shard&, const Shard&) = default;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_SHARD_H_
