#include "decouple/internal/base/event_count.h"

#include <atomic>
#include <thread>
#include <vector>

#include "catch.h"
#include "decouple/clock.h"
#include "decouple/internal/base/time_math.h"

namespace decouple::inline v0_1::internal {

// Threads take tokens that other threads put, as receivers take messages.
class Tokens {
 public:
  explicit Tokens(Clock& clock) : clock_(clock) {}

  void Put(int n) {
    count_.fetch_add(n, std::memory_order_seq_cst);
    event_.Notify(static_cast<std::uint32_t>(n));
  }

  void Take() {
    EventCount::Waiter waiter(event_);
    while (!TryTake()) waiter.Sleep(clock_, kForever);
  }

  EventCount& event() { return event_; }

 private:
  bool TryTake() {
    int seen = count_.load(std::memory_order_acquire);
    while (seen > 0) {
      if (count_.compare_exchange_weak(seen, seen - 1)) return true;
    }
    return false;
  }

  Clock& clock_;
  std::atomic<int> count_{0};
  EventCount event_;
};

TEST_CASE("notifying n wakes n waiters") {
  ManualClock clock;
  Tokens tokens(clock);
  std::vector<std::thread> takers;
  for (int i = 0; i < 3; ++i) takers.emplace_back([&] { tokens.Take(); });
  clock.AwaitSleepers(3);
  tokens.Put(2);
  while (clock.sleepers() != 1) std::this_thread::yield();
  tokens.Put(1);
  for (auto& taker : takers) taker.join();
  CHECK(clock.sleepers() == 0);
}

TEST_CASE("a waiter that was notified but leaves passes the notification on") {
  ManualClock clock;
  Tokens tokens(clock);
  std::thread other;
  {
    EventCount::Waiter leaving(tokens.event());  // first in the queue of waiters
    other = std::thread([&] { tokens.Take(); });
    clock.AwaitSleepers(1);
    tokens.Put(1);
    CHECK(clock.sleepers() == 1);
  }
  other.join();
}

TEST_CASE("no notification is lost between several notifiers and several waiters") {
  constexpr int kEach = 100'000;
  Tokens tokens(SystemClock::Instance());
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) tokens.Put(1);
    });
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) tokens.Take();
    });
  }
  for (auto& thread : threads) thread.join();
  SUCCEED("all that was put was taken");
}

}  // namespace decouple::inline v0_1::internal
