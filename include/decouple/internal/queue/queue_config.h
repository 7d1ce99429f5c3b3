// A queue's attributes: which values they may have, and those that calls read, as numbers, without a lock.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_CONFIG_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_CONFIG_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/range_checks.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/limits.h"
#include "decouple/message_attributes.h"
#include "decouple/queue_options.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1::internal {

// The duration that a setting in nanoseconds stands for.
inline absl::Duration DurationOf(std::int64_t nanos) {
  return nanos == kForever ? absl::InfiniteDuration() : absl::Nanoseconds(nanos);
}

inline absl::Status CheckCapacity(const Capacity& capacity) {
  constexpr auto kError = Error::kInvalidAttributeValue;
  const auto least = std::int64_t{1};
  if (auto status = CheckNumber(kError, "capacity in messages", capacity.messages, least, Capacity::kUnbounded);
      !status.ok()) {
    return status;
  }
  if (auto status = CheckNumber(kError, "capacity in bytes", capacity.bytes, least, Capacity::kUnbounded);
      !status.ok()) {
    return status;
  }
  const Block* const block = std::get_if<Block>(&capacity.when_full);
  if (block == nullptr) return absl::OkStatus();
  return CheckDuration(kError, "Block timeout", block->timeout, absl::Nanoseconds(1), absl::InfiniteDuration());
}

inline constexpr std::size_t kMaxAllowedSources = 10;  // SQS

inline absl::Status CheckAllowPolicy(const RedriveAllowPolicy& policy) {
  const auto* const by_queue = std::get_if<AllowSources>(&policy);
  if (by_queue == nullptr) return absl::OkStatus();
  for (const QueueReference& source : by_queue->sources) {
    if (!source) {
      return MakeError(Error::kInvalidAttributeValue, "a redrive allow policy with a source that refers to no queue");
    }
  }
  return CheckNumber(Error::kInvalidAttributeValue, "number of allowed sources", by_queue->sources.size(),
                     std::size_t{1}, kMaxAllowedSources);
}

inline absl::Status CheckQueueAttributes(const QueueAttributes& attributes, const Limits& limits) {
  constexpr auto kError = Error::kInvalidAttributeValue;
  absl::Status status;
  if (attributes.visibility_timeout) {
    status.Update(CheckDuration(kError, "visibility timeout", *attributes.visibility_timeout, absl::ZeroDuration(),
                                limits.max_visibility_timeout));
  }
  if (attributes.retention) {
    status.Update(CheckDuration(kError, "message retention period", *attributes.retention, limits.min_retention,
                                limits.max_retention));
  }
  if (attributes.delay) {
    status.Update(CheckDuration(kError, "delay", *attributes.delay, absl::ZeroDuration(), limits.max_delay));
  }
  if (attributes.receive_wait) {
    status.Update(CheckDuration(kError, "receive message wait time", *attributes.receive_wait, absl::ZeroDuration(),
                                limits.max_wait));
  }
  if (attributes.max_message_size) {
    status.Update(CheckNumber(kError, "maximum message size", *attributes.max_message_size,
                              limits.smallest_max_message_size, limits.largest_max_message_size));
  }
  if (attributes.max_in_flight) {
    status.Update(CheckNumber(kError, "maximum of messages in flight", *attributes.max_in_flight, std::int64_t{1},
                              limits.max_in_flight));
  }
  if (attributes.capacity) status.Update(CheckCapacity(*attributes.capacity));
  if (attributes.redrive_allow) status.Update(CheckAllowPolicy(*attributes.redrive_allow));
  return status;
}

// Where nothing is given, gives the most that the limits allow.
inline QueueAttributes WithDefaultsOf(const Limits& limits, QueueAttributes attributes) {
  if (!attributes.max_message_size) attributes.max_message_size = limits.largest_max_message_size;
  if (!attributes.max_in_flight) attributes.max_in_flight = limits.max_in_flight;
  return attributes;
}

// The attributes that the options of a new queue give.
inline QueueAttributes GivenAttributesOf(const QueueOptions& options) {
  QueueAttributes given{.visibility_timeout = options.visibility_timeout,
                        .retention = options.retention,
                        .delay = options.delay,
                        .receive_wait = options.receive_wait,
                        .capacity = options.capacity,
                        .redrive = options.redrive,
                        .redrive_allow = options.redrive_allow,
                        .senders = options.senders,
                        .content_based_deduplication = options.content_based_deduplication,
                        .deduplication_scope = options.deduplication_scope,
                        .fifo_throughput_limit = options.fifo_throughput_limit,
                        .max_calls_per_second = options.max_calls_per_second};
  // A copy of an empty optional makes g++ warn, where it is inlined, of a number that is not initialized.
  if (options.max_message_size) given.max_message_size = *options.max_message_size;
  if (options.max_in_flight) given.max_in_flight = *options.max_in_flight;
  return given;
}

