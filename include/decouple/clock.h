// The source of time: the library reads time and sleeps only through a Clock.
//
//   decouple::StandardQueue<int> queue;                                        // on the system clock
//
//   decouple::ManualClock clock;                                               // in a test
//   auto queue = decouple::StandardQueue<int>::Create({.clock = &clock}).value();
//   clock.Advance(absl::Hours(96));                                            // four days pass at once
//
// A clock has one timeline, which never runs back. The system clock's timeline is anchored to wall time when the
// process starts and is steady from then on, so setting the wall clock moves no deadline. While the machine is
// suspended it stands still, as the system's steady clock does: timeouts and retention go on when the machine does, and
// from then on the timeline is behind the wall clock by as long. A clock must outlive the queues, topics and streams
// that use it. All members may be called from any thread.

#ifndef DECOUPLE_CLOCK_H_
#define DECOUPLE_CLOCK_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "decouple/internal/base/condition_variable.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/parker.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/base/tsc_clock.h"

namespace decouple::inline v0_1 {

// A time of yours that is less than this ahead of the library's clock counts as now, where a time that is ahead is
// refused: a position in a stream, the start of a group. Two clocks of one machine, such as absl::Now() and
// SystemClock, differ by some hundred nanoseconds, those of two machines by some milliseconds, and now and then by tens
// of them. What a caller means that asks for a time in the future is further ahead.
inline constexpr absl::Duration kClockTolerance = absl::Seconds(1);

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  absl::Time Now() const { return absl::FromUnixNanos(NowNanos()); }

  // Extension point: a clock of your own overrides the following two. Only the library calls them.

  // Nanoseconds since the Unix epoch; never less than an earlier call returned.
  virtual std::int64_t NowNanos() const = 0;

  // Puts the calling thread to sleep until `parker` (the thread's own, prepared) is woken or the clock shows `deadline`
  // (internal::kForever: no deadline). May return early: the caller checks again what it waits for.
  virtual void Sleep(internal::Parker& parker, std::int64_t deadline) = 0;
};

// The machine's time: within 1 ms of what its steady clock (CLOCK_MONOTONIC) shows, however threads are put aside
// meanwhile (preempted, throttled, stopped by a debugger), and below a microsecond where they are not and the steady
// clock keeps its pace. After the machine was suspended it may be ahead by up to a second for some seconds. There is
// one instance.
class SystemClock final : public Clock {
 public:
  static SystemClock& Instance() {
    static auto& clock = *new SystemClock;  // never destroyed: other statics may use it to the program's end
    return clock;
  }

  std::int64_t NowNanos() const override { return internal::TscClock::Now(); }

  void Sleep(internal::Parker& parker, std::int64_t deadline) override {
    parker.SleepFor(deadline == internal::kForever ? internal::kForever : deadline - NowNanos());
  }

 private:
  SystemClock() = default;
};

// Time that stands still until a test moves it.
//
//   std::thread worker([&] { result = queue.Receive({.wait = absl::Seconds(20)}); });
//   clock.AwaitSleepers(1);               // the worker is in its long poll
//   clock.Advance(absl::Seconds(20));     // the long poll ends exactly at its deadline
//   worker.join();
//
// A thread that has nobody to move time for it lets its own sleep do so:
//
//   const auto advancing = clock.AdvanceWhileAsleep();
//   auto received = queue.Receive({.wait = absl::Seconds(20)});      // returns at once; it is 20 s later now
//
// Advancing wakes the sleepers that are due, in the order of their deadlines, each while the clock shows exactly its
// deadline, and returns when all of them have left their sleep. What they do next runs concurrently with the caller: a
// test that needs it done before time moves on advances to that deadline first and joins or awaits the thread there.
// Two threads must not advance the clock at once, nor may a thread that holds a lock which a sleeper needs to wake up.
class ManualClock final : public Clock {
 public:
  // Starts at `start`; by default at a fixed date, the same in every run.
  explicit ManualClock(absl::Time start = absl::FromUnixSeconds(1'700'000'000)) : now_(absl::ToUnixNanos(start)) {}

  std::int64_t NowNanos() const override {
    return now_.load(std::memory_order_acquire);  // pairs with Show(): publishes what was done before the advance
  }

  // Moves time on by `duration`; does nothing if that is negative.
  void Advance(absl::Duration duration) {
    if (duration > absl::ZeroDuration()) AdvanceTo(Now() + duration);
  }

  // Moves time on to `time`; does nothing if that is not in the future.
  void AdvanceTo(absl::Time time) ABSL_LOCKS_EXCLUDED(mutex_) {
    const std::int64_t target = absl::ToUnixNanos(time);
    const internal::MutexLock lock(mutex_);
    while (!asleep_.empty() && asleep_.begin()->first <= target) {
      const auto due = asleep_.begin();
      Show(due->first);
      const std::uint64_t entry = due->second.number;
      due->second.parker->Wake();
      while (!asleep_.empty() && Contains(entry)) left_.Wait(mutex_);
    }
    Show(target);
  }

  // While this object lives, time moves on by itself.
  class [[nodiscard]] Advancing {
   public:
    Advancing(const Advancing&) = delete;
    Advancing& operator=(const Advancing&) = delete;
    ~Advancing() { clock_.EndAdvancing(number_); }

   private:
    friend class ManualClock;

    Advancing(ManualClock& clock, std::size_t threads) : clock_(clock), number_(clock.BeginAdvancing(threads)) {}

    ManualClock& clock_;
    const std::uint64_t number_;
  };

  // As long as the returned object lives, whenever `threads` threads or more sleep on this clock time moves on to the
  // deadline that comes first, and only that sleeper wakes; the next one, when as many sleep again. Of several such
  // objects the one that was made last decides while it lives; they may end in any order. 0 threads count as 1. So a
  // test takes no time, and if `threads` is the number of all threads that use the clock, which is at least 1, time
  // moves on only when none of them has anything else to do: the test runs the same way each time. A thread that has
  // been woken but has not left its sleep yet counts as awake. When no sleeper has a deadline, time stands still.
  // O(sleepers) a sleep.
  Advancing AdvanceWhileAsleep(std::size_t threads = 1) { return {*this, threads}; }

  // The number of threads that sleep on this clock now.
  std::size_t sleepers() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const internal::MutexLock lock(mutex_);
    return asleep_.size();
  }

  // Returns when at least `count` threads sleep on this clock, so a test knows that a thread is in its long poll.
  void AwaitSleepers(std::size_t count) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const internal::MutexLock lock(mutex_);
    while (asleep_.size() < count) entered_.Wait(mutex_);
  }

