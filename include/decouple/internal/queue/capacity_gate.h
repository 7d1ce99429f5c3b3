// Admission of messages: every sender passes this gate. It admits all messages until the queue is closed and, if the
// queue's capacity is bounded, only as long as there is room.
//
// Design. In an open, unbounded queue a sender reads one word. It reads the word, takes its ticket and counts itself
// within one RcuReadGuard, so Close() and SetCapacity() need only change the word and RcuSynchronize() to know that no
// sender goes by the old value, and that all senders that did are counted.
//
// With a capacity, senders add their messages to the sums of what was admitted, and compare these with what was removed
// plus the capacity. The sums of removals are kept from the last time that they mattered, so a send into a queue that
// is not full costs two atomic additions.

#ifndef DECOUPLE_INTERNAL_QUEUE_CAPACITY_GATE_H_
#define DECOUPLE_INTERNAL_QUEUE_CAPACITY_GATE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/queue/queue_identity.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread; a LocalQueueState is the caller's own.
class CapacityGate {
 public:
  CapacityGate(const QueueIdentity& identity, MessageStore& store) : identity_(identity), store_(store) {}

  // Acquire: pairs with the release in Close().
  bool closed() const { return (state_.load(std::memory_order_acquire) & kClosed) != 0; }
  bool IsUnbounded() const { return (state_.load(std::memory_order_relaxed) & kBounded) == 0; }

