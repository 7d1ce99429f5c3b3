// What every message of a FIFO queue or FIFO topic must have: a group, and a deduplication id unless its content gives
// one.

#ifndef DECOUPLE_INTERNAL_FIFO_ORDERING_KEYS_H_
#define DECOUPLE_INTERNAL_FIFO_ORDERING_KEYS_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/queue/queue_config.h"

namespace decouple::inline v0_1::internal {

// How a service answers to a message that lacks a key.
struct OrderingKeyErrors {
  const char* what;  // "queue" or "topic"
  Error no_group;
  Error no_id;
};

inline constexpr OrderingKeyErrors kOrderingKeysOfQueue = {
    .what = "queue", .no_group = Error::kMissingParameter, .no_id = Error::kInvalidParameterValue};
inline constexpr OrderingKeyErrors kOrderingKeysOfTopic = {
    .what = "topic", .no_group = Error::kInvalidParameter, .no_id = Error::kInvalidParameter};

// Whether a message has its keys. An empty text is none, but an error of its own (kInvalidParameterValue), as it was
// given on purpose. Options: SendOptions or PublishOptions.
template <typename Options>
absl::Status CheckOrderingKeys(const Options& options, bool needs_id, const OrderingKeyErrors& errors) {
  if (!options.group) [[unlikely]] {
    return MakeError(errors.no_group,
                     absl::StrCat("a message without a group; in a FIFO ", errors.what, " each must have one"));
  }
  if (!options.deduplication_id && needs_id) [[unlikely]] {
    return MakeError(errors.no_id,
                     "a message without a deduplication id; it must have one unless content-based deduplication is on");
  }
  if (options.group->empty()) [[unlikely]]
    return CheckToken("message group", *options.group);
  if (options.deduplication_id && options.deduplication_id->empty()) [[unlikely]]
    return CheckToken("message deduplication id", *options.deduplication_id);
  return absl::OkStatus();
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_ORDERING_KEYS_H_
