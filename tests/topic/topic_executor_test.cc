// Delivery to functions that executors run, also by executors that lose tasks.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "catch.h"
#include "decouple/topic.h"
#include "topic_testing.h"

namespace {

using decouple::ManualClock;
using decouple::Topic;
using namespace decouple::testing;  // NOLINT: all of them

// A pool that loses the next tasks it is offered, as many as `losing` says: it drops them, or throws.
struct LossyPool {
  std::vector<std::function<void()>> tasks = {};
  int losing = 1;
  bool throws = false;
  std::atomic<int> offered = 0;  // counted once the task is in its place

  decouple::Executor Executor() {
    return [this](std::function<void()> task) {
      if (losing == 0) {
        tasks.push_back(std::move(task));
        ++offered;
        return;
      }
      ++offered;
      --losing;
      if (throws) ThrowIfPossible("the pool is full");
    };
  }
  void RunAll() {
    for (const auto& task : std::exchange(tasks, {})) task();
  }
};

// A thread in RunDeliveries().
class RunningDeliveries {
 public:
  explicit RunningDeliveries(Topic<int>& topic)
      : thread_([this, &topic] {
          topic.RunDeliveries();
          has_returned_ = true;
        }) {}
  ~RunningDeliveries() { thread_.join(); }

  bool has_returned() const { return has_returned_; }
  // Whether it sleeps on the clock, and does not return, once it has nothing else to do.
  bool Sleeps(const ManualClock& clock) const {
    while (!has_returned_ && clock.sleepers() == 0) std::this_thread::yield();
    return !has_returned_;
  }

 private:
  std::atomic<bool> has_returned_{false};
  std::thread thread_;
};

// Threads that run what is posted, until Join().
class TaskThreads {
 public:
  explicit TaskThreads(int n) {
    for (int i = 0; i < n; ++i) threads_.emplace_back([this] { Run(); });
  }
  void Post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_one();
  }
  void Join() {
    {
      const std::lock_guard lock(mutex_);
      joining_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void Run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return joining_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool joining_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

TEST_CASE("an executor runs the function, one call at a time, also for messages published meanwhile") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::vector<std::function<void()>> tasks;
  Script script;
  SubscribeForGood(topic, script.Function(clock),
                   {.executor = [&](std::function<void()> task) { tasks.push_back(std::move(task)); }});
  PublishAll(topic, 1, 2);
  CHECK(tasks.size() == 1);
  CHECK(topic.Deliver() == 0);
  CHECK(script.bodies.empty());
  PublishAll(topic, 3);
  std::exchange(tasks, {}).front()();
  CHECK(script.bodies == std::vector{1, 2, 3});
  CHECK(tasks.empty());
  script.answer = absl::UnavailableError("down");
  PublishAll(topic, 4);
  std::exchange(tasks, {}).front()();
  CHECK(script.bodies.size() == 4);
  CHECK(tasks.empty());
  clock.Advance(Seconds(20));
  topic.Deliver();  // submits the retry to the executor
  REQUIRE(tasks.size() == 1);
  script.answer = absl::OkStatus();
  std::exchange(tasks, {}).front()();
  CHECK(script.attempts.back() == 2);
  clock.Advance(Seconds(100));
  topic.Deliver();
  CHECK(tasks.empty());
}

TEST_CASE("a publisher submits retries to executors, but calls no function itself") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  int calls_of_executor = 0;
  Script by_executor{.answer = absl::UnavailableError("down")};
  Script by_callers;
  SubscribeForGood(topic, by_executor.Function(clock), {.executor = [&](const std::function<void()>& task) {
                     ++calls_of_executor;
                     task();
                   }});
  SubscribeForGood(topic, by_callers.Function(clock));
  PublishAll(topic, 1);
  CHECK(by_executor.bodies == std::vector{1});
  clock.Advance(Seconds(20));
  PublishAll(topic, 2);
  CHECK(by_executor.bodies.size() == 3);
  CHECK(by_callers.bodies.empty());
}

TEST_CASE("an executor that runs a task after the end of its subscription or topic does nothing") {
  ManualClock clock;
  std::vector<std::function<void()>> tasks;
  Script script;
  {
    auto topic = MakeTopic<int>(clock);
    const auto keep = [&](std::function<void()> task) { tasks.push_back(std::move(task)); };
    auto subscription = topic.Subscribe(script.Function(clock), {.executor = keep}).value();
    SubscribeForGood(topic, script.Function(clock), {.executor = keep});
    PublishAll(topic, 1);
    CHECK(subscription.Unsubscribe().ok());
  }
  CHECK(tasks.size() == 2);
  for (const auto& task : tasks) task();
  CHECK(script.bodies.empty());
}

TEST_CASE("an executor that loses a task is offered another with the next message") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  LossyPool pool{.throws = GENERATE(false, true)};
  Script script;
  const auto subscription = SubscribeForGood(topic, script.Function(clock), {.executor = pool.Executor()});
  PublishAll(topic, 1);
  CHECK(pool.tasks.empty());
  CHECK(subscription.Statistics().number_of_notifications_waiting == 1);
  PublishAll(topic, 2);
  pool.RunAll();
  CHECK(script.bodies == std::vector{1, 2});
  PublishAll(topic, 3);
  pool.RunAll();
  CHECK(script.bodies == std::vector{1, 2, 3});
  CHECK(subscription.Statistics().number_of_notifications_waiting == 0);
}

