// A queue that keeps the order of messages within groups, and takes a message that is sent twice once.
//
//   decouple::FifoQueue<Entry> ledger;
//   ledger.Send(Entry{"deposit", 100}, {.group = "customer-7", .deduplication_id = "4711"}).IgnoreError();
//   for (auto& entry : ledger.Receive({.max_messages = 10, .wait = absl::Seconds(20)}).value()) {
//     if (!Book(entry.body()).ok()) break;                  // this one and what follows come again, in order
//     entry.Delete().IgnoreError();
//   }
//
// Order. While a message of a group is in flight, no later one of it is given to anybody. One receive may take several
// of a group, in order, and goes on with the next group; a group that was served goes to the back of the line.
//
// Duplicates. A send with the deduplication id of another in the last five minutes succeeds, sends nothing, and gives
// that one's message id and sequence number; also if its message is gone meanwhile. The id is the SHA-256 of the body
// if none is given and the queue has content-based deduplication.
//
// A delivery whose visibility timeout has ended can do nothing any more: others may have the message. What else a queue
// can do: queue.h.
//
// Locks. The groups and the deduplication ids are each spread over 32 parts with a lock of their own. Send takes the
// lock of its id's part and that of its group's; Receive that of each group that it serves, and now and then that of a
// part whose ids are old; Delete, a release and the end of a timeout, a delay or a retention that of the message's
// group. A receive with an attempt id takes one more, the queue's. Finding the next group and extending a visibility
// timeout take none. All cost O(messages concerned), however many groups and messages there are.
// A group takes memory as long as it has messages, a deduplication id for five minutes; both are dropped by the calls
// that follow, some at a time.

#ifndef DECOUPLE_FIFO_QUEUE_H_
#define DECOUPLE_FIFO_QUEUE_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/internal/fifo/fifo_queue_core.h"
#include "decouple/queue.h"
#include "decouple/queue_options.h"

namespace decouple {

template <typename T>
class FifoQueue : public Queue<T> {
 public:
  // With the documented defaults.
  FifoQueue() : FifoQueue(QueueOptions()) { this->SetAttributes(this->AttributesOf({})).IgnoreError(); }

  // kInvalidAttributeValue: an option is out of its range, or does not go with another or with T.
  static absl::StatusOr<FifoQueue> Create(QueueOptions options) {
    const QueueAttributes attributes = FifoQueue::AttributesOf(options);
    FifoQueue queue(std::move(options));
    if (absl::Status status = queue.SetAttributes(attributes); !status.ok()) return status;
    return queue;
  }

 private:
  using Core = internal::FifoQueueCore<T>;

  explicit FifoQueue(QueueOptions options)
      : Queue<T>(Queue<T>::Own(new Core(options.limits, std::move(options.name), options.seed, options.clock))) {}
};

}  // namespace decouple

#endif  // DECOUPLE_FIFO_QUEUE_H_
