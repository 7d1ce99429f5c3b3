// What makes a standard queue: its order, its own state and calls, and the rules by which it answers otherwise than a
// FIFO queue (fifo/fifo_kind.h). Everything that asks for the kind of a queue does so by one of these two, at compile
// time.

#ifndef DECOUPLE_INTERNAL_QUEUE_STANDARD_KIND_H_
#define DECOUPLE_INTERNAL_QUEUE_STANDARD_KIND_H_

#include "decouple/internal/message/standard_order.h"
#include "decouple/queue_kind.h"

namespace decouple::inline v0_1::internal {

class StandardReceiver;
class StandardSender;
class StandardState;

struct StandardKind {
  static constexpr QueueKind kKind = QueueKind::kStandard;
  using Order = StandardOrder;
  using State = StandardState;
  using Receiver = StandardReceiver;
  using Sender = StandardSender;

  // A receipt whose visibility timeout has ended still deletes and hides its message until the message is received
  // again.
  static constexpr bool kExpiredReceiptsWork = true;
  // A short poll at the limit of messages in flight fails with kOverLimit.
  static constexpr bool kOverLimitFails = true;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_KIND_H_
