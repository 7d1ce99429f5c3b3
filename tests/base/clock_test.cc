#include "decouple/clock.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "catch.h"
#include "decouple/internal/base/parker.h"
#include "decouple/internal/base/thread_registry.h"
#include "decouple/internal/base/time_math.h"

namespace decouple::testing {

using absl::Nanoseconds;
using absl::Seconds;

TEST_CASE("a manual clock stands still until it is advanced") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  CHECK(clock.Now() == begin);
  clock.Advance(Nanoseconds(1));
  CHECK(clock.Now() == begin + Nanoseconds(1));
  clock.AdvanceTo(begin + Seconds(10));
  CHECK(clock.Now() == begin + Seconds(10));
}

TEST_CASE("a manual clock never runs back") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  clock.Advance(-Seconds(1));
  clock.AdvanceTo(begin - Seconds(1));
  CHECK(clock.Now() == begin);
}

TEST_CASE("a manual clock starts at the same time in every run, or where it is told to") {
  CHECK(ManualClock().Now() == ManualClock().Now());
  const absl::Time start = absl::FromUnixSeconds(86'400);
  CHECK(ManualClock(start).Now() == start);
}

// A thread that sleeps on `clock` until `deadline` or until Wake().
class SleepingThread {
 public:
  SleepingThread(ManualClock& clock, absl::Time deadline)
      : thread_([this, &clock, nanos = absl::ToUnixNanos(deadline)] {
          internal::Parker& parker = internal::ThreadRegistry::Current().parker;
          parker.Prepare();
          parker_.store(&parker);
          clock.Sleep(parker, nanos);
          awake_.store(true);
        }) {}
  ~SleepingThread() { thread_.join(); }
  bool awake() const { return awake_.load(); }
  void Wake() { parker_.load()->Wake(); }
  void AwaitAwake() const {
    while (!awake()) std::this_thread::yield();
  }

 private:
  std::atomic<bool> awake_{false};
  std::atomic<internal::Parker*> parker_{nullptr};
  std::thread thread_;
};

TEST_CASE("advancing wakes exactly the sleepers that are due") {
  ManualClock clock;
  SleepingThread early(clock, clock.Now() + Seconds(1));
  SleepingThread late(clock, clock.Now() + Seconds(2));
  clock.AwaitSleepers(2);
  clock.Advance(Seconds(1) - Nanoseconds(1));
  CHECK(clock.sleepers() == 2);
  clock.Advance(Nanoseconds(1));
  CHECK(clock.sleepers() == 1);  // the early sleeper has left when Advance() returns
  early.AwaitAwake();
  CHECK_FALSE(late.awake());
  clock.Advance(Seconds(1));
  CHECK(clock.sleepers() == 0);
  late.AwaitAwake();
}

TEST_CASE("a sleeper can be woken before its deadline; without a deadline only a wake-up ends its sleep") {
  ManualClock clock;
  SleepingThread with_deadline(clock, clock.Now() + Seconds(1));
  SleepingThread without(clock, absl::FromUnixNanos(internal::kForever));
  clock.AwaitSleepers(2);
  with_deadline.Wake();
  with_deadline.AwaitAwake();
  clock.Advance(absl::Hours(1'000'000));
  CHECK_FALSE(without.awake());
  CHECK(clock.sleepers() == 1);
  without.Wake();
  without.AwaitAwake();
}

TEST_CASE("sleeping until a time in the past returns at once") {
  ManualClock clock;
  const SleepingThread past(clock, clock.Now());
  past.AwaitAwake();
  CHECK(clock.sleepers() == 0);
}

// Sleeps on `clock` in the calling thread.
void SleepUntil(ManualClock& clock, absl::Time deadline) {
  internal::Parker& parker = internal::ThreadRegistry::Current().parker;
  parker.Prepare();
  clock.Sleep(parker, absl::ToUnixNanos(deadline));
}

TEST_CASE("while it advances by itself, a clock moves on to the deadline of the thread that sleeps") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  {
    const auto advancing = clock.AdvanceWhileAsleep();
    SleepUntil(clock, begin + Seconds(20));
    CHECK(clock.Now() == begin + Seconds(20));
    SleepUntil(clock, begin);
    CHECK(clock.Now() == begin + Seconds(20));
    SleepUntil(clock, begin + Seconds(21));
    CHECK(clock.Now() == begin + Seconds(21));
  }
  const SleepingThread late(clock, begin + Seconds(22));
  clock.AwaitSleepers(1);
  CHECK(clock.Now() == begin + Seconds(21));
  clock.Advance(Seconds(1));
}

