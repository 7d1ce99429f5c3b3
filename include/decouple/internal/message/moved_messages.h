// Where compaction (compaction.h) moves the last messages of a segment to, so that a few of them do not keep the memory
// of many.
//
// Design. Moved messages lie densely in a lane of their own, and are found by the ticket that they had, as that is what
// a receipt names. Only messages move that are in flight or delayed (in a FIFO queue also visible ones behind another
// of their group), that no delivery refers to and that are not queued for redelivery. The lane only stores them: its
// head passes every ticket at once, and a moved message that becomes visible is queued for redelivery like any other.
//
// A queue has one of these from the first move on. Add(), Remove() and Find() take a mutex.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MOVED_MESSAGES_H_
#define DECOUPLE_INTERNAL_MESSAGE_MOVED_MESSAGES_H_

#include <atomic>
#include <cstdint>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

class MovedMessages {
 public:
  // `layout` is that of the queue's slots.
  explicit MovedMessages(const SlotLayout& layout) : lane_(layout) {}

  // The receipt of a moved message carries this instead of a segment's number.
  static constexpr std::uint32_t kSegmentNumber = UINT32_MAX;

  MessageLane& lane() { return lane_; }

  // `message` is where the message of that ticket is from now on.
  void Add(std::uint64_t ticket, SlotRef message) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    messages_.insert_or_assign(ticket, message);
  }

  void Remove(std::uint64_t ticket) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    [[maybe_unused]] const auto erased = messages_.erase(ticket);
    DECOUPLE_ASSERT(erased == 1);
  }

  // How often a delayed message has moved from one place in this lane to another. A walk through the lane between two
  // equal counts has met every delayed message that there was at its beginning and is still there. Acquire: pairs with
  // CountMoveWithin(), which comes between the copy and the end of the original: what is counted here can be seen.
  std::uint64_t moves_within() const { return moves_within_.load(std::memory_order_acquire); }
  // Requires: the copy is published, locked, and the original is locked still.
  void CountMoveWithin() { moves_within_.fetch_add(1, std::memory_order_release); }

  // Calls visit(message), under the mutex, if the message of that ticket is here: it is not removed meanwhile.
  template <typename Visit>
  void Find(std::uint64_t ticket, Visit visit) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const auto found = messages_.find(ticket);
    if (found != messages_.end()) visit(found->second);
  }

 private:
  MessageLane lane_;
  std::atomic<std::uint64_t> moves_within_{0};
  Mutex mutex_;
  std::unordered_map<std::uint64_t, SlotRef> messages_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MOVED_MESSAGES_H_
