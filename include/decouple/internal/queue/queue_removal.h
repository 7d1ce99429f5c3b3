// The messages of a queue that was deleted: they are removed by the call that deletes it and, if a message comes late,
// by the call that finds it.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_REMOVAL_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_REMOVAL_H_

#include <atomic>
#include <thread>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/queue/purge.h"
#include "decouple/internal/queue/queue_state.h"

namespace decouple::inline v0_1::internal {

template <typename Kind>
class QueueRemoval {
 public:
  explicit QueueRemoval(QueueState& queue) : queue_(queue) {}

  // Whether the caller is the one to remove.
  bool Begin() { return !queue_.is_removing.exchange(true, std::memory_order_relaxed); }

  // Removes all messages. Nothing comes any more, but a thread may be in between its ticket and its message, or its
  // claim and its lease: it is waited for, though not for ever, as it may be the caller that destroys a body. What is
  // left then is removed by the call that finds it. Requires: Begin() was called.
  void RemoveAll() {
    DECOUPLE_ASSERT(queue_.identity.deleted() && queue_.gate.closed());
    for (int round = 0; round < kRounds && !queue_.gate.IsDrained(); ++round) {
      if (round != 0) std::this_thread::yield();
      Purge<Kind>(queue_).RemoveAll(queue_.store.local());
    }
    queue_.is_removing.store(false, std::memory_order_relaxed);
  }

  // Removes what came late into a deleted queue, unless another call does.
  void RemoveRest() {
    if (queue_.gate.closed() && queue_.identity.deleted() && Begin()) RemoveAll();
  }

 private:
  static constexpr int kRounds = 1'000;

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_REMOVAL_H_
