// A queue of either kind and any body type: its state, and its calls. What the calls do depends on the kind
// (queue_core.h), but on the type of the bodies only by a table (message/body_type.h); the fast paths, which know that
// type, work on the state directly (fast_send.h, fast_receive.h, held_message.h).
//
// Lifetime. Handles share the queue as a std::shared_ptr does. Deliveries do not touch that count: each thread counts
// the deliveries that it makes and releases. Once the last handle is gone (EndWithLastDelivery) releases are subtracted
// one by one from the number that is outstanding, and the last of them deletes the queue.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_BASE_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_BASE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/batch.h"
#include "decouple/clock.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/type_identity.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/access_policy.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/internal/queue/redrive/dead_letter_links.h"
#include "decouple/limits.h"
#include "decouple/message.h"
#include "decouple/queue_kind.h"
#include "decouple/queue_options.h"
#include "decouple/queue_statistics.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1::internal {

// The outcome of moving one message to another queue. kNothing: no message was visible. kNoSource: the message does not
// say which queue it came from, or that queue is gone.
enum class MoveOutcome { kMoved, kNothing, kNoRoom, kClosed, kNoSource };

class MessageMoves;
struct Transfer;

// An entry of a batch of sends, with the body's type erased.
struct SendRequest {
  const std::string& id;
  void* body;  // moved from if it is sent
  bool is_empty_text;
  std::size_t bytes;  // of body and attributes
  SendOptions& options;
};

class QueueBase : public std::enable_shared_from_this<QueueBase> {
 public:
  QueueBase(const QueueBase&) = delete;
  QueueBase& operator=(const QueueBase&) = delete;

  QueueState& state() { return state_; }
  const QueueState& state() const { return state_; }

  const std::string& name() const { return state_.identity.name(); }
  std::uint64_t identity() const { return state_.identity.value(); }
  QueueKind kind() const { return state_.identity.kind(); }
  // Queues of one kind and body type can take over each other's messages (CheckSameKindAndBodyType).
  const TypeIdentity& body_type() const { return state_.store.body_type().identity; }
  Clock& clock() const { return state_.clock; }
  const Limits& limits() const { return state_.config.limits(); }

  bool closed() const { return state_.gate.closed(); }
  bool deleted() const { return state_.identity.deleted(); }

  AccessPolicy& senders() { return state_.senders; }
  const AccessPolicy& senders() const { return state_.senders; }
  DeadLetterLinks& dead_letters() { return state_.dead_letters; }
  const DeadLetterLinks& dead_letters() const { return state_.dead_letters; }
  // The tasks that move messages out of this queue.
  virtual MessageMoves& moves() = 0;

  // ---- sending ------------------------------------------------------------------------------------------------------

  // `body` points to a body of the queue's type, which is moved from on success.
  virtual absl::StatusOr<SendResult> Send(void* body, SendOptions&& options) = 0;
  // An error fails the batch as a whole.
  virtual absl::StatusOr<SendOutcomes> SendBatch(std::span<const SendRequest> requests) = 0;
  // Takes a message that a topic delivers, as if it were sent now, without waiting for room. Runs no user code.
  virtual Acceptance Enqueue(const TopicDelivery& delivery) = 0;
  // Takes over a message that another queue gives up; it is visible at once. False: the queue is closed or full, and
  // nothing has happened. Runs no user code but the body's move, as the source has locked the message's slot.
  virtual bool EnqueueTransfer(Transfer& transfer) = 0;

  // ---- receiving ----------------------------------------------------------------------------------------------------

  // Adds to `received`, which may have messages of the same call already: then it does not wait, and does not fail.
  virtual absl::Status Receive(const ReceiveOptions& options, ReceivedMessages& received) = 0;

  // By a delivery, which holds a reference to the message.
  virtual absl::Status Delete(SlotRef message, std::uint32_t receive) = 0;
  virtual absl::Status ChangeVisibility(SlotRef message, std::uint32_t receive, absl::Duration timeout) = 0;
  // By the deliveries of one receive, as one call. Deletes as many as possible, and returns the first error.
  virtual absl::Status DeleteEach(const ReceivedMessages& messages) = 0;

  // By receipt.
  virtual absl::Status Delete(const ReceiptHandle& receipt) = 0;
  virtual absl::Status ChangeVisibility(const ReceiptHandle& receipt, absl::Duration timeout) = 0;
  virtual absl::StatusOr<StatusOutcomes> DeleteBatch(std::span<const DeleteBatchEntry> entries) = 0;
  virtual absl::StatusOr<StatusOutcomes> ChangeVisibilityBatch(std::span<const ChangeVisibilityBatchEntry> entries) = 0;

  // Moves the next visible message to `to`, or, if that is null, to the queue whose dead letter it is.
  virtual MoveOutcome MoveOne(QueueBase* to) = 0;

