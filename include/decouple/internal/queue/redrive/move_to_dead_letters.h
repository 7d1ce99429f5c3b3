// Moving a message that was received too often to the dead-letter queue, and what becomes of one that is not taken.

#ifndef DECOUPLE_INTERNAL_REDRIVING_H_
#define DECOUPLE_INTERNAL_REDRIVING_H_

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "decouple/internal/any_queue.h"
#include "decouple/internal/message_store.h"
#include "decouple/internal/sleeper.h"
#include "decouple/internal/transfer.h"
#include "decouple/redrive.h"

namespace decouple::internal {

template <typename T>
class QueueCore;

template <typename T>
class Redriving {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using Mine = typename Store::Mine;

  Redriving(QueueCore<T>& core, Store& store) : core_(core), store_(store), transfers_(core, store) {}

  // Whether a visible message is not to be received a further time.
  bool IsDue(SlotWord before) const { return before.receive_count() >= core_.dead_letters().max_receives(); }

  // Of such a message, which the caller owns.
  void Redrive(Mine& mine, Message message, SlotWord before, std::int64_t now) {
    const std::shared_ptr<AnyQueue> target = core_.dead_letters().target();
    auto* const dead_letters = static_cast<QueueCore<T>*>(target.get());  // of the same type: see LinkDeadLetters()
    Transfer<T> transfer;  // if it is not taken over, it goes after the message is given back
    if (dead_letters != nullptr && dead_letters->dead_letters().Allows(core_.identity())) {
      transfer = transfers_.Prepare(mine, message, before, before.Has(SlotWord::kHeld));
      transfer.is_dead_letter = true;
      transfer.particulars->origin->id = core_.receipts().IdOf(message);
      transfer.particulars->origin->source_name = core_.name();
      transfer.particulars->origin->source = core_.weak_from_this();
      if (dead_letters->TakeOver(transfer)) {
        transfers_.Finish(mine, message, before, transfer, &OwnedQueueCounts::redriven);
        return;
      }
    }
    mine.counts.failed_to_redrive.Add(1);
    store_.Hide(mine, message, before, now, Later(now, absl::ToInt64Nanoseconds(kRedriveRetry)));
    if (dead_letters != nullptr) dead_letters->WorkOff();  // now that we own nothing: there may be room by then
  }

 private:
  QueueCore<T>& core_;
  Store& store_;
  Transfers<T> transfers_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_REDRIVING_H_
