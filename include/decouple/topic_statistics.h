// Counts of what went through a topic, and through one of its subscriptions.
//
//   topic.Statistics().ForEach([](std::string_view name, double value) { plot(name, value); });
//
// Plain values; totals count from the creation. Exact when nothing runs concurrently. The names, but for those marked
// as ours, are those of SNS's metrics.

#ifndef DECOUPLE_TOPIC_STATISTICS_H_
#define DECOUPLE_TOPIC_STATISTICS_H_

#include <cstdint>

namespace decouple::inline v0_1 {

struct TopicStatistics {
  std::uint64_t number_of_messages_published = 0;
  std::uint64_t publish_size = 0;  // bytes, all messages together
  std::uint64_t number_of_notifications_delivered = 0;
  // Permanent failures, after the last retry or at once, including those whose message went to a dead-letter queue.
  std::uint64_t number_of_notifications_failed = 0;
  // Messages that a filter kept from a subscription, counted for each subscription; then the same by reason: attributes
  // that do not match; a message without attributes; a String.Array that is not an array; a body that does not match; a
  // body that should be JSON and is not. A policy that reads both is counted under the attributes.
  std::uint64_t number_of_notifications_filtered_out = 0;
  std::uint64_t number_of_notifications_filtered_out_message_attributes = 0;
  std::uint64_t number_of_notifications_filtered_out_no_message_attributes = 0;
  std::uint64_t number_of_notifications_filtered_out_invalid_attributes = 0;
  std::uint64_t number_of_notifications_filtered_out_message_body = 0;
  std::uint64_t number_of_notifications_filtered_out_invalid_message_body = 0;
  std::uint64_t number_of_notifications_redriven_to_dlq = 0;
  std::uint64_t number_of_notifications_failed_to_redrive_to_dlq = 0;  // and so lost
  std::uint64_t number_of_notifications_retried = 0;                   // ours: attempts after the first
  std::uint64_t number_of_notifications_abandoned = 0;  // ours: still waiting when their subscription ended
  std::uint64_t number_of_duplicates = 0;               // ours: publishes that a FIFO topic had seen before

  // Calls visit(name, value) with the service's spelling and a double.
  template <typename Visit>
  void ForEach(Visit visit) const {
    const auto number = [&](const char* name, std::uint64_t value) { visit(name, static_cast<double>(value)); };
    number("NumberOfMessagesPublished", number_of_messages_published);
    number("PublishSize", publish_size);
    number("NumberOfNotificationsDelivered", number_of_notifications_delivered);
    number("NumberOfNotificationsFailed", number_of_notifications_failed);
    number("NumberOfNotificationsFilteredOut", number_of_notifications_filtered_out);
    number("NumberOfNotificationsFilteredOut-MessageAttributes",
           number_of_notifications_filtered_out_message_attributes);
    number("NumberOfNotificationsFilteredOut-NoMessageAttributes",
           number_of_notifications_filtered_out_no_message_attributes);
    number("NumberOfNotificationsFilteredOut-InvalidAttributes",
           number_of_notifications_filtered_out_invalid_attributes);
    number("NumberOfNotificationsFilteredOut-MessageBody", number_of_notifications_filtered_out_message_body);
    number("NumberOfNotificationsFilteredOut-InvalidMessageBody",
           number_of_notifications_filtered_out_invalid_message_body);
    number("NumberOfNotificationsRedrivenToDlq", number_of_notifications_redriven_to_dlq);
    number("NumberOfNotificationsFailedToRedriveToDlq", number_of_notifications_failed_to_redrive_to_dlq);
    number("NumberOfNotificationsRetried", number_of_notifications_retried);
    number("NumberOfNotificationsAbandoned", number_of_notifications_abandoned);
    number("NumberOfDuplicates", number_of_duplicates);
  }
};

struct SubscriptionStatistics {
  std::uint64_t number_of_notifications_delivered = 0;
  std::uint64_t number_of_notifications_failed = 0;
  std::uint64_t number_of_notifications_redriven_to_dlq = 0;
  std::uint64_t number_of_notifications_failed_to_redrive_to_dlq = 0;
  std::uint64_t number_of_notifications_retried = 0;
  std::int64_t number_of_notifications_waiting = 0;  // now: for a retry, a function's turn, or the end of a pause
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_TOPIC_STATISTICS_H_
