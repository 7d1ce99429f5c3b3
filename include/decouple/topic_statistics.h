// What went through a topic, and through one of its subscriptions.
//
//   topic.Statistics().ForEach([](std::string_view name, double value) { plot(name, value); });
//
// Plain values; totals count from the creation. Exact when nothing runs concurrently. The names, but for those marked
// as ours, are those of SNS's metrics.

#ifndef DECOUPLE_TOPIC_STATISTICS_H_
#define DECOUPLE_TOPIC_STATISTICS_H_

#include <cstdint>

namespace decouple {

struct TopicStatistics {
  std::uint64_t number_of_messages_published = 0;
  std::uint64_t publish_size = 0;  // bytes, all messages together
  std::uint64_t number_of_notifications_delivered = 0;
  // For good: after the last retry, or at once; also those that went to a dead-letter queue.
  std::uint64_t number_of_notifications_failed = 0;
  // By a filter, for each subscription; and of these by what: attributes that do not match, a message without any,
  // a String.Array that is none; a body that does not match, or is not the JSON that it should be. A policy that looks
  // at both counts under the attributes.
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

}  // namespace decouple

#endif  // DECOUPLE_TOPIC_STATISTICS_H_
