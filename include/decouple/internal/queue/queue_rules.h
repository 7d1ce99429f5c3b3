// The rules by which standard and FIFO queues answer differently.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_RULES_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_RULES_H_

#include "decouple/internal/queue/queue_base.h"

namespace decouple::inline v0_1::internal {

struct QueueRules {
  QueueKind kind;
  // A receipt whose visibility timeout has ended still deletes and hides its message until the message is received
  // again.
  bool expired_receipts_work;
  // A short poll at the limit of messages in flight fails with kOverLimit; if false, it returns no message.
  bool over_limit_fails;
};

inline constexpr QueueRules kStandardRules = {
    .kind = QueueKind::kStandard, .expired_receipts_work = true, .over_limit_fails = true};
inline constexpr QueueRules kFifoRules = {
    .kind = QueueKind::kFifo, .expired_receipts_work = false, .over_limit_fails = false};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_RULES_H_