TEST_CASE("an executor that lost a task is offered another by Deliver at once") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  LossyPool pool{.losing = 2, .throws = GENERATE(false, true)};
  Script script;
  SubscribeForGood(topic, script.Function(clock), {.executor = pool.Executor()});
  PublishAll(topic, 1);
  CHECK(topic.Deliver() == 0);
  CHECK(pool.offered == 2);
  CHECK(topic.Deliver() == 0);
  pool.RunAll();
  CHECK(script.bodies == std::vector{1});
}

TEST_CASE("an executor that lost a task is offered another by publishers and RunDeliveries after a second") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  LossyPool pool;
  Script script;
  const auto subscription = SubscribeForGood(topic, script.Function(clock),
                                             {.filter = decouple::Attribute("a") == 1, .executor = pool.Executor()});
  REQUIRE(topic.Publish(1, {.attributes = {{"a", 1}}}).ok());
  CHECK(topic.NextDelivery() == clock.Now() + Seconds(1));
  clock.Advance(Seconds(1) - kOneNanosecond);
  PublishAll(topic, 2);  // to nobody
  CHECK(pool.offered == 1);
  clock.Advance(kOneNanosecond);
  PublishAll(topic, 3);
  CHECK(pool.offered == 2);
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());  // the executor has it
  pool.RunAll();
  CHECK(script.bodies == std::vector{1});
}

TEST_CASE("RunDeliveries does not offer tasks to an executor that loses them without a pause") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  LossyPool pool{.losing = 3};
  Script script;
  SubscribeForGood(topic, script.Function(clock), {.executor = pool.Executor()});
  PublishAll(topic, 1);
  topic.Close();
  std::thread thread([&] { topic.RunDeliveries(); });
  for (int i = 0; i < 3; ++i) {
    clock.AwaitSleepers(1);
    clock.Advance(Seconds(1));
  }
  clock.AwaitSleepers(1);
  clock.Advance(Hours(1));  // the fourth task was taken, and there is nothing to do until it has run
  CHECK(pool.offered == 4);
  pool.RunAll();
  thread.join();
  CHECK(script.bodies == std::vector{1});
}

