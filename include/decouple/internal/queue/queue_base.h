// A queue of either kind and any body type, for code that only refers to it: references, dead-letter links, move tasks.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_BASE_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_BASE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/identity.h"
#include "decouple/internal/base/type_identity.h"
#include "decouple/internal/queue/access_policy.h"
#include "decouple/internal/queue/redrive/dead_letter_links.h"
#include "decouple/queue_kind.h"

namespace decouple::inline v0_1::internal {

constexpr const char* NameOf(QueueKind kind) { return kind == QueueKind::kStandard ? "standard" : "FIFO"; }

// The outcome of moving one message to another queue. kNothing: no message was visible. kNoSource: the message does not
// say which queue it came from, or that queue is gone.
enum class MoveOutcome { kMoved, kNothing, kNoRoom, kClosed, kNoSource };

class MessageMoves;

class QueueBase : public std::enable_shared_from_this<QueueBase> {
 public:
  QueueBase(const QueueBase&) = delete;
  QueueBase& operator=(const QueueBase&) = delete;

  const std::string& name() const { return name_; }
  std::uint64_t identity() const { return identity_.value(); }
  QueueKind kind() const { return kind_; }
  // Queues of one kind and body type can take over each other's messages (CheckSameKindAndBodyType).
  const TypeIdentity& body_type() const { return body_type_; }

  virtual Clock& clock() const = 0;
  virtual bool closed() const = 0;

  // A queue is open, then closed, then deleted; it may be deleted while it is open, and never comes back. A deleted
  // queue is closed, too, so a call looks here only where it has found the queue closed, a gate shut, or its message
  // gone. Acquire: pairs with MarkDeleted().
  bool deleted() const { return deleted_at() != kNotDeleted; }
  // By the queue's clock; kNotDeleted if it was not deleted.
  std::int64_t deleted_at() const { return deleted_at_.load(std::memory_order_acquire); }
  static constexpr std::int64_t kNotDeleted = -1;

  // Removes all messages, and has all later calls fail with kQueueDoesNotExist.
  virtual absl::Status DeleteQueue() = 0;

  // Moves the next visible message to `to`, or, if that is null, to the queue whose dead letter it is.
  virtual MoveOutcome MoveOne(QueueBase* to) = 0;
  // The tasks that move messages out of this queue.
  virtual MessageMoves& moves() = 0;

  AccessPolicy& senders() { return senders_; }
  const AccessPolicy& senders() const { return senders_; }

  DeadLetterLinks& dead_letters() { return dead_letters_; }
  const DeadLetterLinks& dead_letters() const { return dead_letters_; }

 protected:
  QueueBase(QueueKind kind, const TypeIdentity& body_type, std::string name, std::uint64_t seed)
      : kind_(kind), body_type_(body_type), name_(std::move(name)), identity_(seed, name_) {}
  virtual ~QueueBase() = default;

  // Release: who learns that the queue is closed, by what is stored after this, sees that it is deleted.
  void MarkDeleted(std::int64_t now) { deleted_at_.store(now, std::memory_order_release); }

 private:
  const QueueKind kind_;
  const TypeIdentity& body_type_;
  const std::string name_;
  const Identity identity_;
  std::atomic<std::int64_t> deleted_at_{kNotDeleted};
  DeadLetterLinks dead_letters_;
  AccessPolicy senders_;
};

[[gnu::cold, gnu::noinline]] inline absl::Status DoesNotExistError(const QueueBase& queue) {
  return MakeError(Error::kQueueDoesNotExist,
                   absl::StrCat("the queue \"", queue.name(), "\" was deleted; it does not exist any more"));
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_BASE_H_
