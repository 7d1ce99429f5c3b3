// Batches: up to ten entries in one call, each with its own result.
//
//   auto results = queue.SendBatch({{"a", Order{1}}, {"b", Order{2}, {.delay = absl::Seconds(5)}}});
//   if (!results.ok()) …                                   // the batch failed as a whole
//   for (const auto& result : *results) {                  // one result per entry, in order
//     if (!result.ok()) Log(result.id(), result.status());
//   }
//
//   std::vector<SendBatchEntry<Order>> entries = …;        // any span of entries will do
//   auto others = queue.SendBatch(entries);
//
//   std::array orders = {Order{1}, Order{2}};              // a standard queue also takes bodies without ids, options
//   if (auto sent = queue.SendBatch(orders); !sent.ok() || !sent->all_ok()) …
//
//   auto received = queue.Receive({.max_messages = 10});
//   received->Delete().IgnoreError();               // all of them at once
//
// An entry's id serves the caller only: 1 … 80 letters, digits, hyphens and underscores, distinct within a batch. A
// batch that fails as a whole (kEmptyBatchRequest, kTooManyEntriesInBatchRequest, kInvalidBatchEntryId,
// kBatchEntryIdsNotDistinct, kBatchRequestTooLong, kQueueDoesNotExist) has no effect. Limits::Unlimited() lifts the
// ten. Up to ten results whose ids have up to 15 characters take no memory from the heap.

#ifndef DECOUPLE_BATCH_H_
#define DECOUPLE_BATCH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/limits.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1 {

struct SendResult {
  MessageId message_id;
  // Set by FIFO queues only. After a duplicate send, this and the id are those of the first send.
  std::optional<SequenceNumber> sequence_number = std::nullopt;
};

template <typename T>
struct SendBatchEntry {
  std::string id;
  T body;
  SendOptions options = {};
};

struct DeleteBatchEntry {
  std::string id;
  ReceiptHandle receipt;
};

struct ChangeVisibilityBatchEntry {
  std::string id;
  ReceiptHandle receipt;
  absl::Duration visibility_timeout;
};

template <typename Result>
using BatchResults = absl::InlinedVector<Result, 10>;

// What became of one entry of a batch, with the entry's id. Outcome is what a call for this entry alone returns: an
// absl::Status, or an absl::StatusOr. A plain value.
template <typename Outcome>
class BatchResult {
 public:
  BatchResult(std::string id, Outcome outcome) : id_(std::move(id)), outcome_(std::move(outcome)) {}

  const std::string& id() const { return id_; }
  const Outcome& outcome() const { return outcome_; }
  operator const Outcome&() const { return outcome_; }  // NOLINT(google-explicit-constructor): a status is read as one

  bool ok() const { return outcome_.ok(); }
  const absl::Status& status() const {
    if constexpr (std::is_same_v<Outcome, absl::Status>) {
      return outcome_;
    } else {
      return outcome_.status();
    }
  }

  // As those of an absl::StatusOr, if the outcome is one. Require ok().
  const auto& value() const requires(!std::is_same_v<Outcome, absl::Status>) { return outcome_.value(); }
  const auto& operator*() const requires(!std::is_same_v<Outcome, absl::Status>) { return outcome_.value(); }
  const auto* operator->() const requires(!std::is_same_v<Outcome, absl::Status>) {
    return std::addressof(outcome_.value());
  }

 private:
  std::string id_;
  Outcome outcome_;
};

using SendBatchResults = BatchResults<BatchResult<absl::StatusOr<SendResult>>>;
using StatusBatchResults = BatchResults<BatchResult<absl::Status>>;

