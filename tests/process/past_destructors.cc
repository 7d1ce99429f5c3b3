// Queues, topics, streams and groups work in a thread that is past the destructors of the library's own thread-local
// objects, and in a static's destructor after main(): a buffer that is flushed at the very end.

#include <pthread.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "decouple/consumer_group.h"
#include "decouple/fifo_queue.h"
#include "decouple/fifo_topic.h"
#include "decouple/filter_expression.h"
#include "decouple/standard_queue.h"
#include "decouple/stream.h"
#include "decouple/topic.h"
#include "process_testing.h"

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
  int texts = 0;
};
World* world = nullptr;

template <typename Queue>
void TakeOne(Queue& queue) {
  auto deliveries = queue.Receive();
  REQUIRE_TRUE(deliveries.ok() && !deliveries->empty());
  REQUIRE_TRUE((*deliveries)[0].attributes().empty());
  REQUIRE_TRUE((*deliveries)[0].Delete().ok());
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
    REQUIRE_TRUE(world->stream.Put("an old key", i).ok());
    REQUIRE_TRUE(world->stream.Put(absl::StrCat(text, i), i).ok());
  }
  std::size_t processed = 0;
  auto worker = world->group.AddWorker("worker", [&](const RecordBatch<int>& batch) { processed += batch.size(); });
  while (worker.Step() > 0) continue;
  REQUIRE_TRUE(processed == 2 * kRecords);
  REQUIRE_TRUE(SystemClock::Instance().Now() > absl::UnixEpoch());
}

// Uses everything when it ends, and once more after all that it has made by that.
struct Flush {
  bool is_armed = false;
  ~Flush() {
    if (is_armed) UseEverything();
  }
};

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

  at_the_end_of_a_thread.is_armed = true;  // the main thread's, before all statics
  UseEverything();
}

}  // namespace
}  // namespace decouple::testing

int main() { decouple::testing::Run(); }
