// Who may send: everybody, until the queue is closed; as long as there is room, if its capacity is bounded.
//
// In an open, unbounded queue a sender reads one word. The word is read, and the ticket taken and counted, within one
// RcuReadGuard: so Close() and the one who sets a capacity need only change it and RcuSynchronize() to know that no sender
// goes by its old value, and that all who did are counted.
//
// With a capacity, senders add themselves up in `admitted` and compare with what was removed plus the capacity. The sum
// of removals is kept from the last time it mattered, so a queue that is not full costs two atomic additions.

#ifndef DECOUPLE_INTERNAL_QUEUE_CAPACITY_GATE_H_
#define DECOUPLE_INTERNAL_QUEUE_CAPACITY_GATE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/queue_options.h"

namespace decouple::internal {

template <typename T>
class CapacityGate {
 public:
  using Store = MessageStore<T>;
  using LocalState = typename Store::LocalState;

  explicit CapacityGate(Store& store) : store_(store) {}

  bool closed() const { return (state_.load(std::memory_order_acquire) & kClosed) != 0; }
  bool IsUnbounded() const { return (state_.load(std::memory_order_relaxed) & kBounded) == 0; }

  // The usual case, for `n` messages of together `bytes`: their first ticket. False: ask Admit() for each.
  [[gnu::always_inline]] bool TryAdmit(LocalState& local, std::uint32_t n, std::size_t bytes, std::uint64_t& ticket) {
    const RcuReadGuard section;
    return TryAdmit(section, local, n, bytes, ticket);
  }
  // The same in the caller's section.
  [[gnu::always_inline]] bool TryAdmit(const RcuReadGuard&, LocalState& local, std::uint32_t n, std::size_t bytes,
                                       std::uint64_t& ticket) {
    // Relaxed: the section and the other side's RcuSynchronize() order it.
    if (state_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      return false;
    ticket = TakeTickets(local, n, bytes);
    return true;
  }

  // One message, in a queue in any state, without waiting. False: closed, or no room.
  bool TryAdmitOne(LocalState& local, std::size_t bytes, std::uint64_t& ticket) {
    if (Attempt(local, bytes, ticket)) return true;
    if (closed()) return false;
    RecountRemovals();
    return Attempt(local, bytes, ticket);
  }

  // One message, in a queue in any state. Waits if the capacity says so; `make_room` is called before it does, and
  // returns the earliest instant at which there may be room by itself.
  template <typename MakeRoom>
  absl::Status Admit(LocalState& local, std::size_t bytes, Clock& clock, std::uint64_t& ticket, MakeRoom make_room) {
    return Admit(bytes, clock, make_room, [&] { return Attempt(local, bytes, ticket); });
  }

  // The same where the caller makes the attempts, by TryAdmit() or TryAdmitOne().
  template <typename MakeRoom, typename Attempt>
  absl::Status Admit(std::size_t bytes, Clock& clock, MakeRoom make_room, Attempt attempt) {
    if (attempt()) return absl::OkStatus();
    if (closed()) return Closed();
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
      if (closed()) return Closed();
      if (clock.NowNanos() >= deadline) return Full();
      waiter.Sleep(clock, std::min(deadline, room_at));
    }
  }

  // After this nobody is admitted, and all who were are counted.
  void Close() {
    state_.fetch_or(kClosed, std::memory_order_release);  // pairs with closed()
    RcuSynchronize();
    store_.WatchForReceivers(1);  // they wait for the last message to go
    store_.room().Notify(EventCount::kAll);
  }

  // Every message that was admitted is gone.
  bool IsEmpty() const {
    const QueueSums sums = store_.Sums();
    return sums.sent == sums.removed();
  }

