// Counts of what is in a queue and of what went through it.
//
//   MessageCounts now = queue.Counts();               // now.ready, now.in_flight, now.delayed
//   queue.Statistics().ForEach([](std::string_view name, double value) { plot(name, value); });
//
// Plain values. Exact when nothing runs concurrently.

#ifndef DECOUPLE_QUEUE_STATISTICS_H_
#define DECOUPLE_QUEUE_STATISTICS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace decouple::inline v0_1 {

struct MessageCounts {
  std::int64_t ready = 0;      // ApproximateNumberOfMessages: can be received now
  std::int64_t in_flight = 0;  // ApproximateNumberOfMessagesNotVisible
  std::int64_t delayed = 0;    // ApproximateNumberOfMessagesDelayed

  std::int64_t total() const { return ready + in_flight + delayed; }

  friend bool operator==(const MessageCounts&, const MessageCounts&) = default;
};

// Totals count from the queue's creation. The names, but for those marked as ours, are those of SQS's metrics.
struct QueueStatistics {
  std::uint64_t number_of_messages_sent = 0;
  std::uint64_t sent_message_size = 0;  // bytes, all messages together
  std::uint64_t number_of_messages_received = 0;
  std::uint64_t number_of_empty_receives = 0;
  std::uint64_t number_of_messages_deleted = 0;  // messages, not calls: deleting one twice counts once
  std::uint64_t number_of_messages_expired = 0;  // ours: by retention
  std::uint64_t number_of_messages_purged = 0;   // ours: by a purge, or with the queue when that was deleted
  // Ours: messages moved to the dead-letter queue; moved to another queue by a move task; taken over from another queue
  // by either. Those taken over are not counted as sent.
  std::uint64_t number_of_messages_redriven = 0;
  std::uint64_t number_of_messages_moved = 0;
  std::uint64_t number_of_messages_taken_over = 0;
  // Ours: attempts to move a message to a dead-letter queue that did not take it.
  std::uint64_t number_of_messages_failed_to_redrive = 0;

  std::int64_t approximate_number_of_messages_visible = 0;
  std::int64_t approximate_number_of_messages_not_visible = 0;
  std::int64_t approximate_number_of_messages_delayed = 0;
  std::int64_t approximate_number_of_bytes = 0;  // ours: in any state
  // Counts only messages that were received fewer than three times; zero if there is none.
  absl::Duration approximate_age_of_oldest_message;

  // For fair queues. Messages without a group count as quiet.
  std::int64_t approximate_number_of_noisy_groups = 0;
  std::int64_t approximate_number_of_messages_visible_in_quiet_groups = 0;
  std::int64_t approximate_number_of_messages_not_visible_in_quiet_groups = 0;

  // Calls visit(name, value) with the service's spelling and a double; ages in seconds.
  template <typename Visit>
  void ForEach(Visit visit) const {
    const auto number = [&](const char* name, auto value) { visit(name, static_cast<double>(value)); };
    number("NumberOfMessagesSent", number_of_messages_sent);
    number("SentMessageSize", sent_message_size);
    number("NumberOfMessagesReceived", number_of_messages_received);
    number("NumberOfEmptyReceives", number_of_empty_receives);
    number("NumberOfMessagesDeleted", number_of_messages_deleted);
    number("NumberOfMessagesExpired", number_of_messages_expired);
    number("NumberOfMessagesPurged", number_of_messages_purged);
    number("NumberOfMessagesRedriven", number_of_messages_redriven);
    number("NumberOfMessagesMoved", number_of_messages_moved);
    number("NumberOfMessagesTakenOver", number_of_messages_taken_over);
    number("NumberOfMessagesFailedToRedrive", number_of_messages_failed_to_redrive);
    number("ApproximateNumberOfMessagesVisible", approximate_number_of_messages_visible);
    number("ApproximateNumberOfMessagesNotVisible", approximate_number_of_messages_not_visible);
    number("ApproximateNumberOfMessagesDelayed", approximate_number_of_messages_delayed);
    number("ApproximateNumberOfBytes", approximate_number_of_bytes);
    visit("ApproximateAgeOfOldestMessage", absl::ToDoubleSeconds(approximate_age_of_oldest_message));
    number("ApproximateNumberOfNoisyGroups", approximate_number_of_noisy_groups);
    number("ApproximateNumberOfMessagesVisibleInQuietGroups", approximate_number_of_messages_visible_in_quiet_groups);
    number("ApproximateNumberOfMessagesNotVisibleInQuietGroups",
           approximate_number_of_messages_not_visible_in_quiet_groups);
  }
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_QUEUE_STATISTICS_H_
