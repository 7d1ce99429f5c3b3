// What every message of a FIFO queue or FIFO topic must have: a group, and a deduplication id unless its content gives
// one.
//
// A batch in which an entry lacks one of them fails as a whole (SQS, SNS). If the other entries went, the order of a
// group would have a hole that its sender could not close any more.

#ifndef DECOUPLE_INTERNAL_FIFO_ORDERING_KEYS_H_
#define DECOUPLE_INTERNAL_FIFO_ORDERING_KEYS_H_

#include <span>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/batch.h"
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

// Whether a message has its keys; what they may be is checked by CheckToken(). Options: SendOptions or PublishOptions.
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
  return absl::OkStatus();
}

// The error that fails a batch as a whole, if one of its entries lacks a key. An empty text is as good as none, but, as
// it was given on purpose, an error of its own.
template <typename Entry>
absl::Status CheckOrderingKeysOfBatch(std::span<Entry> entries, bool needs_ids, const OrderingKeyErrors& errors) {
  for (const Entry& entry : entries) {
    absl::Status status = CheckOrderingKeys(entry.options, needs_ids, errors);
    if (status.ok() && entry.options.group->empty()) status = CheckToken("message group", {});
    if (status.ok() && entry.options.deduplication_id && entry.options.deduplication_id->empty()) {
      status = CheckToken("message deduplication id", {});
    }
    if (status.ok()) [[likely]]
      continue;
    return AtBatchEntry(status, entry.id);
  }
  return absl::OkStatus();
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_ORDERING_KEYS_H_
