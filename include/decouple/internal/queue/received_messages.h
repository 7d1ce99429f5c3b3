// The messages that a receive has leased, before they become deliveries.

#ifndef DECOUPLE_INTERNAL_QUEUE_RECEIVED_MESSAGES_H_
#define DECOUPLE_INTERNAL_QUEUE_RECEIVED_MESSAGES_H_

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

// What a receive asks for. Times are in nanoseconds by the queue's clock.
struct LeaseRequest {
  std::uint32_t most = 1;
  std::int64_t now = 0;
  std::int64_t visible_at = 0;  // when the messages that the receive returns become visible again
  bool is_to_move = false;      // by a move task, which takes messages however often they were received
};

// A message in flight by the receive that left its slot with `word`. It comes with a reference to the message.
struct ReceivedMessage {
  SlotRef message;
  SlotState word;
};
using ReceivedMessages = absl::InlinedVector<ReceivedMessage, 10>;

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_RECEIVED_MESSAGES_H_
