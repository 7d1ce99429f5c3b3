// Deleting a received message and changing its visibility: by the delivery that holds it, or by a receipt that names
// it.
//
// A receipt names one receive. It is stale once its message was received again, and then never touches the newer
// receive. Stale receipts, and receipts whose visibility timeout has ended: in a standard queue Delete succeeds,
// without effect if the receipt is stale; in a FIFO queue it fails (kExpiredReceiptsWork of its kind).

#ifndef DECOUPLE_INTERNAL_QUEUE_RECEIPTS_H_
#define DECOUPLE_INTERNAL_QUEUE_RECEIPTS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/moved_messages.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/message.h"

namespace decouple::inline v0_1::internal {

// Whether the message of a receipt was found, or why not.
enum class Found { kLocked, kBusy, kGone, kExpired, kReceivedAgain };

// All members may be called from any thread, but not from within a read section.
template <typename Kind>
class Receipts {
 public:
  explicit Receipts(QueueState& queue) : queue_(queue) {}

  // ---- by a delivery: the caller holds a reference to the message ---------------------------------------------------

  absl::Status Delete(SlotRef message, std::uint32_t receive) {
    if constexpr (Kind::kExpiredReceiptsWork) {
      if (!messages().RemoveReferenced(queue_.store.local(), message, receive)) [[unlikely]]
        return NotDeleted();
      return absl::OkStatus();
    } else {
      if (!IsVisibilityTimeoutOver(message) && messages().TryRemoveInFlight(queue_.store.local(), message, receive))
          [[likely]]
        return absl::OkStatus();
      SlotState before;
      return DeleteFound(Find(message, receive, before), message, before);
    }
  }

  absl::Status ChangeVisibility(SlotRef message, std::uint32_t receive, absl::Duration timeout) {
    if (absl::Status status = queue_.checks.CheckVisibility(timeout); !status.ok()) return status;
    SlotState before;
    const Found found = Find(message, receive, before);
    return found == Found::kLocked ? ChangeVisibilityLocked(message, before, timeout) : NotFound(found);
  }

  // ---- by a receipt, which keeps no reference to the message --------------------------------------------------------

  absl::Status Delete(const ReceiptHandle& receipt) {
    if (Access::Queue(receipt) != queue_.identity.value()) return Foreign(receipt);
    SlotRef message;
    SlotState before;
    const Found found = Find(receipt, message, before);
    return DeleteFound(found, message, before);
  }

  absl::Status ChangeVisibility(const ReceiptHandle& receipt, absl::Duration timeout) {
    if (absl::Status status = queue_.checks.CheckVisibility(timeout); !status.ok()) return status;
    if (Access::Queue(receipt) != queue_.identity.value()) return Foreign(receipt);
    SlotRef message;
    SlotState before;
    const Found found = Find(receipt, message, before);
    return found == Found::kLocked ? ChangeVisibilityLocked(message, before, timeout) : NotFound(found);
  }

  // Looks for the message of a receipt. kLocked: its slot is locked, `before` is its word before that, and the caller
  // unlocks it.
  Found Find(const ReceiptHandle& receipt, SlotRef& message, SlotState& before) {
    queue_.store.bias().End();  // from now on threads that do not hold a delivery delete messages, too
    for (;;) {
      Found found = Found::kGone;
      {
        const RcuReadGuard section;
        const auto place = queue_.store.lane().FindByNumber(Access::Segment(receipt), Access::Ticket(receipt));
        message = {place.segment, place.slot};
        if (place.slot != nullptr) {
          found = TryFind(message, MessageLane::OrdinalOf(Access::Ticket(receipt)), Access::Receive(receipt), before);
        }
      }
      if (found == Found::kGone && queue_.store.moved_messages() != nullptr) {
        queue_.store.moved_messages()->Find(Access::Ticket(receipt), [&](SlotRef moved) {
          message = moved;
          found =
              TryFind(moved, moved.segment->ordinal.load(std::memory_order_relaxed), Access::Receive(receipt), before);
        });
      }
      if (found != Found::kBusy) return found;
      Relax();  // outside of the section: the thread that has locked the slot may wait for the section to close
    }
  }

  // Same as above, for a message that the caller holds a reference to. `expired_too`: kLocked also where the visibility
  // timeout has ended, until the message is received again.
  Found Find(SlotRef message, std::uint32_t receive, SlotState& before) {
    return Find(message, receive, before, Kind::kExpiredReceiptsWork);
  }
  Found Find(SlotRef message, std::uint32_t receive, SlotState& before, bool expired_too) {
    for (;;) {
      const Found found =
          TryFind(message, message.segment->ordinal.load(std::memory_order_relaxed), receive, before, expired_too);
      if (found != Found::kBusy) return found;
      Relax();
    }
  }

 private:
  static absl::Status Foreign(const ReceiptHandle& receipt) {
    return MakeError(Error::kReceiptHandleIsInvalid,
                     absl::StrCat("the receipt handle ", receipt.ToString(), " is not of this queue"));
  }

  // The answer to a delete that has no effect, as the message is gone or was received again.
  absl::Status NotDeleted() const {
    return queue_.identity.deleted() ? queue_.identity.DoesNotExistError() : absl::OkStatus();
  }

  absl::Status NotFound(Found found) const {
    if (queue_.identity.deleted()) return queue_.identity.DoesNotExistError();
    if (found == Found::kExpired) {
      return MakeError(Error::kMessageNotInflight,
                       "the receipt's visibility timeout has ended; only that of a message in flight can change");
    }
    if (found == Found::kReceivedAgain) {
      return MakeError(Error::kMessageNotInflight,
                       "the message was received again since; only the last receipt can change its visibility");
    }
    return MakeError(Error::kInvalidParameterValue,
                     "the message is gone; only that of one that is still there can change");
  }

