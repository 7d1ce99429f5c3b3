// A message on its way from one queue to another: as a dead letter, or by a move task.

#ifndef DECOUPLE_INTERNAL_TRANSFER_H_
#define DECOUPLE_INTERNAL_TRANSFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "decouple/internal/message_slot.h"

namespace decouple::internal {

// The queue that takes it over moves from it; one that does not leaves it as it is.
template <typename T>
struct Transfer {
  T* body = nullptr;                         // null: particulars.origin->shared has it
  std::unique_ptr<Particulars> particulars;  // attributes, group, deduplication id, origin
  std::size_t bytes = 0;                     // as the message counts towards sizes
  std::int64_t sent_at = 0;                  // to go on with, if the queue's kind keeps it
  bool is_dead_letter = false;               // else it is sent anew

  // Puts the body where it is to be.
  auto ConstructBody() {
    return [this](MessageSlot<T>& slot) { slot.Construct(std::move(*body)); };
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TRANSFER_H_