  void Sleep(internal::Parker& parker, std::int64_t deadline) override ABSL_LOCKS_EXCLUDED(mutex_) {
    std::multimap<std::int64_t, Entry>::iterator self;
    {
      const internal::MutexLock lock(mutex_);
      if (deadline <= NowNanos()) return;
      self = asleep_.emplace(deadline, Entry{&parker, ++last_number_});  // equal deadlines: in the order of arrival
      entered_.NotifyAll();
      AdvanceIfEnoughSleep();
    }
    while (!parker.woken()) parker.SleepFor(internal::kForever);
    const internal::MutexLock lock(mutex_);
    asleep_.erase(self);
    left_.NotifyAll();
    AdvanceIfEnoughSleep();
  }

 private:
  struct Entry {
    internal::Parker* parker;
    std::uint64_t number;
  };

  bool Contains(std::uint64_t number) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& [deadline, entry] : asleep_) {
      if (entry.number == number) return true;
      if (deadline > NowNanos()) return false;
    }
    return false;
  }

  // Returns the number by which it ends.
  std::uint64_t BeginAdvancing(std::size_t threads) ABSL_LOCKS_EXCLUDED(mutex_) {
    const internal::MutexLock lock(mutex_);
    const std::uint64_t number = ++last_number_;
    advancing_.emplace(number, std::max<std::size_t>(1, threads));
    AdvanceIfEnoughSleep();
    return number;
  }

  void EndAdvancing(std::uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_) {
    const internal::MutexLock lock(mutex_);
    advancing_.erase(number);
    AdvanceIfEnoughSleep();
  }

  // Called whenever a thread has gone to sleep or has left its sleep.
  void AdvanceIfEnoughSleep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (advancing_.empty() || asleep_.size() < advancing_.rbegin()->second) return;
    const auto first = asleep_.begin();
    if (first->first == internal::kForever) return;
    for (const auto& [deadline, entry] : asleep_) {
      if (entry.parker->woken()) return;  // by the clock or by another thread; it is about to leave, and to come here
    }
    Show(first->first);
    first->second.parker->Wake();
  }

  void Show(std::int64_t nanos) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (nanos > NowNanos()) now_.store(nanos, std::memory_order_release);  // pairs with NowNanos()
  }

  std::atomic<std::int64_t> now_;  // read without the mutex, written under it
  mutable internal::Mutex mutex_;
  mutable internal::ConditionVariable entered_;                        // a thread has gone to sleep
  internal::ConditionVariable left_;                                   // a thread has left its sleep
  std::multimap<std::int64_t, Entry> asleep_ ABSL_GUARDED_BY(mutex_);  // by deadline
  std::uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  // What each Advancing asks for, by its number.
  std::map<std::uint64_t, std::size_t> advancing_ ABSL_GUARDED_BY(mutex_);
};

namespace internal {

// Reads the clock of a queue. Null stands for the system clock, whose path is then one predictable branch.
[[gnu::always_inline]] inline std::int64_t NowNanos(const Clock* clock) {
  if (clock == nullptr) [[likely]]
    return TscClock::NowUnordered();
  return clock->NowNanos();
}

// Same as NowNanos(), in a few instructions; false if reading this clock takes a call.
[[gnu::always_inline]] inline bool TryNowNanos(const Clock* clock, std::int64_t& now) {
  return clock == nullptr && TscClock::TryNowUnordered(now);
}

// A time of the user's, in nanoseconds on the timeline of a clock that shows `now`; `now` if it is ahead by less than
// kClockTolerance. None: it is ahead by more.
inline std::optional<std::int64_t> NanosNotAhead(absl::Time time, std::int64_t now) {
  if (time == absl::InfinitePast()) return std::numeric_limits<std::int64_t>::min();
  if (time >= absl::FromUnixNanos(now) + kClockTolerance) return std::nullopt;
  return std::min(absl::ToUnixNanos(time), now);
}

// Null if `clock` is the system clock, so that the fast path is taken however it was passed.
inline Clock* ClockOrNull(Clock* clock) { return clock == &SystemClock::Instance() ? nullptr : clock; }

}  // namespace internal

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_CLOCK_H_