// The attributes that a new queue gets.
inline QueueAttributes AttributesOf(const QueueOptions& options) {
  return WithDefaultsOf(options.limits, GivenAttributesOf(options));
}

inline constexpr std::size_t kMaxTokenLength = 128;  // SQS

// Whether all characters are ASCII letters, digits and punctuation: greater than the space and less than 0x7F.
[[gnu::always_inline]] inline bool IsGraphic(std::string_view text) {
  // Eight bytes at once; the last eight may overlap those before, as ids are about that long. A byte is not graphic if
  // its highest bit is set, or that of the byte plus 1 (0x7F), or that of the byte minus '!' (below '!'). A subtraction
  // that borrows from the next byte comes from a byte below '!', which has already made the result false.
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101;
  const auto are_graphic = [](const char* eight) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, eight, sizeof(bytes));
    return ((bytes | (bytes + kOnes) | (bytes - kOnes * '!')) & (kOnes << 7)) == 0;
  };
  if (text.size() < 8) return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7F'; });
  for (std::size_t i = 0; i + 8 < text.size(); i += 8) {
    if (!are_graphic(text.data() + i)) return false;
  }
  return are_graphic(text.data() + text.size() - 8);
}

// Checks an id that a user gives: of a group, a message's deduplication or a receive attempt. `what` names it.
inline absl::Status CheckToken(const char* what, std::string_view token) {
  if (token.size() - 1 < kMaxTokenLength && IsGraphic(token)) [[likely]]  // an empty one is too long, too
    return absl::OkStatus();
  return MakeError(Error::kInvalidParameterValue,
                   absl::StrCat(what, " \"", std::string(token),
                                "\"; allowed are 1 to 128 letters, digits and punctuation characters"));
}

class QueueConfig {
 public:
  explicit QueueConfig(const Limits& limits) : limits_(Countable(limits)) {
    static_assert(offsetof(QueueConfig, limits_) == kBytesThatCallsRead);
  }

  // The fields that calls read come first (queue_state.h).
  static constexpr std::size_t kBytesThatCallsRead = 4 * sizeof(std::int64_t);

  // Sets the attributes that are given. Requires: CheckQueueAttributes() found nothing wrong with them.
  void Apply(const QueueAttributes& attributes) {
    if (attributes.visibility_timeout) Store(visibility_timeout_, *attributes.visibility_timeout);
    if (attributes.delay) Store(delay_, *attributes.delay);
    if (attributes.receive_wait) Store(receive_wait_, *attributes.receive_wait);
    if (attributes.max_message_size) {
      max_message_size_.store(*attributes.max_message_size, std::memory_order_relaxed);
    }
  }

  const Limits& limits() const { return limits_; }
  std::int64_t visibility_timeout() const { return visibility_timeout_.load(std::memory_order_relaxed); }
  std::int64_t delay() const { return delay_.load(std::memory_order_relaxed); }
  std::int64_t receive_wait() const { return receive_wait_.load(std::memory_order_relaxed); }
  std::size_t max_message_size() const { return max_message_size_.load(std::memory_order_relaxed); }

 private:
  // Messages of one call are counted in 32 bits, whatever the limits say.
  static Limits Countable(Limits limits) {
    constexpr std::size_t kMost = std::numeric_limits<std::uint32_t>::max();
    limits.max_messages_per_receive = std::min(limits.max_messages_per_receive, kMost);
    limits.max_batch_entries = std::min(limits.max_batch_entries, kMost);
    return limits;
  }

  static void Store(std::atomic<std::int64_t>& setting, absl::Duration value) {
    setting.store(absl::ToInt64Nanoseconds(value), std::memory_order_relaxed);  // an infinite duration is kForever
  }

  // Relaxed: each is a number of its own, in force for calls that begin later.
  std::atomic<std::int64_t> visibility_timeout_{0};
  std::atomic<std::int64_t> delay_{0};
  std::atomic<std::int64_t> receive_wait_{0};
  std::atomic<std::size_t> max_message_size_{0};
  const Limits limits_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_CONFIG_H_
