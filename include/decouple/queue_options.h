// The options of a queue: for its creation, for changes while it lives, and for a single send or receive.
//
//   auto jobs = StandardQueue<Job>::Create({.visibility_timeout = absl::Minutes(5),
//                                           .receive_wait = absl::Seconds(20),
//                                           .redrive = Redrive{.to = failed, .max_receives = 3},
//                                           .limits = Limits::Unlimited(),       // for use in this process only
//                                           .name = "jobs"});
//   jobs->SetAttributes({.retention = absl::Hours(1)}).IgnoreError();
//   jobs->Send(Job{}, {.delay = absl::Seconds(5)}).IgnoreError();
//   auto received = jobs->Receive({.max_messages = 10, .wait = absl::Seconds(1)});
//
// C++ asks for the fields in the order in which they are declared here; any may be left out.
//
// Names, ranges and defaults are SQS's. The ranges are those of Limits::Service() and can be lifted by `limits`. As
// with the service, both kinds of queue take the same options, and a standard queue refuses those for FIFO queues only.

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

namespace decouple::inline v0_1 {

// A full queue refuses a send at once: kQueueFull.
struct Reject {
  friend bool operator==(const Reject&, const Reject&) = default;
};

// A full queue makes the sender wait for room, up to `timeout`, which must be positive; then kQueueFull.
struct Block {
  absl::Duration timeout = absl::InfiniteDuration();

  friend bool operator==(const Block&, const Block&) = default;
};

// The most that a queue holds: ready, in-flight and delayed messages together. Both bounds are at least 1.
struct Capacity {
  static constexpr std::int64_t kUnbounded = std::numeric_limits<std::int64_t>::max();

  std::int64_t messages = kUnbounded;
  std::int64_t bytes = kUnbounded;  // of bodies by MessageSize(), and of attributes
  std::variant<Reject, Block> when_full = Reject{};

  friend bool operator==(const Capacity&, const Capacity&) = default;
};

// Within which messages a FIFO queue looks for duplicates: all of them, or those of the same group.
enum class DeduplicationScope { kQueue, kMessageGroup };

// Which calls of a FIFO queue share one QueueOptions::max_calls_per_second: all calls, or the sends to one message
// group. (Receives and deletes name no group; with kPerMessageGroupId they are not counted.)
enum class FifoThroughputLimit { kPerQueue, kPerMessageGroupId };

struct QueueOptions {
  // How long a received message stays hidden from other receivers. 0 … 12 h.
  absl::Duration visibility_timeout = absl::Seconds(30);
  // How long a message is kept, counted from its sending. 60 s … 14 days.
  absl::Duration retention = absl::Hours(4 * 24);
  // How long a message stays hidden after it was sent. 0 … 15 min.
  absl::Duration delay = absl::ZeroDuration();
  // How long a receive waits for a first message. 0 … 20 s.
  absl::Duration receive_wait = absl::ZeroDuration();
  // Body and attributes together, in bytes. 1 024 … 1 048 576; by default the largest that the limits allow.
  std::optional<std::size_t> max_message_size = std::nullopt;
  // How many messages may be in flight. 1 … 120 000; by default the most that the limits allow.
  std::optional<std::int64_t> max_in_flight = std::nullopt;
  // By default a queue has no bound.
  std::optional<Capacity> capacity = std::nullopt;
  // The dead-letter queue of messages that were received too often. By default there is none.
  std::optional<Redrive> redrive = std::nullopt;
  // Which queues may use this one as their dead-letter queue. By default all.
  std::optional<RedriveAllowPolicy> redrive_allow = std::nullopt;
  // Which topics may send here. By default all.
  std::optional<SendersPolicy> senders = std::nullopt;