namespace internal {

// The same without the entries' ids, which the core of a queue does not look at.
using SendOutcomes = BatchResults<absl::StatusOr<SendResult>>;
using StatusOutcomes = BatchResults<absl::Status>;

// The outcomes of a batch, or the error that failed it, each with the id of its entry.
template <typename Outcome, typename Entry>
absl::StatusOr<BatchResults<BatchResult<Outcome>>> WithIds(std::span<Entry> entries,
                                                           absl::StatusOr<BatchResults<Outcome>> outcomes) {
  if (!outcomes.ok()) return std::move(outcomes).status();
  BatchResults<BatchResult<Outcome>> results;
  results.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    results.emplace_back(entries[i].id, std::move((*outcomes)[i]));
  }
  return results;
}

}  // namespace internal

// The results of a batch of bodies, in order. When all of them were sent, which is the usual case, all_ok() is one test
// and no result takes memory.
class SentBatch {
 public:
  std::size_t size() const { return size_; }
  bool all_ok() const {
    return std::all_of(results_.begin(), results_.end(), [](const auto& result) { return result.ok(); });
  }
  // The result of the body at `i`, which must be less than size().
  absl::StatusOr<SendResult> operator[](std::size_t i) const {
    if (!results_.empty()) return results_[i];
    return SendResult{MessageId(queue_, first_ + i)};
  }

 private:
  friend struct internal::Access;

  // For a batch whose bodies were all sent, with consecutive message numbers.
  SentBatch(std::uint64_t queue, std::uint64_t first, std::size_t size) : queue_(queue), first_(first), size_(size) {}
  explicit SentBatch(internal::SendOutcomes results)
      : size_(results.size()), results_(results.begin(), results.end()) {}

  std::uint64_t queue_ = 0;
  std::uint64_t first_ = 0;
  std::size_t size_ = 0;
  std::vector<absl::StatusOr<SendResult>> results_;  // empty: all bodies were sent
};

namespace internal {

inline constexpr std::size_t kMaxBatchEntryIdLength = 80;  // SQS

inline bool IsBatchEntryId(const std::string& id) {
  return !id.empty() && id.size() <= kMaxBatchEntryIdLength && std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

inline absl::Status CheckBatchSize(std::size_t entries, const Limits& limits) {
  if (entries == 0) [[unlikely]] {
    return MakeError(Error::kEmptyBatchRequest,
                     absl::StrCat("a batch without entries; allowed are 1 to ", limits.max_batch_entries));
  }
  if (entries > limits.max_batch_entries) [[unlikely]] {
    return MakeError(Error::kTooManyEntriesInBatchRequest,
                     absl::StrCat("a batch of ", entries, " entries; allowed are 1 to ", limits.max_batch_entries));
  }
  return absl::OkStatus();
}

inline absl::Status CheckBatchBytes(std::size_t bytes, const Limits& limits) {
  if (bytes <= limits.max_batch_bytes) return absl::OkStatus();
  return MakeError(Error::kBatchRequestTooLong,
                   absl::StrCat("a batch of ", bytes, " bytes; allowed are at most ", limits.max_batch_bytes));
}

// Checks what fails a batch as a whole, except its size in bytes.
template <typename Entry>
absl::Status CheckBatch(std::span<Entry> entries, const Limits& limits) {
  if (absl::Status status = CheckBatchSize(entries.size(), limits); !status.ok()) return status;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!IsBatchEntryId(entries[i].id)) {
      return MakeError(Error::kInvalidBatchEntryId,
                       absl::StrCat("batch entry id \"", entries[i].id,
                                    "\"; allowed are 1 to 80 letters, digits, hyphens and underscores"));
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (entries[i].id == entries[j].id) {
        return MakeError(Error::kBatchEntryIdsNotDistinct,
                         absl::StrCat("batch entry id \"", entries[i].id, "\" is given twice; ids must differ"));
      }
    }
  }
  return absl::OkStatus();
}

// The error of a batch that fails as a whole because of one entry, which it names.
inline absl::Status AtBatchEntry(const absl::Status& error, const std::string& id) {
  return MakeError(
      ErrorOf(error).value_or(Error::kInvalidParameter),
      absl::StrCat("batch entry \"", id, "\": ", std::string(error.message()), ". Nothing of the batch was sent"));
}

}  // namespace internal

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_BATCH_H_
