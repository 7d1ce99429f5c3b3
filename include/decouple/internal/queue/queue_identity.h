// What names a queue: its kind and name, its identity among all objects of the process, and whether it was deleted.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_IDENTITY_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_IDENTITY_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/identity.h"
#include "decouple/queue_kind.h"

namespace decouple::inline v0_1::internal {

constexpr const char* NameOf(QueueKind kind) { return kind == QueueKind::kStandard ? "standard" : "FIFO"; }

class QueueIdentity {
 public:
  QueueIdentity(QueueKind kind, std::string name, std::uint64_t seed)
      : kind_(kind), name_(std::move(name)), identity_(seed, name_) {}

  QueueKind kind() const { return kind_; }
  const std::string& name() const { return name_; }
  std::uint64_t value() const { return identity_.value(); }

  // A queue is open, then closed, then deleted; it may be deleted while it is open, and never comes back. A deleted
  // queue is closed, too, so a call looks here only where it has found the queue closed, a gate shut, or its message
  // gone. Acquire: pairs with MarkDeleted().
  bool deleted() const { return deleted_at() != kNotDeleted; }
  // By the queue's clock; kNotDeleted if it was not deleted.
  std::int64_t deleted_at() const { return deleted_at_.load(std::memory_order_acquire); }
  static constexpr std::int64_t kNotDeleted = -1;

  // Release: a thread that learns that the queue is closed, by what is stored after this, sees that it is deleted.
  void MarkDeleted(std::int64_t now) { deleted_at_.store(now, std::memory_order_release); }

  [[gnu::cold, gnu::noinline]] absl::Status DoesNotExistError() const {
    return MakeError(Error::kQueueDoesNotExist,
                     absl::StrCat("the queue \"", name_, "\" was deleted; it does not exist any more"));
  }

 private:
  const QueueKind kind_;
  const std::string name_;
  const Identity identity_;
  std::atomic<std::int64_t> deleted_at_{kNotDeleted};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_IDENTITY_H_
