// The interface of both kinds of queue. What differs is described at StandardQueue and FifoQueue.
//
//   template <typename T>
//   void DrainInto(decouple::Queue<T> from, decouple::Queue<T> to);  // takes queues of both kinds
//
// T is any type that can be moved and destroyed without throwing; it need not be copyable. A body is never copied and
// is immutable once sent. It may hold any bytes: nothing is encoded on its way, so the characters that the service
// refuses in a text (control characters, zeros, what is no UTF-8) are allowed. It is destroyed on the last thread that
// needs it. So its destructor may use the queue, but a thread that uses the queue must not wait for it. A body is moved
// when it is sent, when it becomes a dead letter or is moved back, and when the queue moves the few messages that
// outlasted their neighbours together; the move must not use any queue.
//
// A queue is a handle, as a std::shared_ptr is: copies refer to the same queue, which lives as long as one of them. All
// members may be called from any thread at the same time. But a handle must not be destroyed while another thread uses
// it: a detached thread has a copy. No member may be called in a signal handler: a message may be lost. Nothing throws:
// when memory runs out, the process ends.
//
// A queue is open until it is closed, by Close(), or deleted, by DeleteQueue(). A closed queue takes nothing more and
// gives what it has; a deleted one has nothing and answers every call with kQueueDoesNotExist, which the members below
// do not repeat. Neither opens again.

#ifndef DECOUPLE_QUEUE_H_
#define DECOUPLE_QUEUE_H_

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/batch.h"
#include "decouple/delivery.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/type_identity.h"
#include "decouple/internal/queue/fast_receive.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/message.h"
#include "decouple/message_move_task.h"
#include "decouple/queue_kind.h"
#include "decouple/queue_options.h"
#include "decouple/queue_statistics.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1 {

template <typename T>
class Queue {
 public:
  using Body = T;

  // The queue that `reference` refers to, if its bodies are of type T.
  static std::optional<Queue> From(const QueueReference& reference) {
    const std::shared_ptr<internal::QueueBase>& core = internal::Access::Core(reference);
    if (core == nullptr || core->body_type() != internal::kTypeIdentity<T>) return std::nullopt;
    return Queue(core);
  }

  // Sends a message. The body is moved from only on success.
  // kInvalidParameterValue: the message is too large, or an option is out of its range or not for this kind of queue.
  // kMissingParameter: the body is an empty string, or a FIFO queue got no group. kQueueClosed. kQueueFull: the queue
  // had no room (within the time that Block allows). kRequestThrottled: the queue's quota of calls is used up.
  absl::StatusOr<SendResult> Send(T&& body, SendOptions options) noexcept {
    return core_->Send(std::addressof(body), std::move(options));
  }
  absl::StatusOr<SendResult> Send(const T& body, SendOptions options) requires std::copy_constructible<T> {
    T copy(body);
    return core_->Send(std::addressof(copy), std::move(options));
  }

  // Sends up to ten messages; see batch.h. The bodies and options of entries that were sent are moved from.
  absl::StatusOr<SendBatchResults> SendBatch(std::span<SendBatchEntry<T>> entries) noexcept {
    return internal::WithIds(entries, internal::SendBatch(*core_, entries));
  }
  // Same as above, for entries in braces: SendBatch({{"a", Order{1}}, {"b", Order{2}}}).
  template <std::size_t kSize>
  absl::StatusOr<SendBatchResults> SendBatch(SendBatchEntry<T> (&&entries)[kSize]) noexcept {
    return SendBatch(std::span<SendBatchEntry<T>>(entries));
  }

  // Receives up to `max_messages` messages. Returns what is ready, possibly nothing; waits, if asked to, only while no
  // message is ready. Closing the queue ends a wait.
  // kInvalidParameterValue: an option is out of its range. kOverLimit: too many messages are in flight (a receive with
  // a wait, or from a FIFO queue, returns nothing instead). kQueueClosed: the queue is closed and drained.
  ReceiveResult<T> Receive(const ReceiveOptions& options = {}) noexcept {
    return internal::FastReceive<T>::ReceiveFromAny(*core_, options);
  }

  // Same as the members of Delivery, by receipt. kReceiptHandleIsInvalid: the receipt is of another queue.
  absl::Status Delete(const ReceiptHandle& receipt) noexcept { return core_->Delete(receipt); }
  absl::Status ChangeVisibility(const ReceiptHandle& receipt, absl::Duration visibility_timeout) noexcept {
    return core_->ChangeVisibility(receipt, visibility_timeout);
  }
  absl::StatusOr<StatusBatchResults> DeleteBatch(std::span<const DeleteBatchEntry> entries) noexcept {
    return internal::WithIds(entries, core_->DeleteBatch(entries));
  }
  absl::StatusOr<StatusBatchResults> DeleteBatch(std::initializer_list<DeleteBatchEntry> entries) noexcept {
    return DeleteBatch(std::span(entries.begin(), entries.size()));
  }
  absl::StatusOr<StatusBatchResults> ChangeVisibilityBatch(
      std::span<const ChangeVisibilityBatchEntry> entries) noexcept {
    return internal::WithIds(entries, core_->ChangeVisibilityBatch(entries));
  }
  absl::StatusOr<StatusBatchResults> ChangeVisibilityBatch(
      std::initializer_list<ChangeVisibilityBatchEntry> entries) noexcept {
    return ChangeVisibilityBatch(std::span(entries.begin(), entries.size()));
  }

