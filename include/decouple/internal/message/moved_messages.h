// Where messages go that are the last in their segment, so that a few stragglers do not keep the memory of many.
//
// They lie in a lane of their own, one beside the other, and are found by the ticket that they had: a receipt names
// that. Only messages move that nobody holds and no line names, which are in flight or delayed. The lane is but a
// place: its head passes everything at once, and what becomes visible again is listed like any other message.
//
// A queue has one of these from its first straggler on. Finding, adding and removing take a mutex.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MOVED_MESSAGES_H_
#define DECOUPLE_INTERNAL_MESSAGE_MOVED_MESSAGES_H_

#include <atomic>
#include <cstdint>
#include <mutex>

#include "absl/container/flat_hash_map.h"
#include "decouple/internal/lane/ticket_lane.h"
#include "decouple/internal/message/message_slot.h"

namespace decouple::internal {

template <typename T>
class MovedMessages {
 public:
  using Lane = TicketLane<MessageSlot<T>>;

  // What a receipt of a moved message says instead of a segment's number.
  static constexpr std::uint32_t kSegmentNumber = UINT32_MAX;

  Lane& lane() { return lane_; }

  // `message` has the ticket from now on.
  void Add(std::uint64_t ticket, MessageAt<T> message) {
    const std::lock_guard lock(mutex_);
    messages_.insert_or_assign(ticket, message);
  }

  void Remove(std::uint64_t ticket) {
    const std::lock_guard lock(mutex_);
    messages_.erase(ticket);
  }

  // Calls visit(message) if the ticket's message is here; it stays meanwhile.
  template <typename Visit>
  void Find(std::uint64_t ticket, Visit visit) {
    const std::lock_guard lock(mutex_);
    const auto found = messages_.find(ticket);
    if (found != messages_.end()) visit(found->second);
  }

 private:
  Lane lane_;
  std::mutex mutex_;
  absl::flat_hash_map<std::uint64_t, MessageAt<T>> messages_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MOVED_MESSAGES_H_
