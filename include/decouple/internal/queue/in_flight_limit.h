// The limit of messages in flight, kept without a counter that every receiver would contend for.
//
// Design. Every lease begins with a claim: of a slot of the lane, of an entry of the redelivery lane, or of a single
// message that is found in another way (by the fair scheduler, or in a FIFO queue). Each of these three claimants has a
// gate, the number of claims up to which it may go on; a receiver only compares with it. At a closed gate the limit is
// computed anew from what all threads counted, and the room that is left is dealt out to the three gates.
//
// Invariant. A claim counts as a lease until it has led to a lease or to nothing (not_leased), so the limit is never
// exceeded, and it is exact when nothing runs concurrently.

#ifndef DECOUPLE_INTERNAL_QUEUE_IN_FLIGHT_LIMIT_H_
#define DECOUPLE_INTERNAL_QUEUE_IN_FLIGHT_LIMIT_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/message/message_store.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread.
class InFlightLimit {
 public:
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();

  enum class Claimant { kLane, kRedeliveryLane, kSingle };

  explicit InFlightLimit(MessageStore& store) : store_(store) {}

  // Takes effect at the next closed gate, which is the next receive.
  void SetLimit(std::int64_t most) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    DECOUPLE_ASSERT(most >= 1);
    if (most_ == kClosedForGood) return;
    most_ = most;
    CloseGatesLocked();
  }

  // For a queue that is deleted: after the next RcuSynchronize() no message is claimed any more.
  void CloseForGood() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    most_ = kClosedForGood;
    CloseGatesLocked();
  }

  // To be called when a message is in flight without a claim: the gates may be open for too many.
  void CloseGates() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    CloseGatesLocked();
  }

  const std::atomic<std::uint64_t>& lane_gate() const { return lane_gate_; }
  const std::atomic<std::uint64_t>& redelivery_gate() const { return redelivery_gate_; }

  // Claims up to `most` messages that are not found by a lane. Returns how many; 0: the gate is closed.
  std::uint32_t ClaimSingle(std::uint32_t most) {
    DECOUPLE_ASSERT(most >= 1);
    const RcuReadGuard section;  // orders the load of the gate, as in TicketLane::Claim()
    std::uint64_t claims = single_claims_.load(std::memory_order_relaxed);
    std::uint64_t claimed = 0;
    do {
      const std::uint64_t gate = single_gate_.load(std::memory_order_relaxed);
      if (claims >= gate) return 0;
      claimed = std::min<std::uint64_t>(most, gate - claims);
    } while (!single_claims_.compare_exchange_weak(claims, claims + claimed, std::memory_order_relaxed));
    return static_cast<std::uint32_t>(claimed);
  }

  // For a claimant that met a closed gate: opens all gates again if there is room, else returns false. O(threads); not
  // from within a read section.
  bool TryOpenGates(Claimant claimant) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (most_ == kNone) {
      for (auto* gate : {&lane_gate_, &redelivery_gate_, &single_gate_})
        gate->store(kOpenUntil, std::memory_order_relaxed);
      return true;
    }
    CloseGatesLocked();
    RcuSynchronize();  // from here on no thread claims until the gates open
    // Ends of leases are summed before their beginnings are read, so the difference is too high at most. In one sum of
    // all counts, the end of a lease that began in the meantime might come without its beginning.
    const QueueSums ends = store_.Sums();
    const std::uint64_t ended = ends.not_leased + ends.removed_in_flight() + ends.returned;
    const auto* redelivery_lane = store_.redelivery_lane();
    const std::uint64_t redelivery_claims = redelivery_lane == nullptr ? 0 : redelivery_lane->head();
    const std::uint64_t claims = store_.lane().head() + redelivery_claims +
                                 single_claims_.load(std::memory_order_relaxed) + store_.Sums().hidden_again;
    const auto in_flight = static_cast<std::int64_t>(claims - ended);
    if (in_flight >= most_) return false;
    const auto room = static_cast<std::uint64_t>(most_ - in_flight);
    const std::uint64_t share_of_others = room / 4;
    const auto share = [&](Claimant of) { return of == claimant ? room - 2 * share_of_others : share_of_others; };
    DECOUPLE_ASSERT(share(Claimant::kLane) + share(Claimant::kRedeliveryLane) + share(Claimant::kSingle) == room);
    DECOUPLE_ASSERT(share(claimant) >= 1);
    lane_gate_.store(store_.lane().head() + share(Claimant::kLane), std::memory_order_relaxed);
    redelivery_gate_.store(
        (redelivery_lane == nullptr ? 0 : redelivery_lane->head()) + share(Claimant::kRedeliveryLane),
        std::memory_order_relaxed);
    single_gate_.store(single_claims_.load(std::memory_order_relaxed) + share(Claimant::kSingle),
                       std::memory_order_relaxed);
    return true;
  }

 private:
  static constexpr std::int64_t kClosedForGood = 0;

  void CloseGatesLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto* gate : {&lane_gate_, &redelivery_gate_, &single_gate_}) gate->store(0, std::memory_order_relaxed);
  }

  MessageStore& store_;
  Mutex mutex_;  // serializes the changes of the gates
  std::int64_t most_ ABSL_GUARDED_BY(mutex_) = kNone;
  // Read by every claim, written under the mutex only. Relaxed: a claim publishes nothing by them.
  alignas(kCacheLine) std::atomic<std::uint64_t> lane_gate_{0};
  std::atomic<std::uint64_t> redelivery_gate_{0};
  std::atomic<std::uint64_t> single_gate_{0};
  alignas(kCacheLine) std::atomic<std::uint64_t> single_claims_{0};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_IN_FLIGHT_LIMIT_H_
