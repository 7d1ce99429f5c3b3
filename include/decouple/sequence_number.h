// The position of a message in a FIFO queue, of a publication in a FIFO topic, or of a record in a shard.
//
//   const decouple::SequenceNumber last = clicks.Put("user-1", Click{"/"})->sequence_number;
//   file << last.ToString();
//   …
//   const auto kept = decouple::SequenceNumber::Parse(text).value();
//   auto iterator = clicks.Iterate(shard, decouple::AfterSequenceNumber{kept});
//
// Numbers grow strictly within a queue or topic, and within a shard and its children. The number of a record, and its
// text, also say which stream and shard gave it. A shard refuses the numbers of others: so one that was kept for longer
// than its stream lived never names a place in the next stream. Plain values.

#ifndef DECOUPLE_SEQUENCE_NUMBER_H_
#define DECOUPLE_SEQUENCE_NUMBER_H_

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"

namespace decouple::inline v0_1 {

class SequenceNumber {
 public:
  // Less than every number that is given.
  constexpr SequenceNumber() = default;
  // A number of a queue or topic. No shard accepts it.
  constexpr explicit SequenceNumber(std::uint64_t value) : value_(value) {}

  // Decimal digits: 20 for a queue's or topic's number, 56 for a record's, as long as the service's. Texts of one
  // queue, or of one shard and its children, sort as the numbers do. A record's has 49, then value() in 20 digits,
  // stream_incarnation() in 22 and shard_number() in 12.
  std::string ToString() const {
    if (origin_ == 0) return absl::StrCat(absl::Dec(value_, absl::kZeroPad20));
    return absl::StrCat(kRecordPrefix, absl::Dec(value_, absl::kZeroPad20), "00",
                        absl::Dec(stream_incarnation(), absl::kZeroPad20), absl::Dec(shard_number(), absl::kZeroPad12));
  }

  // kInvalidArgument: `text` is not what ToString() returned.
  static absl::StatusOr<SequenceNumber> Parse(std::string_view text) {
    SequenceNumber number;
    if (std::all_of(text.begin(), text.end(), [](char c) { return '0' <= c && c <= '9'; })) {
      if (text.size() == kValueDigits) {
        ReadDigits(text, number.value_);
      } else if (text.size() == kRecordDigits) {
        std::uint64_t incarnation = 0;
        std::uint64_t shard = 0;
        ReadDigits(text.substr(kPrefixDigits, kValueDigits), number.value_);
        ReadDigits(text.substr(kPrefixDigits + kValueDigits, kIncarnationDigits), incarnation);
        ReadDigits(text.substr(kPrefixDigits + kValueDigits + kIncarnationDigits), shard);
        if (incarnation != 0) number.origin_ = incarnation << kShardBits | shard;
      }
    }
    if (number.ToString() == text) return number;  // so no part was larger than it can be
    return internal::MakeError(
        Error::kInvalidArgument,
        absl::StrCat("sequence number \"", std::string(text),
                     "\"; allowed is what SequenceNumber::ToString() gives, 20 digits for a queue's and 56 for a "
                     "record's"));
  }

  // The position alone: it orders the numbers of one queue, or of one shard and its children.
  constexpr std::uint64_t value() const { return value_; }

  // Which stream gave the number: the incarnation() of the Stream. 0: it is not a record's.
  constexpr std::uint64_t stream_incarnation() const { return origin_ >> kShardBits; }
  // Which of the stream's shards gave it: the number() of the ShardId. 0 if it is not a record's.
  constexpr std::uint64_t shard_number() const { return origin_ & kShardMask; }

  // By value(). Numbers of different queues, streams or branches of shards are ordered, too, but that means nothing.
  friend constexpr auto operator<=>(const SequenceNumber&, const SequenceNumber&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const SequenceNumber& number) {
    return H::combine(std::move(state), number.value_, number.origin_);
  }

 private:
  friend struct internal::Access;

  static constexpr char kRecordPrefix[] = "49";
  static constexpr std::size_t kPrefixDigits = 2;
  static constexpr std::size_t kValueDigits = 20;
  static constexpr std::size_t kIncarnationDigits = 22;
  static constexpr std::size_t kRecordDigits = 56;
  // Incarnation and shard share a word, so that a number fits into two registers. 40 bits of the incarnation tell a
  // stream from those whose numbers somebody may have kept. After 16 million shards their bits repeat.
  static constexpr int kShardBits = 24;
  static constexpr std::uint64_t kShardMask = (std::uint64_t{1} << kShardBits) - 1;

  // A record's number.
  constexpr SequenceNumber(std::uint64_t value, std::uint64_t origin) : value_(value), origin_(origin) {}

  static constexpr std::uint64_t OriginOf(std::uint64_t stream_incarnation, std::uint64_t shard_number) {
    return stream_incarnation << kShardBits | (shard_number & kShardMask);
  }

  // Leaves `number` at 0 if it has no room for the digits.
  static void ReadDigits(std::string_view digits, std::uint64_t& number) {
    if (!absl::SimpleAtoi({digits.data(), digits.size()}, &number)) number = 0;
  }

  std::uint64_t value_ = 0;
  std::uint64_t origin_ = 0;  // the stream and the shard; 0: no record's number
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_SEQUENCE_NUMBER_H_