  void SetCapacity(const Capacity& capacity) {
    const std::lock_guard lock(setting_);
    most_messages_.store(capacity.messages, std::memory_order_relaxed);
    most_bytes_.store(capacity.bytes, std::memory_order_relaxed);
    const Block* const block = std::get_if<Block>(&capacity.when_full);
    block_.store(block == nullptr ? 0 : absl::ToInt64Nanoseconds(block->timeout), std::memory_order_relaxed);
    const bool bounded = capacity.messages != Capacity::kUnbounded || capacity.bytes != Capacity::kUnbounded;
    if (bounded && IsUnbounded()) {
      state_.fetch_or(kBounded | kCounting, std::memory_order_relaxed);
      RcuSynchronize();  // whoever did not count himself in `admitted` is in the sums now; nobody else goes on
      store_.WatchForRoom(1);
      const QueueSums sums = store_.Sums();
      admitted_messages_.store(static_cast<std::int64_t>(sums.sent), std::memory_order_relaxed);
      admitted_bytes_.store(static_cast<std::int64_t>(sums.sent_bytes), std::memory_order_relaxed);
      removed_messages_.store(static_cast<std::int64_t>(sums.removed()), std::memory_order_relaxed);
      removed_bytes_.store(static_cast<std::int64_t>(sums.removed_bytes), std::memory_order_relaxed);
      state_.fetch_and(~kCounting, std::memory_order_release);  // publishes the sums
    } else if (!bounded && !IsUnbounded()) {
      state_.fetch_and(~kBounded, std::memory_order_relaxed);
      store_.WatchForRoom(-1);
    }
    store_.room().Notify(EventCount::kAll);  // there may be more of it now
  }

 private:
  static constexpr std::uint32_t kClosed = 1;
  static constexpr std::uint32_t kBounded = 2;
  static constexpr std::uint32_t kCounting = 4;  // senders wait until the sums have been taken

  [[gnu::always_inline]] std::uint64_t TakeTickets(LocalState& local, std::uint32_t n, std::size_t bytes) {
    local.counts.sent.Add(n);
    local.counts.sent_bytes.Add(bytes);
    return store_.lane().TakeTickets(n);
  }

  // In whatever state. False: closed, or no room.
  bool Attempt(LocalState& local, std::size_t bytes, std::uint64_t& ticket) {
    for (;;) {
      {
        const RcuReadGuard section;
        const std::uint32_t state = state_.load(std::memory_order_acquire);  // pairs with the end of counting
        if ((state & kClosed) != 0) return false;
        if ((state & kCounting) == 0) {
          if ((state & kBounded) != 0 && !Reserve(static_cast<std::int64_t>(bytes))) return false;
          ticket = TakeTickets(local, 1, bytes);
          return true;
        }
      }
      std::this_thread::yield();
    }
  }

  bool Reserve(std::int64_t bytes) {
    if (!Add(admitted_messages_, 1, removed_messages_, most_messages_)) return false;
    if (Add(admitted_bytes_, bytes, removed_bytes_, most_bytes_)) return true;
    admitted_messages_.fetch_sub(1, std::memory_order_relaxed);
    store_.room().Notify(EventCount::kAll);  // one who was refused because of us may fit
    return false;
  }

  // Relaxed: these are sums, nothing is published by them.
  static bool Add(std::atomic<std::int64_t>& admitted, std::int64_t n, const std::atomic<std::int64_t>& removed,
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
    Raise(removed_messages_, static_cast<std::int64_t>(sums.removed()));
    Raise(removed_bytes_, static_cast<std::int64_t>(sums.removed_bytes));
  }

  static void Raise(std::atomic<std::int64_t>& sum, std::int64_t to) {
    std::int64_t seen = sum.load(std::memory_order_relaxed);
    while (seen < to && !sum.compare_exchange_weak(seen, to, std::memory_order_relaxed)) {
    }
  }

  static absl::Status Closed() {
    return MakeError(Error::kQueueClosed, "the queue is closed; nothing can be sent to it any more");
  }

  absl::Status Full() const {
    return MakeError(Error::kQueueFull,
                     absl::StrCat("the queue is full; its capacity is ",
                                  Bound(most_messages_.load(std::memory_order_relaxed), " messages"), " and ",
                                  Bound(most_bytes_.load(std::memory_order_relaxed), " bytes")));
  }

  static std::string Bound(std::int64_t most, const char* unit) {
    return most == Capacity::kUnbounded ? absl::StrCat("any number of", unit) : absl::StrCat(most, unit);
  }

  alignas(kCacheLine) std::atomic<std::uint32_t> state_{0};
  Store& store_;
  std::atomic<std::int64_t> most_messages_{Capacity::kUnbounded};
  std::atomic<std::int64_t> most_bytes_{Capacity::kUnbounded};
  std::atomic<std::int64_t> block_{0};  // nanoseconds; 0: reject
  std::mutex setting_;

  alignas(kCacheLine) std::atomic<std::int64_t> admitted_messages_{0};
  std::atomic<std::int64_t> admitted_bytes_{0};
  // As last summed up; never more than were.
  std::atomic<std::int64_t> removed_messages_{0};
  std::atomic<std::int64_t> removed_bytes_{0};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_CAPACITY_GATE_H_
