// A message that a topic delivers to a queue.

#ifndef DECOUPLE_INTERNAL_MESSAGE_TOPIC_DELIVERY_H_
#define DECOUPLE_INTERNAL_MESSAGE_TOPIC_DELIVERY_H_

#include <cstdint>
#include <string_view>

#include "decouple/clock.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::inline v0_1::internal {

struct TopicDelivery {
  // A queue that takes the message takes over one reference of the caller's.
  SharedBody* body = nullptr;
  std::uint64_t topic = 0;  // its identity
  // The publication's group and deduplication id; empty for none. They need not outlive the call.
  std::string_view group;
  std::string_view deduplication_id;
  // The time by the topic's clock, which is most often the queue's.
  const Clock* clock = nullptr;
  std::int64_t now = 0;
  // Replayed from the archive: the queue takes it although it may have taken the same deduplication id before.
  bool is_replayed = false;
  // Delivered as a dead letter: the same applies.
  bool is_dead_letter = false;

  // Whether the message needs no metadata beyond what the body carries.
  bool IsPlain() const { return group.empty() && !is_replayed; }
};

// The queue's answer to a delivery.
enum class Acceptance { kTaken, kFull, kThrottled, kClosed, kRefused, kDenied };

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_TOPIC_DELIVERY_H_