  // Removes every message sent before, including those in flight and delayed, and forgets all deduplication ids.
  // O(messages). kPurgeQueueInProgress: the last purge was less than 60 s ago.
  absl::Status Purge() noexcept { return core_->Purge(); }

  // Changes options: all of `attributes`, or none on an error. kInvalidAttributeValue: one is not allowed.
  absl::Status SetAttributes(const QueueAttributes& attributes) noexcept { return core_->SetAttributes(attributes); }

  // All attributes that this kind of queue has, each with its current value (SQS's GetQueueAttributes); a standard
  // queue has none of those for FIFO queues. SetAttributes() takes them all. When another thread sets attributes
  // meanwhile, some may be read before and some after that, but not of those that are right only together: a
  // dead-letter queue and its maximum of receives, and what only FIFO queues have. O(1 + allowed sources and senders);
  // may wait for that other thread, so code that a FIFO queue runs during a send (moves and destructors of bodies) must
  // not call it.
  QueueAttributes attributes() const { return core_->attributes(); }
  // SQS's CreatedTimestamp, and LastModifiedTimestamp: when SetAttributes() last succeeded, at first the creation.
  absl::Time created_at() const noexcept { return core_->created_at(); }
  absl::Time last_modified_at() const noexcept { return core_->last_modified_at(); }

  // Runs all timeouts that are due first. O(threads + timeouts due).
  MessageCounts Counts() const noexcept { return core_->Counts(); }
  // O(messages in flight or delayed + segments); in a dead-letter queue O(messages).
  QueueStatistics Statistics() const noexcept { return core_->Statistics(); }

  // Makes all later sends fail with kQueueClosed and wakes all waiting receivers. Messages in the queue can still be
  // received and deleted. Closing again has no effect.
  void Close() noexcept { core_->Close(); }
  bool closed() const noexcept { return core_->closed(); }
  // Whether the queue is closed and every message is gone.
  bool drained() const noexcept { return core_->drained(); }

  // Deletes the queue (SQS's DeleteQueue). All messages go, in whatever state they are, and count as purged. Waiting
  // receivers and senders return at once. From then on the queue is closed and drained, and every call of every handle
  // that returns a status fails with kQueueDoesNotExist, as do Delete() and ChangeVisibility() of deliveries, which
  // stay readable otherwise. Names, attributes, counts and statistics can still be read.
  //
  // The queue has no dead-letter queue any more. A queue whose dead-letter queue it is keeps its messages, as when that
  // is full; a move task out of it or to it fails; what a topic delivers to it fails permanently.
  // O(messages). kQueueDoesNotExist: it was deleted already.
  absl::Status DeleteQueue() noexcept { return core_->DeleteQueue(); }
  bool deleted() const noexcept { return core_->deleted(); }

  const std::string& name() const { return core_->name(); }
  QueueKind kind() const noexcept { return core_->kind(); }

  // The redrive policy; none if there is no dead-letter queue.
  std::optional<Redrive> redrive() const { return core_->redrive(); }

  // The queues whose dead-letter queue this is (SQS's ListDeadLetterSourceQueues). O(sources).
  std::vector<Queue> DeadLetterSources() const {
    std::vector<Queue> sources;
    for (const auto& source : core_->dead_letters().sources()) {
      sources.push_back(Queue(source));
    }
    return sources;
  }

  // Creates a task that moves messages out of this dead-letter queue: see message_move_task.h. Nothing moves before the
  // task is stepped or run. kInvalidParameterValue: the queue is no queue's dead-letter queue, a task is active
  // already, the rate is out of its range, or the destination is this queue or of another kind or body type.
  absl::StatusOr<MessageMoveTask> StartMessageMoveTask(const MessageMoveOptions& options = {}) {
    auto move = internal::StartMessageMove(core_, options, Counts().ready);
    if (!move.ok()) return move.status();
    return internal::Access::Make<MessageMoveTask>(*std::move(move));
  }

  // The last ten tasks, the latest first.
  std::vector<MessageMoveTask> ListMessageMoveTasks() const {
    std::vector<MessageMoveTask> tasks;
    for (auto& move : core_->moves().List()) tasks.push_back(internal::Access::Make<MessageMoveTask>(std::move(move)));
    return tasks;
  }

  // Whether both are handles of one queue.
  friend bool operator==(const Queue&, const Queue&) = default;

 protected:
  friend struct internal::Access;

  explicit Queue(std::shared_ptr<internal::QueueBase> core) : core_(std::move(core)) {}

  // Takes ownership of a new core, whose attributes are not set yet.
  static std::shared_ptr<internal::QueueBase> Own(internal::QueueBase* core) {
    return std::shared_ptr<internal::QueueBase>(core, [](internal::QueueBase* abandoned) { abandoned->Abandon(); });
  }

  static QueueAttributes AttributesOf(const QueueOptions& options) { return internal::AttributesOf(options); }

  std::shared_ptr<internal::QueueBase> core_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_QUEUE_H_
