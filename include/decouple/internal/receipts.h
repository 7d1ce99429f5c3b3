// What is done with a message that was received: deleting it and changing its visibility, by the delivery that holds it
// or by a receipt that only names it.
//
// A receipt names one receive. When the message was received again since it is stale: deleting does nothing, and
// changing visibility fails, so that the newer receive is never touched.

#ifndef DECOUPLE_INTERNAL_RECEIPTS_H_
#define DECOUPLE_INTERNAL_RECEIPTS_H_

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/in_flight_limit.h"
#include "decouple/internal/message_store.h"
#include "decouple/internal/request_checks.h"
#include "decouple/message.h"

namespace decouple::internal {

template <typename T>
class Receipts {
 public:
  using Store = MessageStore<T>;
  using Lane = typename Store::Lane;
  using Message = typename Store::Message;
  using Mine = typename Store::Mine;
  using Slot = typename Store::Slot;

  Receipts(std::uint64_t identity, Store& store, InFlightLimit<T>& limit, const RequestChecks& checks)
      : identity_(identity), store_(store), limit_(limit), checks_(checks) {}

  MessageId IdOf(Message message) const { return MessageId(identity_, store_.TicketOf(message)); }

  ReceiptHandle ReceiptOf(Message message, std::uint32_t receive) const {
    return ReceiptHandle(identity_, store_.TicketOf(message), store_.SegmentNumberOf(message), receive);
  }

  // ---- of a message that the caller holds ---------------------------------------------------------------------------

  absl::Status Delete(Message message, std::uint32_t receive) {
    store_.RemoveHeld(store_.mine(), message, receive);
    return absl::OkStatus();
  }

  absl::Status ChangeVisibility(Message message, std::uint32_t receive, absl::Duration timeout) {
    if (absl::Status status = checks_.CheckVisibility(timeout); !status.ok()) return status;
    for (;;) {
      SlotWord before;
      const Found found = TryFind(message, message.segment->ordinal.load(std::memory_order_relaxed), receive, before);
      if (found == Found::kBusy) {
        Relax();
        continue;
      }
      return found == Found::kOwned ? ChangeVisibilityOwned(message, before, timeout) : NotFound(found);
    }
  }

  // ---- of one that a receipt names ----------------------------------------------------------------------------------

  absl::Status Delete(const ReceiptHandle& receipt) {
    if (receipt.queue() != identity_) return Foreign(receipt);
    Mine& mine = store_.mine();
    Message message;
    SlotWord before;
    if (Find(receipt, message, before) == Found::kOwned) {
      store_.Remove(mine, message, before, &OwnedQueueCounts::deleted);
      store_.Drop(message);
    }
    return absl::OkStatus();  // what is gone or belongs to another receive by now stays as it is
  }

  absl::Status ChangeVisibility(const ReceiptHandle& receipt, absl::Duration timeout) {
    if (absl::Status status = checks_.CheckVisibility(timeout); !status.ok()) return status;
    if (receipt.queue() != identity_) return Foreign(receipt);
    Message message;
    SlotWord before;
    const Found found = Find(receipt, message, before);
    return found == Found::kOwned ? ChangeVisibilityOwned(message, before, timeout) : NotFound(found);
  }

 private:
  enum class Found { kOwned, kBusy, kGone, kReceivedAgain };

  static absl::Status Foreign(const ReceiptHandle& receipt) {
    return MakeError(Error::kReceiptHandleIsInvalid,
                     absl::StrCat("the receipt handle ", receipt.ToString(), " is not of this queue"));
  }

  static absl::Status NotFound(Found found) {
    if (found == Found::kReceivedAgain) {
      return MakeError(Error::kMessageNotInflight,
                       "the message was received again since; only the last receipt can change its visibility");
    }
    return MakeError(Error::kInvalidParameterValue,
                     "the message is gone; only that of one that is still there can change");
  }

  // One look. Owned: `before` is the word as it was. The slot must stay: held, or in a section.
  Found TryFind(Message message, std::uint64_t ordinal, std::uint32_t receive, SlotWord& before) {
    before = SlotWord(message.slot->word.load(std::memory_order_acquire));
    if (!before.IsOf(ordinal) || before.receive_count() == 0) return Found::kGone;  // 0: not what was received
    switch (before.phase()) {
      case Phase::kBusy:
        return Found::kBusy;
      case Phase::kInFlight:
      case Phase::kListed:
        if (before.receive_count() != receive) {
          const bool is_over = store_.RetentionEnd(*message.slot) <= store_.Now();  // and nothing noticed yet
          return is_over ? Found::kGone : Found::kReceivedAgain;
        }
        return Store::TryOwn(*message.slot, before) ? Found::kOwned : Found::kBusy;
      default:
        return Found::kGone;
    }
  }

  Found Find(const ReceiptHandle& receipt, Message& message, SlotWord& before) {
    for (;;) {
      Found found = Found::kGone;
      {
        const ReadSection section;
        const auto place = store_.lane().FindByNumber(receipt.segment(), receipt.ticket());
        message = {place.segment, place.slot};
        if (place.slot != nullptr) {
          found = TryFind(message, Lane::OrdinalOf(receipt.ticket()), receipt.receive(), before);
        }
      }
      if (found == Found::kGone && store_.aside() != nullptr) {
        store_.aside()->Find(receipt.ticket(), [&](Message moved) {
          message = moved;
          found = TryFind(moved, moved.segment->ordinal.load(std::memory_order_relaxed), receipt.receive(), before);
        });
      }
      if (found != Found::kBusy) return found;
      Relax();  // outside of the section: the owner may be waiting for us to leave it
    }
  }

  absl::Status ChangeVisibilityOwned(Message message, SlotWord before, absl::Duration timeout) {
    Mine& mine = store_.mine();
    Slot& slot = *message.slot;
    const std::int64_t now = store_.Now();
    if (store_.RetentionEnd(slot) <= now) {
      store_.Remove(mine, message, before, &OwnedQueueCounts::expired);
      store_.Drop(message);
      return NotFound(Found::kGone);
    }
    const std::int64_t visible_at = Later(now, absl::ToInt64Nanoseconds(timeout));
    const absl::Duration most = checks_.limits().max_visibility_timeout;
    const std::int64_t latest = Later(slot.first_received_at, absl::ToInt64Nanoseconds(most));
    if (visible_at > latest && timeout != absl::ZeroDuration()) {  // giving back is never too late
      const std::int64_t left = latest - now;
      Store::Disown(slot, before);
      return MakeError(
          Error::kInvalidParameterValue,
          absl::StrCat("visibility timeout of ", absl::FormatDuration(timeout), "; a message stays in flight at most ",
                       absl::FormatDuration(most), " from its first receive, of which ",
                       absl::FormatDuration(absl::Nanoseconds(std::max<std::int64_t>(0, left))), " are left"));
    }
    if (timeout != absl::ZeroDuration()) {
      store_.Hide(mine, message, before, now, visible_at);
      if (before.phase() == Phase::kListed) limit_.DealAnew();
    } else if (before.phase() == Phase::kListed) {
      Store::Disown(slot, before);  // visible already
    } else {
      store_.NoteReturned(mine, message, before);
      store_.MakeVisible(mine, message, before);
      store_.visible().Notify(1);
    }
    return absl::OkStatus();
  }

  const std::uint64_t identity_;
  Store& store_;
  InFlightLimit<T>& limit_;
  const RequestChecks& checks_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_RECEIPTS_H_