  // Fast path: admits `n` messages of `bytes` in all into an open, unbounded queue, and sets `ticket` to the first of
  // their consecutive tickets. False: nothing has happened; call Admit() for each.
  [[gnu::always_inline]] bool TryAdmit(LocalQueueState& local, std::uint32_t n, std::size_t bytes,
                                       std::uint64_t& ticket) {
    const RcuReadGuard section;
    return TryAdmit(section, local, n, bytes, ticket);
  }
  // Same as above, within the caller's read section.
  [[gnu::always_inline]] bool TryAdmit(const RcuReadGuard&, LocalQueueState& local, std::uint32_t n, std::size_t bytes,
                                       std::uint64_t& ticket) {
    // Relaxed: ordered by the section, with the RcuSynchronize() of the thread that changes the word.
    if (state_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      return false;
    ticket = TakeTickets(local, n, bytes);
    return true;
  }

  // Admits one message into a queue in any state, without waiting. False: it is closed, or there is no room.
  bool TryAdmitOne(LocalQueueState& local, std::size_t bytes, std::uint64_t& ticket) {
    if (TryAdmitInAnyState(local, bytes, ticket)) return true;
    if (closed()) return false;
    RecountRemovals();
    return TryAdmitInAnyState(local, bytes, ticket);
  }

  // Admits one message into a queue in any state, and waits for room if the capacity says so (Block). Before it waits
  // it calls make_room(), which returns the earliest instant at which there may be room without a removal.
  template <typename MakeRoom>
  absl::Status Admit(LocalQueueState& local, std::size_t bytes, Clock& clock, std::uint64_t& ticket,
                     MakeRoom make_room) {
    return Admit(bytes, clock, make_room, [&] { return TryAdmitInAnyState(local, bytes, ticket); });
  }

  // Same as above, but the caller makes the attempts, by TryAdmit() or TryAdmitOne().
  template <typename MakeRoom, typename Attempt>
  absl::Status Admit(std::size_t bytes, Clock& clock, MakeRoom make_room, Attempt attempt) {
    if (attempt()) return absl::OkStatus();
    if (closed()) return ClosedError();
    if (static_cast<std::int64_t>(bytes) > most_bytes_.load(std::memory_order_relaxed)) {
      return MakeError(Error::kInvalidParameterValue,
                       absl::StrCat("a message of ", bytes, " bytes; the queue's capacity is ",
                                    most_bytes_.load(std::memory_order_relaxed), " bytes in all"));
    }
    EventCount::Waiter waiter(store_.room());
    const std::int64_t deadline = SaturatingAdd(clock.NowNanos(), block_.load(std::memory_order_relaxed));
    for (;;) {
      const std::int64_t room_at = make_room();
      RecountRemovals();
      if (attempt()) return absl::OkStatus();
      if (closed()) return ClosedError();
      if (clock.NowNanos() >= deadline) return FullError();
      waiter.Sleep(clock, std::min(deadline, room_at));
    }
  }

  // When this returns, no message is admitted any more, and all that were are counted. Not from within a read section.
  void Close() {
    state_.fetch_or(kClosed, std::memory_order_release);  // pairs with closed()
    RcuSynchronize();
    store_.WatchForReceivers(1);  // receivers wait for the last message to be removed
    store_.room().Notify(EventCount::kAll);
  }

  // Whether every message that was admitted is gone.
  bool IsDrained() const {
    const QueueSums sums = store_.Sums();
    return sums.sent == sums.removed();
  }

  // Requires: CheckCapacity() found nothing wrong with `capacity`. Not from within a read section.
  void SetCapacity(const Capacity& capacity) ABSL_LOCKS_EXCLUDED(setting_) {
    DECOUPLE_ASSERT(capacity.messages >= 1 && capacity.bytes >= 1);
    const MutexLock lock(setting_);
    most_messages_.store(capacity.messages, std::memory_order_relaxed);
    most_bytes_.store(capacity.bytes, std::memory_order_relaxed);
    const Block* const block = std::get_if<Block>(&capacity.when_full);
    block_.store(block == nullptr ? 0 : absl::ToInt64Nanoseconds(block->timeout), std::memory_order_relaxed);
    const bool bounded = capacity.messages != Capacity::kUnbounded || capacity.bytes != Capacity::kUnbounded;
    if (bounded && IsUnbounded()) {
      state_.fetch_or(kBounded | kCounting, std::memory_order_relaxed);
      RcuSynchronize();  // every sender that did not add to `admitted` is in the sums now; all others wait
      store_.WatchForRoom(1);
      const QueueSums sums = store_.Sums();
      DECOUPLE_ASSERT(sums.removed() <= sums.sent);
      admitted_messages_.store(static_cast<std::int64_t>(sums.sent), std::memory_order_relaxed);
      admitted_bytes_.store(static_cast<std::int64_t>(sums.sent_bytes), std::memory_order_relaxed);
      removed_messages_.store(static_cast<std::int64_t>(sums.removed()), std::memory_order_relaxed);
      removed_bytes_.store(static_cast<std::int64_t>(sums.removed_bytes), std::memory_order_relaxed);
      // Publishes the sums; pairs with the acquire in TryAdmitInAnyState().
      state_.fetch_and(~kCounting, std::memory_order_release);
    } else if (!bounded && !IsUnbounded()) {
      state_.fetch_and(~kBounded, std::memory_order_relaxed);
      store_.WatchForRoom(-1);
    }
    store_.room().Notify(EventCount::kAll);  // there may be more room now
  }

  Capacity capacity() const ABSL_LOCKS_EXCLUDED(setting_) {
    const MutexLock lock(setting_);
    Capacity capacity{.messages = most_messages_.load(std::memory_order_relaxed),
                      .bytes = most_bytes_.load(std::memory_order_relaxed)};
    const std::int64_t block = block_.load(std::memory_order_relaxed);
    if (block != 0) capacity.when_full = Block{DurationOf(block)};
    return capacity;
  }

 private:
  static constexpr std::uint32_t kClosed = 1;
  static constexpr std::uint32_t kBounded = 2;
  static constexpr std::uint32_t kCounting = 4;  // senders wait until the sums have been taken

  // Requires: the caller is in the read section in which it saw that it may send.
  [[gnu::always_inline]] std::uint64_t TakeTickets(LocalQueueState& local, std::uint32_t n, std::size_t bytes) {
    DECOUPLE_ASSERT(n >= 1);
    local.counts.sent.Add(n);
    local.counts.sent_bytes.Add(bytes);
    return store_.lane().TakeTickets(n);
  }

  // False: the queue is closed, or there is no room as far as removals have been counted.
  bool TryAdmitInAnyState(LocalQueueState& local, std::size_t bytes, std::uint64_t& ticket) {
    for (;;) {
      {
        const RcuReadGuard section;
        const std::uint32_t state = state_.load(std::memory_order_acquire);  // pairs with SetCapacity()
        if ((state & kClosed) != 0) return false;
        if ((state & kCounting) == 0) {
          if ((state & kBounded) != 0 && !TryReserve(static_cast<std::int64_t>(bytes))) return false;
          ticket = TakeTickets(local, 1, bytes);
          return true;
        }
      }
      std::this_thread::yield();
    }
  }

  bool TryReserve(std::int64_t bytes) {
    if (!TryAdd(admitted_messages_, 1, removed_messages_, most_messages_)) return false;
    if (TryAdd(admitted_bytes_, bytes, removed_bytes_, most_bytes_)) return true;
    [[maybe_unused]] const std::int64_t admitted = admitted_messages_.fetch_sub(1, std::memory_order_relaxed);
    DECOUPLE_ASSERT(admitted >= 1);
    store_.room().Notify(EventCount::kAll);  // a sender that was refused meanwhile may fit
    return false;
  }

  // Relaxed: all of these are sums, and publish nothing. Between the two loads other messages may come and go,
  // but then the exchange fails. When it succeeds, `held` is too high at most, because removals are counted late.
  static bool TryAdd(std::atomic<std::int64_t>& admitted, std::int64_t n, const std::atomic<std::int64_t>& removed,
                     const std::atomic<std::int64_t>& most) {
    std::int64_t seen = admitted.load(std::memory_order_relaxed);
    do {
      const std::int64_t held = seen - removed.load(std::memory_order_relaxed);
      if (n > most.load(std::memory_order_relaxed) - held) return false;
    } while (!admitted.compare_exchange_weak(seen, seen + n, std::memory_order_relaxed));
    return true;
  }

  void RecountRemovals() {
    const QueueSums sums = store_.Sums();
    RaiseTo(removed_messages_, static_cast<std::int64_t>(sums.removed()));
    RaiseTo(removed_bytes_, static_cast<std::int64_t>(sums.removed_bytes));
  }

  static void RaiseTo(std::atomic<std::int64_t>& sum, std::int64_t to) {
    std::int64_t seen = sum.load(std::memory_order_relaxed);
    while (seen < to && !sum.compare_exchange_weak(seen, to, std::memory_order_relaxed)) {
    }
  }

  absl::Status ClosedError() const {
    if (identity_.deleted()) return identity_.DoesNotExistError();
    return MakeError(Error::kQueueClosed, "the queue is closed; nothing can be sent to it any more");
  }

  absl::Status FullError() const {
    return MakeError(Error::kQueueFull,
                     absl::StrCat("the queue is full; its capacity is ",
                                  FormatBound(most_messages_.load(std::memory_order_relaxed), " messages"), " and ",
                                  FormatBound(most_bytes_.load(std::memory_order_relaxed), " bytes")));
  }

  static std::string FormatBound(std::int64_t most, const char* unit) {
    return most == Capacity::kUnbounded ? absl::StrCat("any number of", unit) : absl::StrCat(most, unit);
  }

  alignas(kCacheLine) std::atomic<std::uint32_t> state_{0};
  const QueueIdentity& identity_;
  MessageStore& store_;
  // Relaxed: each of these three is a number of its own, in force for sends that begin later.
  std::atomic<std::int64_t> most_messages_{Capacity::kUnbounded};
  std::atomic<std::int64_t> most_bytes_{Capacity::kUnbounded};
  std::atomic<std::int64_t> block_{0};  // nanoseconds that a send waits for room; 0: it is refused
  mutable Mutex setting_;               // serializes SetCapacity(); senders do not take it

  alignas(kCacheLine) std::atomic<std::int64_t> admitted_messages_{0};
  std::atomic<std::int64_t> admitted_bytes_{0};
  // What was removed, as last summed up: never more than was removed in truth.
  std::atomic<std::int64_t> removed_messages_{0};
  std::atomic<std::int64_t> removed_bytes_{0};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_CAPACITY_GATE_H_
