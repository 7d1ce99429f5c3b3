// What a topic counts: one LocalTopicCounts for each thread, written by it alone; statistics add them up. Same as
// message/queue_counters.h.

#ifndef DECOUPLE_INTERNAL_TOPIC_TOPIC_COUNTERS_H_
#define DECOUPLE_INTERNAL_TOPIC_TOPIC_COUNTERS_H_

#include <cstdint>

#include "decouple/internal/base/counter_array.h"
#include "decouple/internal/base/single_writer_counter.h"
#include "decouple/topic_statistics.h"

namespace decouple::inline v0_1::internal {

struct LocalTopicCounts {
  SingleWriterCounter published;
  SingleWriterCounter bytes;
  SingleWriterCounter duplicates;
  SingleWriterCounter delivered;
  SingleWriterCounter failed;
  SingleWriterCounter filtered_by_attributes;
  SingleWriterCounter filtered_without_attributes;
  SingleWriterCounter filtered_by_invalid_attributes;
  SingleWriterCounter filtered_by_body;
  SingleWriterCounter filtered_by_invalid_body;
  SingleWriterCounter redriven;
  SingleWriterCounter failed_to_redrive;
  SingleWriterCounter retried;
  SingleWriterCounter abandoned;

  CounterArray delivered_to;  // deliveries by subscription: by the number of its counter

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

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_TOPIC_COUNTERS_H_
