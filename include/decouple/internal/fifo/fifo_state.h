// The state that a FIFO queue has beyond that of every queue: the deduplication ids that it has seen, the receive
// attempts that can be repeated, its quota of calls, and the attributes that only FIFO queues have.

#ifndef DECOUPLE_INTERNAL_FIFO_FIFO_STATE_H_
#define DECOUPLE_INTERNAL_FIFO_FIFO_STATE_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "decouple/content_hash.h"
#include "decouple/error.h"
#include "decouple/internal/base/range_checks.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/base/token_bucket.h"
#include "decouple/internal/fifo/deduplication.h"
#include "decouple/internal/fifo/delay_change.h"
#include "decouple/internal/fifo/receive_attempts.h"
#include "decouple/internal/queue/call_quota.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

// Computes a deduplication id from a body (content_hash.h). Null: bodies of the type have no known content.
using ContentHasher = std::string (*)(const void* body);

template <typename T>
constexpr ContentHasher ContentHasherOf() {
  if constexpr (HasContent<T>) {
    return [](const void* body) { return ContentHashOf(*static_cast<const T*>(body)); };
  } else {
    return nullptr;
  }
}
template <typename T>
inline constexpr ContentHasher kContentHasher = ContentHasherOf<T>();

class FifoState {
 public:
  FifoState(QueueState& the_queue, ContentHasher hasher)
      : queue(the_queue), content_hasher(hasher), attempts(the_queue) {}

  QueueState& queue;
  const ContentHasher content_hasher;
  std::atomic<bool> is_content_based{false};  // whether the content gives an id to what has none
  Deduplication deduplication;
  ReceiveAttempts attempts;
  CallQuota quota;

  absl::Status BeginReceive(const ReceiveOptions&, std::int64_t now) {
    absl::Status status = quota.TakeReceive([now] { return now; });
    if (status.ok()) deduplication.DropSome(now);
    return status;
  }
  // For a receive with an attempt id: whether that was used before, and the receive has its messages again.
  bool RepeatAttempt(const ReceiveOptions& options, std::int64_t now, std::int64_t timeout,
                     ReceivedMessages& received) {
    return attempts.Repeat(queue.store.local(), *options.attempt_id, now, SaturatingAdd(now, timeout), received);
  }
  void RememberAttempt(const ReceiveOptions& options, const ReceivedMessages& received) {
    if (!received.empty()) attempts.Remember(*options.attempt_id, queue.store.Now(), received);
  }
  absl::Status TakeDelete() {
    return quota.TakeDelete([this] { return queue.store.Now(); });
  }

  // As those of StandardState.
  absl::Status CheckOwnAttributes(const QueueAttributes& attributes) const {
    return CheckOwn(attributes, content_hasher != nullptr, deduplication.scope(), quota.counted());
  }
  static absl::Status CheckOwnOfNew(const QueueAttributes& attributes, bool has_content) {
    return CheckOwn(attributes, has_content, DeduplicationScope::kQueue, FifoThroughputLimit::kPerQueue);
  }
  // Requires: the caller holds the mutex of SetAttributes().
  void ApplyOwnAttributes(const QueueAttributes& attributes) {
    if (queue.config.delay() != applied_delay_) {
      applied_delay_ = queue.config.delay();
      DelayChange(queue.store).Apply(applied_delay_, queue.store.Now());
    }
    // Relaxed: in force for calls that begin later.
    if (attributes.content_based_deduplication) {
      is_content_based.store(*attributes.content_based_deduplication, std::memory_order_relaxed);
    }
    if (attributes.deduplication_scope) deduplication.SetScope(*attributes.deduplication_scope, queue.store.Now());
    if (attributes.fifo_throughput_limit) quota.Set(*attributes.fifo_throughput_limit);
    if (attributes.max_calls_per_second) quota.Set(*attributes.max_calls_per_second);
  }
  void ReadOwnAttributes(QueueAttributes& attributes) const {
    attributes.content_based_deduplication = is_content_based.load(std::memory_order_relaxed);
    attributes.deduplication_scope = deduplication.scope();
    attributes.fifo_throughput_limit = quota.counted();
    attributes.max_calls_per_second = quota.calls_per_second();
  }

  void ForgetSends() { deduplication.Clear(); }

 private:
  // `scope` and `counted` stand for what is not given.
  static absl::Status CheckOwn(const QueueAttributes& attributes, bool has_content, DeduplicationScope scope,
                               FifoThroughputLimit counted) {
    constexpr auto kError = Error::kInvalidAttributeValue;
    if (attributes.content_based_deduplication.value_or(false) && !has_content) {
      return MakeError(kError,
                       "content-based deduplication of bodies without a content; strings and spans of bytes have one, "
                       "and types with a DecoupleHashContent() of their own");
    }
    if (attributes.max_calls_per_second) {
      const std::int64_t calls = *attributes.max_calls_per_second;
      absl::Status status =
          CheckNumber(kError, "maximum of calls per second", calls, std::int64_t{0}, TokenBucket::kSecond);
      if (!status.ok()) return status;
    }
    scope = attributes.deduplication_scope.value_or(scope);
    counted = attributes.fifo_throughput_limit.value_or(counted);
    if (counted == FifoThroughputLimit::kPerMessageGroupId && scope != DeduplicationScope::kMessageGroup) {
      return MakeError(kError,
                       "a throughput limit per message group with deduplication in the whole queue; it is allowed only "
                       "where the deduplication scope is the message group");
    }
    return absl::OkStatus();
  }

  std::int64_t applied_delay_ = 0;  // guarded by the mutex of SetAttributes()
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_FIFO_STATE_H_
