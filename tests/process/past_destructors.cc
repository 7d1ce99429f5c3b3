// Queues, topics, streams and groups work in a thread that is past the destructors of the library's own thread-local
// objects, and in a static's destructor after main(): a buffer that is flushed at the very end.

#include <pthread.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "decouple/consumer_group.h"
#include "decouple/fifo_queue.h"
#include "decouple/fifo_topic.h"
#include "decouple/filter_expression.h"
#include "decouple/standard_queue.h"
#include "decouple/stream.h"
#include "decouple/topic.h"
#include "process_testing.h"

// The C library never frees the entry, of 32 bytes, of an object that is made when its thread has destroyed all others.
extern "C" const char* __lsan_default_suppressions() { return "leak:__cxa_thread_atexit_impl\n"; }

namespace decouple::testing {
namespace {

struct Order {
  std::string customer;
  int price;
};
constexpr auto DecoupleFields(const Order*) {
  return Fields(Field("customer", &Order::customer), Field("price", &Order::price));
}

// Never destroyed, as it is used to the end.
struct World {
  StandardQueue<std::string> standard;
  FifoQueue<std::string> fifo = FifoQueue<std::string>::Create({.content_based_deduplication = true}).value();
  StandardQueue<Order> orders;
  Topic<Order> topic;
  Subscription<Order> filtered = topic.Subscribe(orders, {.filter = Where(&Order::price) > 100}).value();
  Stream<int> stream = Stream<int>::Create({.shards = 2}).value();
  ConsumerGroup<int> group = ConsumerGroup<int>::Create(stream, {.name = "readers", .start = TrimHorizon{}}).value();
  int texts = 0;  // so often everything was used
};
World* world = nullptr;

template <typename Queue>
void TakeOne(Queue& queue) {
  auto deliveries = queue.Receive();
  REQUIRE_TRUE(deliveries.ok() && deliveries->size() == 1);
  REQUIRE_TRUE((*deliveries)[0].attributes().empty());
  REQUIRE_TRUE((*deliveries)[0].Delete().ok());
  REQUIRE_TRUE(queue.Receive()->empty());
}

void UseEverything() {
  const std::string text = absl::StrCat("text ", ++world->texts);
  REQUIRE_TRUE(world->standard.Send(std::string(text)).ok());
  TakeOne(world->standard);
  REQUIRE_TRUE(world->fifo.Send(std::string(text), {.group = "group"}).ok());
  TakeOne(world->fifo);
  REQUIRE_TRUE(world->topic.Publish(Order{text, 101}).ok());
  REQUIRE_TRUE(world->topic.Publish(Order{text, 100}).ok());
  TakeOne(world->orders);
  REQUIRE_TRUE(world->orders.Counts().ready == 0);
  constexpr int kRecords = 300;
  for (int i = 0; i < kRecords; ++i) {
    REQUIRE_TRUE(world->stream.Put("an old key", 2 * i).ok());
    REQUIRE_TRUE(world->stream.Put(absl::StrCat(text, i), 2 * i + 1).ok());
  }
  std::vector<int> times(2 * kRecords);  // each record was processed
  auto worker = world->group.AddWorker("worker", [&](const RecordBatch<int>& batch) {
    for (const auto& record : batch) ++times.at(static_cast<std::size_t>(record.body()));
  });
  while (worker.Step() > 0) continue;
  for (const int n : times) REQUIRE_TRUE(n == 1);
  REQUIRE_TRUE(SystemClock::Instance().Now() > absl::UnixEpoch());
}

// Uses everything when it ends.
struct Flush {
  bool is_armed = false;
  ~Flush() {
    if (is_armed) UseEverything();
  }
};

// Destroyed behind the flush at the end of the process: fails it if one of the uses did not take place.
struct Account {
  int expected = 0;
  ~Account() { REQUIRE_TRUE(world == nullptr || world->texts == expected); }
};

Account account;  // made before the flush, so destroyed after it

Flush at_the_end_of_the_process;            // made before main(), so destroyed after whatever the library makes in it
thread_local Flush at_the_end_of_a_thread;  // likewise for its thread

void Run() {
  world = new World;
  at_the_end_of_the_process.is_armed = true;

  // A thread that has used everything before it ends, and one that uses it then for the first time.
  for (const bool before : {true, false}) {
    std::thread([before] {
      at_the_end_of_a_thread.is_armed = true;
      if (before) UseEverything();
    }).join();
  }

  // The destructors of POSIX keys come after those of thread_local objects.
  pthread_key_t key{};
  REQUIRE_TRUE(pthread_key_create(&key, [](void*) { UseEverything(); }) == 0);
  for (const bool before : {true, false}) {
    std::thread([before, key] {
      pthread_setspecific(key, world);
      if (before) UseEverything();
    }).join();
  }

  account.expected = 2 + 1 + 2 + 1 + 3;    // four threads, and the main one: at once, at its end, and by the static
  at_the_end_of_a_thread.is_armed = true;  // the main thread's, before all statics
  UseEverything();
}

}  // namespace

PROCESS_TEST(past_destructors) { Run(); }

}  // namespace decouple::testing
