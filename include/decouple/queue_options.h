// What a queue can be told: when it is created, while it lives, and with a single send or receive.
//
//   auto jobs = StandardQueue<Job>::Create({.visibility_timeout = absl::Minutes(5), .receive_wait =
//   absl::Seconds(20)}); jobs->SetAttributes({.retention = absl::Hours(1)}); jobs->Send(Job{}, {.delay =
//   absl::Seconds(5)}); jobs->Receive({.max_messages = 10, .wait = absl::Seconds(1)});
//
// Names, ranges and defaults are SQS's; the ranges are those of Limits::Service() and can be lifted by `limits`. As
// with the service both kinds of queue are told in the same words, and a standard queue refuses those that only a FIFO
// queue understands.

#ifndef DECOUPLE_QUEUE_OPTIONS_H_
#define DECOUPLE_QUEUE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/time/time.h"
#include "decouple/access_policy.h"
#include "decouple/clock.h"
#include "decouple/limits.h"
#include "decouple/message_attributes.h"
#include "decouple/redrive_policy.h"

namespace decouple {

// A full queue refuses: kQueueFull at once.
struct Reject {};

// A full queue makes the sender wait for room, then kQueueFull. The time is more than 0.
struct Block {
  absl::Duration timeout = absl::InfiniteDuration();
};

// How much a queue holds at most, in any state: ready, in flight and delayed together. Both bounds are at least 1.
struct Capacity {
  static constexpr std::int64_t kUnbounded = std::numeric_limits<std::int64_t>::max();

  std::int64_t messages = kUnbounded;
  std::int64_t bytes = kUnbounded;  // as MessageSize() and attributes count
  std::variant<Reject, Block> when_full = Reject{};
};

// What FIFO queues look at to tell a duplicate: all messages, or those of the same group.
enum class DeduplicationScope { kQueue, kMessageGroup };

// What QueueOptions::max_calls_per_second counts together in a FIFO queue: all calls, or the sends into one message
// group. (Receives and deletes name no group, and are not counted then.)
enum class FifoThroughputLimit { kPerQueue, kPerMessageGroupId };

struct QueueOptions {
  // How long a received message stays hidden from others. 0 … 12 h.
  absl::Duration visibility_timeout = absl::Seconds(30);
  // How long a message is kept, from its sending. 60 s … 14 days.
  absl::Duration retention = absl::Hours(4 * 24);
  // How long a sent message stays hidden at first. 0 … 15 min.
  absl::Duration delay = absl::ZeroDuration();
  // How long a receive waits for a first message. 0 … 20 s.
  absl::Duration receive_wait = absl::ZeroDuration();
  // Body and attributes together, in bytes. 1 024 … 1 048 576; by default the largest that the limits allow.
  std::optional<std::size_t> max_message_size = std::nullopt;
  // How many messages may be in flight. 1 … 120 000; by default the most that the limits allow.
  std::optional<std::int64_t> max_in_flight = std::nullopt;
  // By default there is none.
  std::optional<Capacity> capacity = std::nullopt;
  // Where messages go that were received too often. By default nowhere.
  std::optional<Redrive> redrive = std::nullopt;
  // Whose dead-letter queue this may be. By default everybody's.
  std::optional<RedriveAllowPolicy> redrive_allow = std::nullopt;
  // Which topics may send here. By default all.
  std::optional<SendersPolicy> senders = std::nullopt;

  // Of FIFO queues only, all four. A message sent without a deduplication id gets the SHA-256 of its body as one. The
  // body's type must have a content: see content_hash.h.
  std::optional<bool> content_based_deduplication = std::nullopt;
  std::optional<DeduplicationScope> deduplication_scope = std::nullopt;     // by default kQueue
  std::optional<FifoThroughputLimit> fifo_throughput_limit = std::nullopt;  // by default kPerQueue
  // How many sends, and how many receives and deletes, are taken in a second; a batch is one. The rest fails with
  // kRequestThrottled. The service's quota is kServiceCallsPerSecond. By default, and with 0, there is none.
  std::optional<std::int64_t> max_calls_per_second = std::nullopt;
  static constexpr std::int64_t kServiceCallsPerSecond = 300;

  Limits limits = Limits::Service();

  // For messages and for identities: ids of two queues differ if their names do, or their seeds.
  std::string name = {};
  // One seed gives one run. 0: a random one. Two queues of one seed and name cannot tell each other's receipts.
  std::uint64_t seed = 0;
  // Must outlive the queue and its deliveries. Null: the system's.
  Clock* clock = nullptr;
};

// What can change while the queue lives; what is absent stays. A new visibility timeout, delay or wait counts for calls
// from then on; retention counts at once for what is there already.
struct QueueAttributes {
  std::optional<absl::Duration> visibility_timeout = std::nullopt;
  std::optional<absl::Duration> retention = std::nullopt;
  std::optional<absl::Duration> delay = std::nullopt;
  std::optional<absl::Duration> receive_wait = std::nullopt;
  std::optional<std::size_t> max_message_size = std::nullopt;
  std::optional<std::int64_t> max_in_flight = std::nullopt;
  std::optional<Capacity> capacity = std::nullopt;  // Capacity{} lifts it
  std::optional<Redrive> redrive = std::nullopt;    // Redrive{} ends it
  std::optional<RedriveAllowPolicy> redrive_allow = std::nullopt;
  std::optional<SendersPolicy> senders = std::nullopt;
  std::optional<bool> content_based_deduplication = std::nullopt;
  std::optional<DeduplicationScope> deduplication_scope = std::nullopt;
  std::optional<FifoThroughputLimit> fifo_throughput_limit = std::nullopt;
  std::optional<std::int64_t> max_calls_per_second = std::nullopt;
};

struct SendOptions {
  // Overrides the queue's, 0 included. A FIFO queue takes only 0 here, and that means its own.
  std::optional<absl::Duration> delay = std::nullopt;
  MessageAttributes attributes = {};
  // MessageGroupId: 1 … 128 letters, digits and punctuation. A FIFO queue keeps the order within a group and needs one;
  // to a standard queue it names a tenant. Empty: none.
  std::string group = {};
  // MessageDeduplicationId, of FIFO queues only: 1 … 128 letters, digits and punctuation. Empty: none.
  std::string deduplication_id = {};
};

struct ReceiveOptions {
  // 1 … 10.
  std::size_t max_messages = 1;
  // Both override the queue's, 0 included.
  std::optional<absl::Duration> visibility_timeout = std::nullopt;
  std::optional<absl::Duration> wait = std::nullopt;
  // ReceiveRequestAttemptId, of FIFO queues only: 1 … 128 letters, digits and punctuation. The same again within five
  // minutes gives the same messages. Empty: none. Need not outlive the call.
  std::string_view attempt_id = {};
};

}  // namespace decouple

#endif  // DECOUPLE_QUEUE_OPTIONS_H_
