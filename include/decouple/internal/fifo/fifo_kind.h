// What makes a FIFO queue; see queue/standard_kind.h.

#ifndef DECOUPLE_INTERNAL_FIFO_FIFO_KIND_H_
#define DECOUPLE_INTERNAL_FIFO_FIFO_KIND_H_

#include "decouple/internal/message/fifo_order.h"
#include "decouple/queue_kind.h"

namespace decouple::inline v0_1::internal {

class FifoReceiver;
class FifoSender;
class FifoState;

struct FifoKind {
  static constexpr QueueKind kKind = QueueKind::kFifo;
  using Order = FifoOrder;
  using State = FifoState;
  using Receiver = FifoReceiver;
  using Sender = FifoSender;

  // A receipt works until its visibility timeout ends.
  static constexpr bool kExpiredReceiptsWork = false;
  // A short poll at the limit of messages in flight returns no message.
  static constexpr bool kOverLimitFails = false;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_FIFO_KIND_H_
