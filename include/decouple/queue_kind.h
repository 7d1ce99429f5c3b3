// The kinds of queue: StandardQueue (standard_queue.h) and FifoQueue (fifo_queue.h).

#ifndef DECOUPLE_QUEUE_KIND_H_
#define DECOUPLE_QUEUE_KIND_H_

namespace decouple::inline v0_1 {

enum class QueueKind { kStandard, kFifo };

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_QUEUE_KIND_H_
