// The numbers that the services refuse to go beyond. Queues and topics take them in their options:
//
//   StandardQueue<int>::Create({.limits = Limits::Unlimited()});     // for use in process only
//
// Limits::Service() is exactly what SQS and SNS document, so that what passes in a test passes there.

#ifndef DECOUPLE_LIMITS_H_
#define DECOUPLE_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace decouple {

struct Limits {
  absl::Duration max_visibility_timeout = absl::Hours(12);  // of one message too, counted from its first receive
  absl::Duration min_retention = absl::Seconds(60);
  absl::Duration max_retention = absl::Hours(14 * 24);
  absl::Duration max_delay = absl::Minutes(15);
  absl::Duration max_wait = absl::Seconds(20);
  absl::Duration purge_interval = absl::Seconds(60);  // between two purges
  std::size_t smallest_max_message_size = 1'024;
  std::size_t largest_max_message_size = 1'048'576;
  std::size_t max_batch_bytes = 1'048'576;  // all entries of a batch together
  std::size_t max_batch_entries = 10;
  std::size_t max_messages_per_receive = 10;
  std::size_t max_message_attributes = 10;
  std::int64_t max_in_flight = 120'000;
  // Of topics and their filter policies.
  std::size_t max_published_message_size = 262'144;
  std::size_t max_subject_length = 100;
  std::size_t max_filter_keys = 5;
  std::size_t max_filter_combinations = 150;
  std::size_t max_filter_bytes = 262'144;

  static constexpr Limits Service() { return {}; }

  // Only what makes sense at all: nothing negative.
  static Limits Unlimited() {
    return {.max_visibility_timeout = absl::InfiniteDuration(),
            .min_retention = absl::ZeroDuration(),
            .max_retention = absl::InfiniteDuration(),
            .max_delay = absl::InfiniteDuration(),
            .max_wait = absl::InfiniteDuration(),
            .purge_interval = absl::ZeroDuration(),
            .smallest_max_message_size = 0,
            .largest_max_message_size = std::numeric_limits<std::size_t>::max(),
            .max_batch_bytes = std::numeric_limits<std::size_t>::max(),
            .max_batch_entries = std::numeric_limits<std::size_t>::max(),
            .max_messages_per_receive = std::numeric_limits<std::uint32_t>::max(),
            .max_message_attributes = std::numeric_limits<std::size_t>::max(),
            .max_in_flight = std::numeric_limits<std::int64_t>::max(),
            .max_published_message_size = std::numeric_limits<std::size_t>::max(),
            .max_subject_length = std::numeric_limits<std::size_t>::max(),
            .max_filter_keys = std::numeric_limits<std::size_t>::max(),
            .max_filter_combinations = std::numeric_limits<std::size_t>::max(),
            .max_filter_bytes = std::numeric_limits<std::size_t>::max()};
  }
};

}  // namespace decouple

#endif  // DECOUPLE_LIMITS_H_
