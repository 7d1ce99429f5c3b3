// What happens to a queue as time passes: timeouts end, and messages go past their retention.
//
// Design. A queue has no thread of its own, so timeouts that have passed are run by the threads that call it: every
// send or receive that finds something due runs a bounded part of it (RunSome), and a call that reports counts runs all
// of it first (RunAll), so that counts are exact.

#ifndef DECOUPLE_INTERNAL_QUEUE_TIMEOUTS_H_
#define DECOUPLE_INTERNAL_QUEUE_TIMEOUTS_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/retention.h"
#include "decouple/internal/queue/timeout_sweep.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread, but not from within a read section.
template <typename Kind>
class Timeouts {
 public:
  explicit Timeouts(QueueState& queue) : queue_(queue) {}

  // Runs every timeout that has passed at `now`.
  void RunAll(std::int64_t now) {
    LocalQueueState& local = queue_.store.local();
    TimeoutSweep<Kind>(queue_).RunAll(local, now);
    Retention<Kind>(queue_).RemoveExpiredAtHead(local, now, std::numeric_limits<std::uint32_t>::max());
  }

  // Runs a bounded number of the timeouts that have passed.
  void RunSome(LocalQueueState& local, std::int64_t now) {
    SweepSome(local, now);
    Retention<Kind>(queue_).RemoveExpiredAtHead(local, now, kExpiredPerCall);
  }
  // Same as RunSome(), for a sender. Loading the head slot takes its cache line from the receivers, so it is skipped
  // until the message last seen at the head can have expired.
  void RunSomeForSender(LocalQueueState& local, std::int64_t now) {
    SweepSome(local, now);
    if (SaturatingAdd(local.head_sent_since, queue_.store.retention()) <= now) [[unlikely]]
      local.head_sent_since = Retention<Kind>(queue_).RemoveExpiredAtHead(local, now, kExpiredPerCall);
  }

  // Runs some of what is due, without a look at the head.
  void SweepDue(LocalQueueState& local, std::int64_t now) {
    if (queue_.store.earliest().get() <= now) [[unlikely]]
      TimeoutSweep<Kind>(queue_).RunSteps(local, now, kSweepStepsPerCall);
  }

  // For a sender that found the queue full: removes the messages that are past their retention. Returns the earliest
  // instant at which there may be room without a removal by another thread.
  std::int64_t MakeRoom(LocalQueueState& local) {
    const std::int64_t now = queue_.store.Now();
    RunAll(now);
    return std::max(now, std::min(queue_.store.earliest().get(), Retention<Kind>(queue_).FindHeadRetentionEnd(local)));
  }

 private:
  static constexpr int kSweepStepsPerCall = 4;
  static constexpr std::uint32_t kExpiredPerCall = 2 * kSlotsPerSegment;

  void SweepSome(LocalQueueState& local, std::int64_t now) {
    SweepDue(local, now);
    TimeoutSweep<Kind>(queue_).RestoreBiasIfIdle(now);
  }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_TIMEOUTS_H_