TEST_CASE("a clock that advances by itself wakes those who are asleep already, one after the other") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  SleepingThread late(clock, begin + Seconds(2));
  SleepingThread early(clock, begin + Seconds(1));
  SleepingThread without(clock, absl::FromUnixNanos(internal::kForever));
  clock.AwaitSleepers(3);
  const auto advancing = clock.AdvanceWhileAsleep();
  late.AwaitAwake();
  early.AwaitAwake();
  CHECK(clock.Now() == begin + Seconds(2));
  CHECK_FALSE(without.awake());
  without.Wake();
}

TEST_CASE("a clock advances by itself only while all threads that it was told of are asleep") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  constexpr int kThreads = 3;
  constexpr int kSleeps = 1'000;
  const auto advancing = clock.AdvanceWhileAsleep(kThreads);
  std::vector<std::thread> threads;
  std::vector<absl::Time> woken(kThreads);
  std::atomic<int> awake_at_once = 0;
  std::atomic<int> ended = 0;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      absl::Time next = begin;
      for (int n = 0; n < kSleeps; ++n) {
        next += absl::Milliseconds(1 + i);
        SleepUntil(clock, next);
        if (awake_at_once.fetch_add(1) != 0 || clock.Now() != next) std::abort();
        std::this_thread::yield();
        if (clock.Now() != next) std::abort();  // it stands still while this thread is awake
        awake_at_once.fetch_sub(1);
      }
      woken[static_cast<std::size_t>(i)] = next;
      ++ended;
      SleepUntil(clock, absl::FromUnixNanos(internal::kForever));  // so that the others go on
    });
  }
  while (ended != kThreads) std::this_thread::yield();
  clock.AwaitSleepers(kThreads);
  CHECK(clock.Now() == begin + kSleeps * absl::Milliseconds(kThreads));
  clock.AdvanceTo(absl::FromUnixNanos(internal::kForever));
  for (auto& thread : threads) thread.join();
  for (int i = 0; i < kThreads; ++i) {
    CHECK(woken[static_cast<std::size_t>(i)] == begin + kSleeps * absl::Milliseconds(1 + i));
  }
}

TEST_CASE("of several that make a clock advance by itself the last one decides, in whichever order they end") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  const auto advance_while_asleep = [&](std::size_t threads) {
    return std::unique_ptr<ManualClock::Advancing>(new ManualClock::Advancing(clock.AdvanceWhileAsleep(threads)));
  };
  const auto stands_still_for_one = [&](int second) {
    const SleepingThread sleeper(clock, begin + Seconds(second));
    clock.AwaitSleepers(1);
    const bool stands_still = clock.Now() == begin + Seconds(second - 1);
    clock.Advance(Seconds(1));
    return stands_still;
  };
  auto first = advance_while_asleep(2);
  auto second = advance_while_asleep(0);  // as 1
  SleepUntil(clock, begin + Seconds(1));
  CHECK(clock.Now() == begin + Seconds(1));
  first.reset();
  SleepUntil(clock, begin + Seconds(2));
  CHECK(clock.Now() == begin + Seconds(2));
  auto third = advance_while_asleep(2);
  CHECK(stands_still_for_one(3));
  second.reset();
  CHECK(stands_still_for_one(4));
  third.reset();
  CHECK(stands_still_for_one(5));
}

TEST_CASE("the system clock shows the machine's wall time") {
  const absl::Duration off = SystemClock::Instance().Now() - absl::Now();
  CHECK(absl::AbsDuration(off) < Seconds(1));
}

TEST_CASE("the system clock keeps the pace of the steady clock") {
  using std::chrono::steady_clock;
  const auto steady_begin = steady_clock::now();
  const absl::Time begin = SystemClock::Instance().Now();
  while (steady_clock::now() - steady_begin < std::chrono::milliseconds(300)) {
  }
  const absl::Duration passed = SystemClock::Instance().Now() - begin;
  const absl::Duration steady_passed = absl::FromChrono(steady_clock::now() - steady_begin);
  CHECK(absl::AbsDuration(passed - steady_passed) < absl::Milliseconds(1));
}

TEST_CASE("the time that queues read never runs back on one thread") {
  std::int64_t last = internal::NowNanos(nullptr);
  bool ran_back = false;
  for (int n = 0; n < 10'000'000; ++n) {
    const std::int64_t now = internal::NowNanos(nullptr);
    ran_back = ran_back || now < last;
    last = now;
  }
  CHECK_FALSE(ran_back);
}

TEST_CASE("the system clock never runs back, not even between threads") {
  std::atomic<std::int64_t> latest{0};
  std::atomic<bool> ran_back{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1'000'000; ++n) {
        const std::int64_t seen = latest.load(std::memory_order_acquire);
        const std::int64_t now = SystemClock::Instance().NowNanos();
        if (now < seen) ran_back.store(true);
        if (n % 16 == 0) latest.store(now, std::memory_order_release);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK_FALSE(ran_back.load());
}

}  // namespace decouple::testing