TEST_CASE("RunDeliveries returns only when an executor has done its last task, and what that left over is done") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  LossyPool pool{.losing = 0};
  Script script{.answer = absl::UnavailableError("down")};
  SubscribeForGood(topic, script.Function(clock), {.executor = pool.Executor()});
  PublishAll(topic, 1);
  topic.Close();
  {
    const RunningDeliveries running(topic);
    CHECK(running.Sleeps(clock));
    pool.RunAll();  // fails: there is a retry after 20 s
    script.answer = absl::OkStatus();
    clock.Advance(Seconds(20));
    while (!running.has_returned() && pool.offered < 2) std::this_thread::yield();
    CHECK_FALSE(running.has_returned());
    pool.RunAll();
  }
  CHECK(script.bodies == std::vector{1, 1});
}

TEST_CASE("RunDeliveries returns only when the function that another thread calls has returned") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::atomic<bool> is_called{false};
  std::atomic<bool> may_return{false};
  SubscribeForGood(topic, [&](const int&) {
    is_called = true;
    may_return.wait(false);
  });
  PublishAll(topic, 1);
  topic.Close();
  std::thread delivering([&] { topic.Deliver(); });
  while (!is_called) std::this_thread::yield();
  {
    const RunningDeliveries running(topic);
    CHECK(running.Sleeps(clock));
    may_return = true;
    may_return.notify_all();
  }
  delivering.join();
}

TEST_CASE("no message is left behind by threads in RunDeliveries for a publisher that awaits each") {
  constexpr int kMessages = 3'000;
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::atomic<int> last{0};
  SubscribeForGood(topic, [&](const int& body) {
    last = body;
    last.notify_all();
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { topic.RunDeliveries(); });
  for (int i = 1; i <= kMessages; ++i) {
    REQUIRE(topic.Publish(i).ok());
    last.wait(i - 1);
  }
  topic.Close();
  for (std::thread& thread : threads) thread.join();
  CHECK(last == kMessages);
}

TEST_CASE("a task that is dropped late, by another thread, is noticed as well") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  LossyPool pool{.losing = 0};
  Script script;
  SubscribeForGood(topic, script.Function(clock), {.executor = pool.Executor()});
  PublishAll(topic, 1);
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());
  std::thread([&] { pool.tasks.clear(); }).join();
  CHECK(topic.NextDelivery() == clock.Now() + Seconds(1));
  topic.Deliver();
  pool.RunAll();
  CHECK(script.bodies == std::vector{1});
}

TEST_CASE("a task that an executor runs twice delivers each message once") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  LossyPool pool{.losing = 0};
  Script script;
  SubscribeForGood(topic, script.Function(clock), {.executor = pool.Executor()});
  PublishAll(topic, 1);
  const auto task = pool.tasks.front();
  task();
  PublishAll(topic, 2);
  task();
  CHECK(script.bodies == std::vector{1});
  CHECK(pool.offered == 2);
}

TEST_CASE("executors that lose tasks on many threads lose no message, and deliver none twice") {
  constexpr int kPublishers = 2;
  constexpr int kMessages = 2'000;
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::atomic<unsigned> offered{0};
  TaskThreads threads(2);
  std::vector<int> times(kPublishers * kMessages, 0);
  const auto subscription = SubscribeForGood(
      topic, [&](const int& body) { ++times[static_cast<std::size_t>(body)]; },  // one thread at a time
      {.executor = [&](std::function<void()> task) {
        const unsigned n = offered.fetch_add(1, std::memory_order_relaxed);
        if (n % 3 == 1) ThrowIfPossible("the pool is full");
        if (n % 3 == 2) threads.Post([dropped = std::move(task)] { static_cast<void>(dropped); });
        if (n % 3 == 0) threads.Post(std::move(task));
      }});
  std::vector<std::thread> publishers;
  for (int p = 0; p < kPublishers; ++p) {
    publishers.emplace_back([&, p] {
      for (int i = 0; i < kMessages; ++i) topic.Publish(p * kMessages + i).IgnoreError();
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  while (subscription.Statistics().number_of_notifications_delivered < times.size()) {
    topic.Deliver();
    std::this_thread::yield();
  }
  threads.Join();
  CHECK(std::all_of(times.begin(), times.end(), [](int n) { return n == 1; }));
  CHECK(subscription.Statistics().number_of_notifications_waiting == 0);
}