  // The next four options are for FIFO queues only. With content-based deduplication a message sent without a
  // deduplication id gets the SHA-256 of its body as its id. The body's type must have a content: see content_hash.h.
  std::optional<bool> content_based_deduplication = std::nullopt;
  std::optional<DeduplicationScope> deduplication_scope = std::nullopt;     // by default kQueue
  std::optional<FifoThroughputLimit> fifo_throughput_limit = std::nullopt;  // by default kPerQueue
  // How many sends, how many receives and how many deletes are accepted in a second, each counted separately; a batch
  // counts as one call. Further calls fail with kRequestThrottled. The service's quota is kServiceCallsPerSecond. By
  // default, and with 0, there is no quota.
  std::optional<std::int64_t> max_calls_per_second = std::nullopt;
  static constexpr std::int64_t kServiceCallsPerSecond = 300;

  Limits limits = Limits::Service();

  // Appears in errors and dead letters. Need not be unique.
  std::string name = {};
  // Runs that make queues with the same names and seeds, in the same order, have the same ids and receipts; two queues
  // that live at the same time never have. 0: a random seed.
  std::uint64_t seed = 0;
  // Must outlive the queue and its deliveries. Null: the system clock.
  Clock* clock = nullptr;
};

// The options that can change while the queue lives: Queue::SetAttributes() changes those that are given, and
// Queue::attributes() gives all that the queue's kind has, with their current values.
//
//   QueueAttributes now = jobs.attributes();                 // *now.visibility_timeout, now.redrive->to, …
//   others.SetAttributes(now).IgnoreError();                 // the same for another queue
//
// A new visibility timeout or wait applies to later calls, and so does a standard queue's new delay. A new retention
// applies at once to the messages in the queue, too, and a FIFO queue's new delay to those that wait for theirs to end,
// counted from their sending; a message that has become visible stays so. In what is read, an absent capacity or
// dead-letter queue is Capacity{} or Redrive{}, and sources of `redrive_allow` that are gone are left out.
struct QueueAttributes {
  std::optional<absl::Duration> visibility_timeout = std::nullopt;
  std::optional<absl::Duration> retention = std::nullopt;
  std::optional<absl::Duration> delay = std::nullopt;
  std::optional<absl::Duration> receive_wait = std::nullopt;
  std::optional<std::size_t> max_message_size = std::nullopt;
  std::optional<std::int64_t> max_in_flight = std::nullopt;
  std::optional<Capacity> capacity = std::nullopt;  // Capacity{} removes the bound
  std::optional<Redrive> redrive = std::nullopt;    // Redrive{} removes the dead-letter queue
  std::optional<RedriveAllowPolicy> redrive_allow = std::nullopt;
  std::optional<SendersPolicy> senders = std::nullopt;
  std::optional<bool> content_based_deduplication = std::nullopt;
  std::optional<DeduplicationScope> deduplication_scope = std::nullopt;
  std::optional<FifoThroughputLimit> fifo_throughput_limit = std::nullopt;
  std::optional<std::int64_t> max_calls_per_second = std::nullopt;

  friend bool operator==(const QueueAttributes&, const QueueAttributes&) = default;
};

struct SendOptions {
  // Overrides the queue's delay, also with 0. A FIFO queue accepts only 0, which there means the queue's delay.
  std::optional<absl::Duration> delay = std::nullopt;
  MessageAttributes attributes = {};
  // MessageGroupId: 1 … 128 letters, digits and punctuation; an empty text is an error. A FIFO queue keeps the order
  // within a group and requires a group; in a standard queue it names a tenant. By default there is no group.
  std::optional<std::string> group = std::nullopt;
  // MessageDeduplicationId, for FIFO queues only: 1 … 128 letters, digits and punctuation; an empty text is an error.
  // By default there is none, which a FIFO queue takes only with content-based deduplication.
  std::optional<std::string> deduplication_id = std::nullopt;
};

struct ReceiveOptions {
  // 1 … 10.
  std::size_t max_messages = 1;
  // Both override the queue's options, also with 0.
  std::optional<absl::Duration> visibility_timeout = std::nullopt;
  std::optional<absl::Duration> wait = std::nullopt;
  // ReceiveRequestAttemptId, for FIFO queues only: 1 … 128 letters, digits and punctuation; an empty text is an error.
  // A receive with the same id within five minutes returns the same messages. The text need not outlive the call.
  std::optional<std::string_view> attempt_id = std::nullopt;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_QUEUE_OPTIONS_H_
