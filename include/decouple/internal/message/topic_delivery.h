// A message that a topic brings to a queue.

#ifndef DECOUPLE_INTERNAL_MESSAGE_TOPIC_DELIVERY_H_
#define DECOUPLE_INTERNAL_MESSAGE_TOPIC_DELIVERY_H_

#include <cstdint>
#include <string_view>

#include "decouple/clock.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::internal {

struct TopicDelivery {
  // A queue that takes the message takes over one hold of the caller's.
  SharedBody* body = nullptr;
  std::uint64_t topic = 0;  // its identity
  // Of the publication: empty for none. Need not outlive the call.
  std::string_view group;
  std::string_view deduplication_id;
  // The time by the topic's clock, which is most often the queue's.
  const Clock* clock = nullptr;
  std::int64_t now = 0;
  // From the archive, so it is taken though it has been before.
  bool is_replayed = false;
  // As a dead letter, likewise.
  bool is_dead_letter = false;

  // Nothing is to be said of it but what is in the body.
  bool IsPlain() const { return group.empty() && !is_replayed; }
};

// What a queue says to it.
enum class Acceptance { kTaken, kFull, kThrottled, kClosed, kRefused, kDenied };

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_TOPIC_DELIVERY_H_
