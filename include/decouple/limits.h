// The limits beyond which the services refuse a call. Queues, topics and streams take them in their options:
//
//   auto queue = StandardQueue<int>::Create({.limits = Limits::Unlimited()});     // for use in this process only
//
// Limits::Service() is exactly what SQS, SNS and Kinesis document, so that what a test accepts the services accept,
// too. A plain value.

#ifndef DECOUPLE_LIMITS_H_
#define DECOUPLE_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace decouple::inline v0_1 {

struct Limits {
  absl::Duration max_visibility_timeout = absl::Hours(12);  // also for one message, counted from its first receive
  absl::Duration min_retention = absl::Seconds(60);
  absl::Duration max_retention = absl::Hours(14 * 24);
  absl::Duration max_delay = absl::Minutes(15);
  absl::Duration max_wait = absl::Seconds(20);
  absl::Duration purge_interval = absl::Seconds(60);             // the least time between two purges
  absl::Duration queue_name_reuse_interval = absl::Seconds(60);  // how long the name of a deleted queue stays taken
  std::size_t max_listed_queues = 1'000;
  std::size_t smallest_max_message_size = 1'024;
  std::size_t largest_max_message_size = 1'048'576;
  std::size_t max_batch_bytes = 1'048'576;  // all entries of a batch together
  std::size_t max_batch_entries = 10;
  std::size_t max_messages_per_receive = 10;
  std::size_t max_message_attributes = 10;
  std::int64_t max_in_flight = 120'000;
  // Topics and their filter policies.
  std::size_t max_published_message_size = 262'144;
  std::size_t max_subject_length = 100;
  std::size_t max_filter_keys = 5;
  std::size_t max_filter_combinations = 150;
  std::size_t max_filter_bytes = 262'144;
  // Streams.
  std::size_t max_partition_key_characters = 256;
  std::size_t largest_max_record_size = 10'485'760;
  std::size_t max_records_per_put = 500;
  std::size_t max_bytes_per_put = 10'485'760;  // all records of a batch, keys included
  std::size_t max_records_per_read = 10'000;
  std::size_t max_bytes_per_read = 10'485'760;
  absl::Duration min_stream_retention = absl::Hours(24);
  absl::Duration max_stream_retention = absl::Hours(8'760);
  absl::Duration iterator_lifetime = absl::Minutes(5);  // an iterator expires when not used for this long
  absl::Duration shard_subscription_lifetime = absl::Minutes(5);
  std::size_t max_registered_consumers = 20;
  std::size_t max_scaling_factor = 2;  // of one uniform scaling, up or down

  static constexpr Limits Service() { return {}; }

  // No limits, except those without which an option makes no sense: nothing may be negative. What the library counts in
  // 32 bits stays below 2^32, also with larger limits of your own: the messages of a receive, the entries of a batch,
  // and the bytes of a record with its key.
  static Limits Unlimited() {
    return {.max_visibility_timeout = absl::InfiniteDuration(),
            .min_retention = absl::ZeroDuration(),
            .max_retention = absl::InfiniteDuration(),
            .max_delay = absl::InfiniteDuration(),
            .max_wait = absl::InfiniteDuration(),
            .purge_interval = absl::ZeroDuration(),
            .queue_name_reuse_interval = absl::ZeroDuration(),
            .max_listed_queues = std::numeric_limits<std::size_t>::max(),
            .smallest_max_message_size = 0,
            .largest_max_message_size = std::numeric_limits<std::size_t>::max(),
            .max_batch_bytes = std::numeric_limits<std::size_t>::max(),
            .max_batch_entries = std::numeric_limits<std::uint32_t>::max(),
            .max_messages_per_receive = std::numeric_limits<std::uint32_t>::max(),
            .max_message_attributes = std::numeric_limits<std::size_t>::max(),
            .max_in_flight = std::numeric_limits<std::int64_t>::max(),
            .max_published_message_size = std::numeric_limits<std::size_t>::max(),
            .max_subject_length = std::numeric_limits<std::size_t>::max(),
            .max_filter_keys = std::numeric_limits<std::size_t>::max(),
            .max_filter_combinations = std::numeric_limits<std::size_t>::max(),
            .max_filter_bytes = std::numeric_limits<std::size_t>::max(),
            .max_partition_key_characters = std::numeric_limits<std::size_t>::max(),
            .largest_max_record_size = std::numeric_limits<std::uint32_t>::max(),
            .max_records_per_put = std::numeric_limits<std::size_t>::max(),
            .max_bytes_per_put = std::numeric_limits<std::size_t>::max(),
            .max_records_per_read = std::numeric_limits<std::size_t>::max(),
            .max_bytes_per_read = std::numeric_limits<std::size_t>::max(),
            .min_stream_retention = absl::ZeroDuration(),
            .max_stream_retention = absl::InfiniteDuration(),
            .iterator_lifetime = absl::InfiniteDuration(),
            .shard_subscription_lifetime = absl::InfiniteDuration(),
            .max_registered_consumers = std::numeric_limits<std::size_t>::max(),
            .max_scaling_factor = std::numeric_limits<std::size_t>::max()};
  }
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_LIMITS_H_
