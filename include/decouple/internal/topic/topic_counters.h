// What a topic counts, each thread for itself; see queue_counters.h.

#ifndef DECOUPLE_INTERNAL_TOPIC_COUNTERS_H_
#define DECOUPLE_INTERNAL_TOPIC_COUNTERS_H_

#include <cstdint>

#include "decouple/internal/owned_counters.h"
#include "decouple/internal/per_thread.h"
#include "decouple/topic_statistics.h"

namespace decouple::internal {

struct OwnedTopicCounts {
  OwnedCounter published;
  OwnedCounter bytes;
  OwnedCounter duplicates;
  OwnedCounter delivered;
  OwnedCounter failed;
  OwnedCounter filtered_by_attributes;
  OwnedCounter filtered_without_attributes;
  OwnedCounter filtered_by_invalid_attributes;
  OwnedCounter filtered_by_body;
  OwnedCounter filtered_by_invalid_body;
  OwnedCounter redriven;
  OwnedCounter failed_to_redrive;
  OwnedCounter retried;
  OwnedCounter abandoned;

  OwnedCounters delivered_to;  // by the number of the subscription's counter

  void AddTo(TopicStatistics& sums) const {
    sums.number_of_messages_published += published.value();
    sums.publish_size += bytes.value();
    sums.number_of_duplicates += duplicates.value();
    sums.number_of_notifications_delivered += delivered.value();
    sums.number_of_notifications_failed += failed.value();
    sums.number_of_notifications_filtered_out_message_attributes += filtered_by_attributes.value();
    sums.number_of_notifications_filtered_out_no_message_attributes += filtered_without_attributes.value();
    sums.number_of_notifications_filtered_out_invalid_attributes += filtered_by_invalid_attributes.value();
    sums.number_of_notifications_filtered_out_message_body += filtered_by_body.value();
    sums.number_of_notifications_filtered_out_invalid_message_body += filtered_by_invalid_body.value();
    sums.number_of_notifications_filtered_out += filtered_by_attributes.value() + filtered_without_attributes.value() +
                                                 filtered_by_invalid_attributes.value() + filtered_by_body.value() +
                                                 filtered_by_invalid_body.value();
    sums.number_of_notifications_redriven_to_dlq += redriven.value();
    sums.number_of_notifications_failed_to_redrive_to_dlq += failed_to_redrive.value();
    sums.number_of_notifications_retried += retried.value();
    sums.number_of_notifications_abandoned += abandoned.value();
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_COUNTERS_H_
