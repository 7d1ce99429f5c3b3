#include "decouple/clock.h"

#include <atomic>
#include <chrono>
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
