// The names that a message has for users: its id, the receipt of one of its receives, and in a FIFO queue its number.
// All require that the caller has a reference to the message, or has locked its slot.

#ifndef DECOUPLE_INTERNAL_QUEUE_MESSAGE_NAMES_H_
#define DECOUPLE_INTERNAL_QUEUE_MESSAGE_NAMES_H_

#include <cstdint>

#include "decouple/internal/base/access.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/queue_identity.h"
#include "decouple/message.h"
#include "decouple/sequence_number.h"

namespace decouple::inline v0_1::internal {

inline MessageId IdOf(const QueueIdentity& queue, SlotRef message) {
  const MessageMetadata* const metadata = MetadataOf(message);
  if (metadata != nullptr && metadata->origin != nullptr && metadata->origin->id) [[unlikely]]
    return *metadata->origin->id;
  return MessageId(queue.value(), MessageStore::TicketOf(message));
}

inline ReceiptHandle ReceiptOf(const QueueIdentity& queue, SlotRef message, std::uint32_t receive) {
  return Access::Make<ReceiptHandle>(queue.value(), MessageStore::TicketOf(message),
                                     MessageStore::SegmentNumberOf(message), receive);
}

// Tickets are taken in the order of a group's messages. The step of 256 keeps users from reading a count from it.
inline SequenceNumber SequenceNumberOf(std::uint64_t ticket) { return SequenceNumber((ticket + 1) * 256); }

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_MESSAGE_NAMES_H_
