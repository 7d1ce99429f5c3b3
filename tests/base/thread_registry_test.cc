#include "decouple/internal/base/thread_registry.h"

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "catch.h"
#include "decouple/standard_queue.h"
#include "sanitizers.h"

namespace decouple::testing {
namespace {

using internal::ThreadRecord;
using internal::ThreadRegistry;

std::size_t CountThreadRecords() {
  std::size_t count = 0;
  for (const ThreadRecord* record = ThreadRegistry::First(); record != nullptr; record = record->next) ++count;
  return count;
}

// Made before the thread first uses the library, so it ends after all that the library could make for the thread.
struct SendAtThreadExit {
  ~SendAtThreadExit() {
    if (queue != nullptr) queue->Send(2).IgnoreError();
  }
  StandardQueue<int>* queue = nullptr;
};
thread_local SendAtThreadExit send_at_thread_exit;

// A key whose destructor asks to be called again until the last round, as those of several libraries in turn might, and
// calls `visit` each time.
class LateKey {
 public:
  explicit LateKey(void (*visit)(int round)) {
    visit_ = visit;
    REQUIRE(pthread_key_create(&key_, &Destroy) == 0);
  }
  LateKey(const LateKey&) = delete;
  LateKey& operator=(const LateKey&) = delete;
  ~LateKey() { pthread_key_delete(key_); }

  static void SetInThisThread() { pthread_setspecific(key_, reinterpret_cast<void*>(1)); }

 private:
  static void Destroy(void* value) {
    const auto round = reinterpret_cast<std::uintptr_t>(value);
    visit_(static_cast<int>(round));
    pthread_setspecific(key_, reinterpret_cast<void*>(round + 1));
  }

  static inline pthread_key_t key_{};
  static inline void (*visit_)(int round) = nullptr;
};

TEST_CASE("threads that come one after the other take over one record") {
  ThreadRegistry::Current();
  ThreadRecord* first = nullptr;
  std::thread([&] { first = &ThreadRegistry::Current(); }).join();
  const std::size_t count = CountThreadRecords();
  for (int i = 0; i < 100; ++i) {
    // The record was free at the thread's end, so the thread that is made next has it.
    std::thread([] { ThreadRegistry::Current(); }).join();
  }
  CHECK(CountThreadRecords() == count);
  CHECK(first != &ThreadRegistry::Current());
}

TEST_CASE("a thread-local object that uses a queue when its thread ends leaves no record behind") {
  StandardQueue<int> queue;
  const auto run = [&] {
    std::thread([&] {
      send_at_thread_exit.queue = &queue;
      queue.Send(1).IgnoreError();
    }).join();
  };
  run();
  const std::size_t count = CountThreadRecords();
  constexpr int kThreads = 100;
  for (int i = 0; i < kThreads; ++i) run();
  CHECK(CountThreadRecords() == count);
  CHECK(queue.Counts().ready == 2 * (kThreads + 1));
}

// The thread sanitizer keeps its own state of a thread under a key, and ends it before the last round.
#if !DECOUPLE_TESTS_THREAD_SANITIZER
StandardQueue<int>* queue_of_late_keys = nullptr;

TEST_CASE("destructors of keys may use a queue in every round, and records come back all the same") {
  StandardQueue<int> queue;
  queue_of_late_keys = &queue;
  std::atomic<int> rounds{0};
  static std::atomic<int>* const counted = &rounds;
  const LateKey key([](int) {
    queue_of_late_keys->Send(1).IgnoreError();
    counted->fetch_add(1, std::memory_order_relaxed);
  });
  const auto run = [&](bool uses_it_before) {
    std::thread([&] {
      LateKey::SetInThisThread();
      if (uses_it_before) queue.Send(1).IgnoreError();
    }).join();
  };
  run(true);
  run(false);
  const std::size_t count = CountThreadRecords();
  constexpr int kThreads = 50;
  for (int i = 0; i < kThreads; ++i) {
    run(true);
    run(false);
  }
  // A thread that comes to the library in the last round is told by its end alone, which the next ones look for.
  CHECK(CountThreadRecords() <= count + 2);
  CHECK(queue.Counts().ready == rounds.load() + kThreads + 1);
}
#endif

std::atomic<int> steps_of_late_thread{0};

void ReachStep(int step) {
  steps_of_late_thread.store(step, std::memory_order_release);
  steps_of_late_thread.notify_all();
}
void AwaitStep(int step) {
  for (int now = steps_of_late_thread.load(std::memory_order_acquire); now < step;
       now = steps_of_late_thread.load(std::memory_order_acquire)) {
    steps_of_late_thread.wait(now, std::memory_order_acquire);
  }
}

TEST_CASE("no thread takes over a record while its thread may yet use it") {
  steps_of_late_thread = 0;
  static ThreadRecord* record_of_late_thread = nullptr;
  const LateKey key([](int round) {
    if (round != 3) return;  // the library's own key was destroyed in the first round
    ReachStep(1);
    AwaitStep(2);
    record_of_late_thread = &ThreadRegistry::Current();
  });
  ThreadRecord* before = nullptr;
  std::thread late([&] {
    LateKey::SetInThisThread();
    before = &ThreadRegistry::Current();
  });
  AwaitStep(1);
  std::set<ThreadRecord*> others;
  for (int i = 0; i < 10; ++i) {
    std::thread([&] { others.insert(&ThreadRegistry::Current()); }).join();
  }
  ReachStep(2);
  late.join();
  CHECK(record_of_late_thread == before);
  CHECK(others.count(before) == 0);
}

TEST_CASE("as many threads at once as there are take as many records") {
  constexpr int kThreads = 20;
  steps_of_late_thread = 0;
  std::atomic<int> registered{0};
  std::vector<ThreadRecord*> records(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      records[static_cast<std::size_t>(i)] = &ThreadRegistry::Current();
      if (registered.fetch_add(1) + 1 == kThreads) ReachStep(1);
      AwaitStep(1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::set<ThreadRecord*>(records.begin(), records.end()).size() == kThreads);
}

}  // namespace
}  // namespace decouple::testing
