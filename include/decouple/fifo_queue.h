// A queue that keeps the order of messages within groups and takes a message that is sent twice only once.
//
//   decouple::FifoQueue<Entry> ledger;
//   ledger.Send(Entry{"deposit", 100}, {.group = "customer-7", .deduplication_id = "4711"}).IgnoreError();
//   for (auto& entry : ledger.Receive({.max_messages = 10, .wait = absl::Seconds(20)}).value()) {
//     if (!Book(entry.body()).ok()) break;                  // this one and what follows come again, in order
//     entry.Delete().IgnoreError();
//   }
//
// Order. While a message of a group is in flight, no receive returns a later message of that group. One receive may
// take several messages of a group, in order, and continues with the next group. Groups are served in turn.
//
// Duplicates. A send with the deduplication id of a send in the last five minutes succeeds, sends nothing, and returns
// the message id and sequence number of the first, even if its message is gone by now. When no id is given and the
// queue has content-based deduplication, the id is the SHA-256 of the body.
//
// A delivery whose visibility timeout has ended has no effect on the message any more, as another receiver may have it.
// What else a queue can do: queue.h.
//
// Locks. The groups and the deduplication ids are each spread over 32 stripes with one lock each. Send takes the locks
// of its id's stripe and of its group's stripe. Receive takes the lock of each group that it serves and, now and then,
// that of a stripe of expired ids. Delete, Release and the end of a timeout, a delay or a retention take the lock of
// the message's group. A receive with an attempt id also takes a lock of the queue. Finding the next group and
// extending a visibility timeout take no lock. Send moves the body under its two locks, so a body's move must not use
// any queue (queue.h): one that sends to this queue would wait for itself. All cost O(messages concerned),
// independently of the number of groups and messages.
//
// Memory. A group takes memory while it has messages; a deduplication id, for five minutes. Later calls free both, a
// few at a time.

#ifndef DECOUPLE_FIFO_QUEUE_H_
#define DECOUPLE_FIFO_QUEUE_H_

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/fifo/fifo_kind.h"
#include "decouple/internal/fifo/fifo_receiver.h"
#include "decouple/internal/fifo/fifo_sender.h"
#include "decouple/internal/fifo/fifo_state.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_core.h"
#include "decouple/queue.h"
#include "decouple/queue_kind.h"
#include "decouple/queue_options.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1 {

template <typename T>
class FifoQueue : public Queue<T> {
 public:
  // A queue with the documented defaults.
  FifoQueue() : FifoQueue(QueueOptions()) { this->SetAttributes(this->AttributesOf({})).IgnoreError(); }

  // kInvalidAttributeValue: an option is out of its range, or is not allowed together with another option or with T.
  static absl::StatusOr<FifoQueue> Create(QueueOptions options) {
    const QueueAttributes attributes = FifoQueue::AttributesOf(options);
    FifoQueue queue(std::move(options));
    if (absl::Status status = queue.SetAttributes(attributes); !status.ok()) return status;
    return queue;
  }

  // The queue that `reference` refers to, if it is a FIFO queue with bodies of type T.
  static std::optional<FifoQueue> From(const QueueReference& reference) {
    std::optional<Queue<T>> queue = Queue<T>::From(reference);
    if (!queue || internal::Access::Core(*queue)->kind() != QueueKind::kFifo) return std::nullopt;
    return FifoQueue(*std::move(queue));
  }

 private:
  using Core = internal::QueueCore<internal::FifoKind>;

  explicit FifoQueue(Queue<T> queue) : Queue<T>(std::move(queue)) {}
  explicit FifoQueue(QueueOptions options)
      : Queue<T>(Queue<T>::Own(new Core(internal::kBodyType<T>, options.limits, std::move(options.name), options.seed,
                                        options.clock, internal::kContentHasher<T>))) {}
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_FIFO_QUEUE_H_
