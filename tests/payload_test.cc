// What T may be: move-only, over-aligned, large; and who destroys it.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

TEST_CASE("a body need not be copyable") {
  ManualClock clock;
  auto queue = Make<StandardQueue<std::unique_ptr<int>>>(clock);
  REQUIRE(queue.Send(std::make_unique<int>(7)).ok());
  REQUIRE(queue.Send(std::make_unique<int>(8), {.attributes = {{"a", 1}}}).ok());
  std::vector<SendBatchEntry<std::unique_ptr<int>>> entries;
  entries.push_back({"a", std::make_unique<int>(9), {}});
  REQUIRE(queue.SendBatch(entries).ok());
  CHECK(*ReceiveOne(queue).body() == 7);
  CHECK(*ReceiveOne(queue).body() == 8);
  CHECK(*ReceiveOne(queue).body() == 9);
}

struct alignas(128) OverAligned {
  int value = 0;
};

TEST_CASE("a body may be aligned more than a cache line") {
  ManualClock clock;
  auto queue = Make<StandardQueue<OverAligned>>(clock);
  for (int i = 0; i < 1000; ++i) REQUIRE(queue.Send({i}).ok());
  for (int i = 0; i < 1000; ++i) {
    const auto delivery = ReceiveOne(queue);
    REQUIRE(delivery.body().value == i);
    REQUIRE(reinterpret_cast<std::uintptr_t>(&delivery.body()) % 128 == 0);
  }
}

TEST_CASE("a body may be large") {
  ManualClock clock;
  auto queue = Make<StandardQueue<std::array<char, 100'000>>>(clock);
  for (int i = 0; i < 100; ++i) {
    std::array<char, 100'000> body;
    body.fill(static_cast<char>(i));
    REQUIRE(queue.Send(body).ok());
  }
  for (int i = 0; i < 100; ++i) REQUIRE(ReceiveOne(queue).body()[99'999] == static_cast<char>(i));
}

// A body that is neither default-constructible nor assignable, and takes part in no overload.
class Awkward {
 public:
  explicit Awkward(int value) : value_(value) {}
  Awkward(Awkward&& other) noexcept : value_(other.value_) {}
  Awkward& operator=(Awkward&&) = delete;
  const Awkward* operator&() const = delete;  // NOLINT(google-runtime-operator): this is what is tested
  int value() const { return value_; }

 private:
  int value_;
};

TEST_CASE("a body need be neither default-constructible nor assignable") {
  ManualClock clock;
  auto queue = Make<StandardQueue<Awkward>>(clock);
  REQUIRE(queue.Send(Awkward(3)).ok());
  CHECK(ReceiveOne(queue).body().value() == 3);
}

// Sends a message when it is destroyed.
struct Echo {
  StandardQueue<int>* queue = nullptr;

  explicit Echo(StandardQueue<int>* to) : queue(to) {}
  Echo(Echo&& other) noexcept : queue(std::exchange(other.queue, nullptr)) {}
  ~Echo() {
    if (queue != nullptr) queue->Send(1).IgnoreError();
  }
};

TEST_CASE("a body's destructor may use queues, however the message ends") {
  ManualClock clock;
  auto echoes = Make<StandardQueue<int>>(clock);
  {
    auto queue = Make<StandardQueue<Echo>>(clock, {.retention = Minutes(1)});
    for (int i = 0; i < 6; ++i) REQUIRE(queue.Send(Echo(&echoes)).ok());
    REQUIRE(ReceiveOne(queue).Delete().ok());
    REQUIRE(queue.Delete(ReceiveOne(queue).receipt()).ok());
    CHECK(echoes.Counts().ready == 2);
    ReceiveOne(queue);
    clock.Advance(Minutes(1));
    CHECK(queue.Counts().total() == 0);
    CHECK(echoes.Statistics().number_of_messages_sent == 6);
    REQUIRE(queue.Send(Echo(&echoes)).ok());
    REQUIRE(queue.Purge().ok());
    CHECK(echoes.Statistics().number_of_messages_sent == 7);
    REQUIRE(queue.Send(Echo(&echoes)).ok());
  }
  CHECK(echoes.Statistics().number_of_messages_sent == 8);
}

// A message that holds a handle of the queue that it is in.
struct SelfReference {
  std::shared_ptr<StandardQueue<SelfReference>> queue;
};

TEST_CASE("a body may hold a handle of its own queue") {
  ManualClock clock;
  auto queue = std::make_shared<StandardQueue<SelfReference>>(Make<StandardQueue<SelfReference>>(clock));
  REQUIRE(queue->Send({queue}).ok());
  auto delivery = ReceiveOne(*queue);
  REQUIRE(delivery.Delete().ok());
  queue.reset();
  CHECK(delivery.body().queue != nullptr);  // it goes with the delivery, and the queue with it
}

TEST_CASE("deliveries may end on other threads than the queue's handles") {
  ManualClock clock;
  const auto counted = std::make_shared<int>(1);
  for (int round = 0; round < 200; ++round) {
    auto queue =
        std::make_unique<StandardQueue<std::shared_ptr<int>>>(Make<StandardQueue<std::shared_ptr<int>>>(clock));
    for (int i = 0; i < 8; ++i) REQUIRE(queue->Send(counted).ok());
    auto first = queue->Receive({.max_messages = 3});
    auto second = queue->Receive({.max_messages = 3});
    std::atomic<int> arrived = 0;
    const auto meet = [&] {
      arrived.fetch_add(1);
      while (arrived.load() < 2) {
      }
    };
    std::thread other([&, deliveries = std::move(first).value()]() mutable {
      deliveries[0].Delete().IgnoreError();
      meet();
      auto gone = std::move(deliveries);
    });
    meet();
    queue.reset();
    { auto gone = std::move(second).value(); }
    other.join();
    REQUIRE(counted.use_count() == 1);
  }
}

}  // namespace decouple::testing
