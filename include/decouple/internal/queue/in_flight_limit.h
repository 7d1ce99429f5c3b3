// How many messages may be in flight, kept without a counter that every receiver would fight for.
//
// Every lease begins with a claim: of a place in the lane, of one in the line of returned messages, or of a single
// message that is found in another way (those of tenants, all of a FIFO queue). So each of these three has a gate, a
// number of claims up to which it is open; within it receivers only compare. At a closed gate the limit is worked out
// anew from what all threads counted, and the room that is left is dealt out again. As long as a claim has led neither
// to a lease nor to nothing it counts as a lease: so the limit is never exceeded, and it is exact when nothing runs
// concurrently.

#ifndef DECOUPLE_INTERNAL_QUEUE_IN_FLIGHT_LIMIT_H_
#define DECOUPLE_INTERNAL_QUEUE_IN_FLIGHT_LIMIT_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/message/message_store.h"

namespace decouple::internal {

template <typename T>
class InFlightLimit {
 public:
  using Store = MessageStore<T>;

  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();

  enum class Claimant { kLane, kLine, kSingle };

  explicit InFlightLimit(Store& store) : store_(store) {}

  // Takes effect at the next closed gate, which is the next receive.
  void Set(std::int64_t most) {
    const std::lock_guard lock(mutex_);
    most_ = most;
    CloseAll();
  }

  // Something is in flight without a claim: what was dealt out may be too much.
  void DealAnew() {
    const std::lock_guard lock(mutex_);
    CloseAll();
  }

  const std::atomic<std::uint64_t>& lane_gate() const { return lane_gate_; }
  const std::atomic<std::uint64_t>& redelivery_gate() const { return redelivery_gate_; }

  // To take up to `most` messages that are found in another way. Returns for how many; 0: the gate is closed.
  std::uint32_t ClaimSingle(std::uint32_t most) {
    const RcuReadGuard section;  // orders the look at the gate, as in TicketLane::Claim()
    std::uint64_t claims = single_claims_.load(std::memory_order_relaxed);
    std::uint64_t claimed = 0;
    do {
      const std::uint64_t gate = single_gate_.load(std::memory_order_relaxed);
      if (claims >= gate) return 0;
      claimed = std::min<std::uint64_t>(most, gate - claims);
    } while (!single_claims_.compare_exchange_weak(claims, claims + claimed, std::memory_order_relaxed));
    return static_cast<std::uint32_t>(claimed);
  }

  // At a closed gate: opens it again if there is room. O(threads).
  bool OpenFor(Claimant claimant) {
    const std::lock_guard lock(mutex_);
    if (most_ == kNone) {
      for (auto* gate : {&lane_gate_, &redelivery_gate_, &single_gate_})
        gate->store(kOpenUntil, std::memory_order_relaxed);
      return true;
    }
    CloseAll();
    RcuSynchronize();  // nobody claims any more, until we open
    // What ended leases is read before what began them: the difference is too high at most.
    const QueueSums sums = store_.Sums();
    const auto* line = store_.redelivery_lane();
    const std::uint64_t claims = store_.lane().head() + (line == nullptr ? 0 : line->head()) +
                                 single_claims_.load(std::memory_order_relaxed) + sums.hidden_again;
    const std::uint64_t ended = sums.not_leased + sums.removed_in_flight() + sums.returned;
    const auto in_flight = static_cast<std::int64_t>(claims - ended);
    if (in_flight >= most_) return false;
    const auto room = static_cast<std::uint64_t>(most_ - in_flight);
    const std::uint64_t share_of_others = room / 4;
    const auto share = [&](Claimant of) { return of == claimant ? room - 2 * share_of_others : share_of_others; };
    lane_gate_.store(store_.lane().head() + share(Claimant::kLane), std::memory_order_relaxed);
    redelivery_gate_.store((line == nullptr ? 0 : line->head()) + share(Claimant::kLine), std::memory_order_relaxed);
    single_gate_.store(single_claims_.load(std::memory_order_relaxed) + share(Claimant::kSingle),
                       std::memory_order_relaxed);
    return true;
  }

 private:
  void CloseAll() {
    for (auto* gate : {&lane_gate_, &redelivery_gate_, &single_gate_}) gate->store(0, std::memory_order_relaxed);
  }

  Store& store_;
  std::mutex mutex_;
  std::int64_t most_ = kNone;  // under the mutex
  // Read by every claim, written here alone. Relaxed: what a claim publishes, it publishes by other words.
  alignas(kCacheLine) std::atomic<std::uint64_t> lane_gate_{0};
  std::atomic<std::uint64_t> redelivery_gate_{0};
  std::atomic<std::uint64_t> single_gate_{0};
  alignas(kCacheLine) std::atomic<std::uint64_t> single_claims_{0};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_IN_FLIGHT_LIMIT_H_
