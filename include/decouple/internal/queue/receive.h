// The general receive of either kind of queue: runs what is due, takes what is visible in the order of the kind's
// receiver, and waits if there is nothing and the options say so (the long poll).

#ifndef DECOUPLE_INTERNAL_QUEUE_RECEIVE_H_
#define DECOUPLE_INTERNAL_QUEUE_RECEIVE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/compaction.h"
#include "decouple/internal/queue/queue_removal.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/internal/queue/timeouts.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

// Whether a closed queue has no messages any more.
template <typename Kind>
bool IsDrained(QueueState& queue) {
  if (!queue.gate.closed()) return false;
  // The messages that are left may be past their retention.
  if (!queue.gate.IsDrained()) Timeouts<Kind>(queue).RunAll(queue.store.Now());
  return queue.gate.IsDrained();
}

template <typename Kind>
class Receive {
 public:
  explicit Receive(typename Kind::State& state) : state_(state), queue_(state.queue) {}

  // Receives what is visible at `now`, without waiting. False: there may be a message, but too many are in flight.
  // `is_to_move`: as in LeaseRequest.
  bool Try(LocalQueueState& local, const ReceiveOptions& options, std::int64_t now, ReceivedMessages& received,
           bool is_to_move = false) {
    const std::int64_t timeout = VisibilityTimeoutOf(options);
    LeaseRequest request{.most = static_cast<std::uint32_t>(options.max_messages),
                         .now = now,
                         .visible_at = SaturatingAdd(now, timeout),
                         .is_to_move = is_to_move};
    // These messages are due again at once, and must not be given twice in one call.
    const auto is_enough = [&] { return timeout == 0 && !received.empty(); };
    if (is_enough()) return true;
    for (int sweeps_left = kSweepsPerReceive;; --sweeps_left) {
      Timeouts<Kind>(queue_).SweepDue(local, now);
      request.most = static_cast<std::uint32_t>(options.max_messages - received.size());
      const bool below_limit = typename Kind::Receiver(state_).Lease(local, request, received);
      DECOUPLE_ASSERT(received.size() <= options.max_messages);
      if (received.size() == options.max_messages) return true;
      if (is_enough()) return true;
      // More messages may become visible by the timeouts that are still to be run.
      if (queue_.store.earliest().get() > now || sweeps_left == 0) [[likely]]
        return below_limit || !received.empty();
    }
  }

  // Adds what is visible at `now` to `received`. If there is nothing, and `received` was empty, waits as the options
  // say. Requires: the options have been checked.
  absl::Status Run(const ReceiveOptions& options, std::int64_t now, ReceivedMessages& received) {
    LocalQueueState& local = queue_.store.local();
    const bool below_limit = Try(local, options, now, received);
    if (!received.empty()) [[likely]]
      return absl::OkStatus();
    absl::Status status = FoundNothing(local, options, below_limit, received);
    if (status.ok() && received.empty()) {
      local.counts.empty_receives.Add(1);
      // Only now and then: a thread that polls an empty queue would contend with the senders.
      if (local.counts.empty_receives.value() % kEmptyReceivesPerCompaction == 1) {
        Compaction<Kind>(queue_).CompactSome(local);
      }
    }
    return status;
  }

  std::int64_t VisibilityTimeoutOf(const ReceiveOptions& options) const {
    return options.visibility_timeout ? absl::ToInt64Nanoseconds(*options.visibility_timeout)
                                      : queue_.config.visibility_timeout();
  }

 private:
  static constexpr int kSweepsPerReceive = 100;
  static constexpr std::uint64_t kEmptyReceivesPerCompaction = 64;

  absl::Status FoundNothing(LocalQueueState& local, const ReceiveOptions& options, bool below_limit,
                            ReceivedMessages& received) {
    const std::int64_t wait = options.wait ? absl::ToInt64Nanoseconds(*options.wait) : queue_.config.receive_wait();
    if (wait == 0 || !below_limit) {
      if (HasEnded()) return EndedError();
    }
    if (wait != 0) return AwaitMessage(local, options, SaturatingAdd(queue_.store.Now(), wait), received);
    if (below_limit || !Kind::kOverLimitFails) return absl::OkStatus();
    return MakeError(Error::kOverLimit, absl::StrCat("the queue's maximum of messages in flight, ",
                                                     queue_.max_in_flight.load(std::memory_order_relaxed),
                                                     ", is reached; delete some first"));
  }

  // The long poll: waits until there is a message, the deadline has passed, or the queue is closed.
  absl::Status AwaitMessage(LocalQueueState& local, const ReceiveOptions& options, std::int64_t deadline,
                            ReceivedMessages& received) {
    const bool was_closed = queue_.gate.closed();
    absl::Status status;
    bool watching = false;
    {
      EventCount::Waiter waiter(queue_.store.visible());
      for (;;) {
        const std::int64_t now = queue_.store.Now();
        const bool below_limit = Try(local, options, now, received);
        if (!received.empty()) break;
        if (HasEnded()) {
          status = EndedError();
          break;
        }
        if (now >= deadline || (queue_.gate.closed() && !was_closed)) break;
        if (!below_limit && !watching) {
          queue_.store.WatchForReceivers(1);
          watching = true;
          continue;  // look again: messages may have been removed before this thread watched
        }
        const std::int64_t wake_at = std::min(deadline, queue_.store.earliest().get());
        if (wake_at <= now) {
          std::this_thread::yield();  // another thread runs a step of the sweep
        } else {
          waiter.Sleep(queue_.clock, wake_at);
        }
      }
    }
    if (watching) queue_.store.WatchForReceivers(-1);
    return status;
  }

  // Whether a receiver that found nothing has nothing to wait for; EndedError() says why.
  bool HasEnded() { return queue_.gate.closed() && (queue_.identity.deleted() || IsDrained<Kind>(queue_)); }
  [[gnu::cold, gnu::noinline]] absl::Status EndedError() {
    if (!queue_.identity.deleted()) {
      return MakeError(Error::kQueueClosed, "the queue is closed and drained; nothing will come any more");
    }
    QueueRemoval<Kind>(queue_).RemoveRest();
    return queue_.identity.DoesNotExistError();
  }

  typename Kind::State& state_;
  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_RECEIVE_H_