  // One attempt at Find(). Requires: a reference of the caller's, or a read section, keeps the slot in use.
  Found TryFind(SlotRef message, std::uint64_t ordinal, std::uint32_t receive, SlotState& before) {
    return TryFind(message, ordinal, receive, before, Kind::kExpiredReceiptsWork);
  }
  Found TryFind(SlotRef message, std::uint64_t ordinal, std::uint32_t receive, SlotState& before, bool expired_too) {
    // Acquire: pairs with the last store of the word, which publishes the rest of the slot.
    before = SlotState(message.slot->word.load(std::memory_order_acquire));
    if (!before.IsOf(ordinal) || before.receive_count() == 0) return Found::kGone;  // 0: it was never received
    switch (before.phase()) {
      case Phase::kBusy:
        return Found::kBusy;
      case Phase::kInFlight:
      case Phase::kVisibleAgain:
        if (before.receive_count() != receive) {
          return IsPastRetention(message) ? Found::kGone : Found::kReceivedAgain;
        }
        if (before.phase() == Phase::kVisibleAgain && !expired_too) {
          return IsPastRetention(message) ? Found::kGone : Found::kExpired;
        }
        return TryLock(*message.slot, before) ? Found::kLocked : Found::kBusy;
      default:
        return Found::kGone;
    }
  }

  // Requires: if `found` is kLocked, the caller has locked the slot.
  absl::Status DeleteFound(Found found, SlotRef message, SlotState before) {
    if (found == Found::kLocked) {
      DECOUPLE_ASSERT(IsLocked(*message.slot));
      LocalQueueState& local = queue_.store.local();
      if (!Kind::kExpiredReceiptsWork && IsVisibilityTimeoutOver(message) && !IsPastRetention(message)) {
        ReturnToVisible(local, message, before);
        found = Found::kExpired;
      } else {
        messages().Remove(local, message, before, &LocalQueueCounts::deleted);
        queue_.store.ReleaseReference(message);
        return absl::OkStatus();
      }
    }
    if (queue_.identity.deleted()) return queue_.identity.DoesNotExistError();
    const bool is_expired = found == Found::kExpired || found == Found::kReceivedAgain;
    if (is_expired && !Kind::kExpiredReceiptsWork) {
      return MakeError(
          Error::kInvalidParameterValue,
          "The receipt handle has expired: its visibility timeout has ended, and others may have its message; "
          "only the receipt of a message in flight deletes");
    }
    return absl::OkStatus();  // a message that is gone, or was received again, stays as it is
  }

  // These two may be true before the sweep has acted on them.
  bool IsPastRetention(SlotRef message) const { return queue_.store.RetentionEnd(*message.slot) <= queue_.store.Now(); }

  bool IsVisibilityTimeoutOver(SlotRef message) const { return message.times().visible_at() <= queue_.store.Now(); }

  // Makes a message in flight visible: it was released, or its timeout has ended and the sweep has not come yet.
  // Requires: the caller has locked the slot.
  void ReturnToVisible(LocalQueueState& local, SlotRef message, SlotState before) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    messages().NoteReturned(local, message, before);
    messages().MakeVisible(local, message, before);
    queue_.store.visible().Notify(1);
  }

  // Requires: the caller has locked the slot. Unlocks it.
  absl::Status ChangeVisibilityLocked(SlotRef message, SlotState before, absl::Duration timeout) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    LocalQueueState& local = queue_.store.local();
    MessageSlot& slot = *message.slot;
    const std::int64_t now = queue_.store.Now();
    if (queue_.store.RetentionEnd(slot) <= now) {
      messages().Remove(local, message, before, &LocalQueueCounts::expired);
      queue_.store.ReleaseReference(message);
      return NotFound(Found::kGone);
    }
    if (!Kind::kExpiredReceiptsWork && message.times().visible_at() <= now) {
      ReturnToVisible(local, message, before);
      return NotFound(Found::kExpired);
    }
    const std::int64_t visible_at = SaturatingAdd(now, absl::ToInt64Nanoseconds(timeout));
    const absl::Duration most = queue_.checks.limits().max_visibility_timeout;
    const std::int64_t latest = SaturatingAdd(message.times().first_received_at(), absl::ToInt64Nanoseconds(most));
    if (visible_at > latest && timeout != absl::ZeroDuration()) {  // a release is never too late
      const std::int64_t left = latest - now;
      Unlock(slot, before);
      return MakeError(
          Error::kInvalidParameterValue,
          absl::StrCat("visibility timeout of ", absl::FormatDuration(timeout), "; a message stays in flight at most ",
                       absl::FormatDuration(most), " from its first receive, of which ",
                       absl::FormatDuration(absl::Nanoseconds(std::max<std::int64_t>(0, left))), " are left"));
    }
    if (timeout != absl::ZeroDuration()) {
      messages().Hide(local, message, before, now, visible_at);
      if (before.phase() == Phase::kVisibleAgain) queue_.limit.CloseGates();
    } else if (before.phase() == Phase::kVisibleAgain) {
      Unlock(slot, before);  // visible already
    } else {
      ReturnToVisible(local, message, before);
    }
    return absl::OkStatus();
  }

  MessageState<typename Kind::Order> messages() const { return MessageState<typename Kind::Order>(queue_.store); }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_RECEIPTS_H_