  // ---- the queue as a whole -----------------------------------------------------------------------------------------

  // All given attributes are set, or none.
  virtual absl::Status SetAttributes(const QueueAttributes& attributes) = 0;
  // All attributes that this kind of queue has.
  virtual QueueAttributes attributes() const = 0;
  // Nullopt if the queue has no dead-letter queue.
  virtual std::optional<Redrive> redrive() const = 0;
  absl::Time created_at() const { return absl::FromUnixNanos(state_.created_at.load(std::memory_order_relaxed)); }
  absl::Time last_modified_at() const {
    return absl::FromUnixNanos(state_.last_modified_at.load(std::memory_order_relaxed));
  }

  virtual MessageCounts Counts() = 0;
  virtual QueueStatistics Statistics() = 0;
  virtual absl::Status Purge() = 0;
  virtual void Close() = 0;
  virtual bool drained() = 0;
  // Removes all messages, and has all later calls fail with kQueueDoesNotExist.
  virtual absl::Status DeleteQueue() = 0;
  // For a caller that is not in a call of this queue: its source for dead letters.
  virtual void RunSomeTimeouts() = 0;

  // ---- lifetime -----------------------------------------------------------------------------------------------------

  // To be called when the last handle is gone: from now on the queue is deleted with the last delivery.
  virtual void Abandon() = 0;

  // The end of a delivery, in the general case: releases its reference, and counts it. The queue may be gone when these
  // return.
  [[gnu::noinline]] void ReleaseReference(SlotRef message) {
    state_.store.ReleaseReference(message);
    CountReleased(1);
  }
  [[gnu::noinline]] void CountReleased(std::int64_t deliveries) {
    LocalQueueState& local = state_.store.local();
    if (!TryCountReleased(RcuReadGuard(), local, deliveries)) CountReleasedAbandoned(deliveries);
  }
  // False: the queue is abandoned, and CountReleasedAbandoned() counts them. The section pairs with the
  // RcuSynchronize() in EndWithLastDelivery(): what is counted here is in its sum.
  [[gnu::always_inline]] bool TryCountReleased(const RcuReadGuard&, LocalQueueState& local,
                                               std::int64_t deliveries) const {
    if (state_.abandoned.load(std::memory_order_relaxed)) [[unlikely]]
      return false;
    local.counts.references_released.Add(static_cast<std::uint64_t>(deliveries));
    return true;
  }
  [[gnu::noinline]] void CountReleasedAbandoned(std::int64_t deliveries) {
    // Acquire and release: the deletion comes after what other threads did.
    if (state_.outstanding.fetch_sub(deliveries, std::memory_order_acq_rel) == deliveries) delete this;
  }

 protected:
  QueueBase(QueueKind kind, const BodyType& body_type, const Limits& limits, std::string name, std::uint64_t seed,
            Clock* clock)
      : state_(*this, kind, body_type, limits, std::move(name), seed, clock) {}
  virtual ~QueueBase() = default;

  // The last handle is gone: from now on the queue is deleted with the last delivery, or here if there is none. To be
  // called once; the caller touches the queue no more. Not from within a read section.
  void EndWithLastDelivery() {
    DECOUPLE_ASSERT(!state_.abandoned.load(std::memory_order_relaxed));
    // Relaxed: ordered by RcuSynchronize(); pairs with TryCountReleased().
    state_.abandoned.store(true, std::memory_order_relaxed);
    RcuSynchronize();
    const std::int64_t deliveries = state_.store.Sums().deliveries();
    // Deliveries that were released since have subtracted themselves or will. The thread that reaches zero deletes.
    // Acquire and release: its deletion comes after what the others did.
    if (state_.outstanding.fetch_add(deliveries, std::memory_order_acq_rel) + deliveries == 0) delete this;
  }

 private:
  QueueState state_;
};

inline absl::Status DoesNotExistError(const QueueBase& queue) { return queue.state().identity.DoesNotExistError(); }

// Sends a batch of bodies, whose type is that of the queue.
template <typename T>
absl::StatusOr<SendOutcomes> SendBatch(QueueBase& queue, std::span<SendBatchEntry<T>> entries) {
  if (absl::Status status = CheckBatchSize(entries.size(), queue.limits()); !status.ok()) {
    return queue.deleted() ? DoesNotExistError(queue) : status;
  }
  absl::InlinedVector<SendRequest, 10> requests;
  for (SendBatchEntry<T>& entry : entries) {
    requests.push_back({entry.id, std::addressof(entry.body), IsEmptyText(entry.body),
                        MessageSize(std::as_const(entry.body)) + entry.options.attributes.bytes(), entry.options});
  }
  return queue.SendBatch(requests);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_BASE_H_
