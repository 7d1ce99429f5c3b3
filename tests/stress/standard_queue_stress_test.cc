// Millions of messages through many threads, with all operations going on at once, and each message accounted for.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "queue_testing.h"
#include "seed.h"
#include "stress_testing.h"

namespace decouple::testing {

// A body that has a number, and counts how many of its kind are alive: a body that is destroyed twice or never shows.
class Tracked {
 public:
  Tracked(int number, std::atomic<std::int64_t>& alive) : number_(number), alive_(&alive) { alive_->fetch_add(1); }
  Tracked(Tracked&& other) noexcept : number_(other.number_), alive_(std::exchange(other.alive_, nullptr)) {}
  ~Tracked() {
    if (alive_ != nullptr) alive_->fetch_sub(1);
  }
  int number() const { return number_; }

 private:
  int number_;
  std::atomic<std::int64_t>* alive_;
};

TEST_CASE("every message of many senders is received and deleted exactly once when nothing times out") {
  const int messages = Messages(10'000'000);
  constexpr int kSenders = 3;
  constexpr int kReceivers = 3;
  StandardQueue<int> queue;
  std::vector<std::atomic<std::uint8_t>> received(static_cast<std::size_t>(messages));
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      for (int i = sender; i < messages; i += kSenders) {
        if (!queue.Send(i).ok()) std::abort();
      }
    });
  }
  std::vector<std::thread> receivers;
  for (int receiver = 0; receiver < kReceivers; ++receiver) {
    receivers.emplace_back([&, receiver] {
      const auto most = static_cast<std::size_t>(receiver % 2 == 0 ? 10 : 1);
      for (;;) {
        auto deliveries = queue.Receive({.max_messages = most, .wait = Seconds(20)});
        if (!deliveries.ok()) return;  // closed and drained
        for (auto& delivery : *deliveries) {
          received[static_cast<std::size_t>(delivery.body())].fetch_add(1);
          delivery.Delete().IgnoreError();
        }
      }
    });
  }
  Join(senders);
  queue.Close();
  Join(receivers);
  CHECK(queue.drained());
  std::size_t once = 0;
  for (const auto& count : received) once += count.load() == 1 ? 1 : 0;
  CHECK(once == received.size());
  CHECK(queue.Statistics().number_of_messages_deleted == static_cast<std::uint64_t>(messages));
}

TEST_CASE("a large backlog is drained by several threads, and nothing of it is lost when some of it times out") {
  ForEachSeed(1, [](std::uint64_t seed) {
    const int messages = Messages(1'000'000);
    constexpr int kReceivers = 3;
    ManualClock clock;
    auto queue = Make<StandardQueue<int>>(clock, {.visibility_timeout = Seconds(5)});
    for (int i = 0; i < messages; ++i) {
      if (!queue.Send(i).ok()) std::abort();
    }
    std::vector<std::atomic<bool>> deleted(static_cast<std::size_t>(messages));
    std::atomic<bool> is_over{false};
    std::vector<std::thread> receivers;
    for (int receiver = 0; receiver < kReceivers; ++receiver) {
      receivers.emplace_back([&, receiver] {
        std::mt19937_64 random(seed * 41 + static_cast<std::uint64_t>(receiver));
        while (!is_over.load()) {
          auto deliveries = queue.Receive({.max_messages = random() % 10 + 1});
          for (auto& delivery : *deliveries) {
            if (random() % 8 == 0) continue;  // the receiver crashes
            if (!delivery.Delete().ok()) std::abort();
            deleted[static_cast<std::size_t>(delivery.body())].store(true, std::memory_order_relaxed);
          }
          if (receiver == 0) clock.Advance(absl::Milliseconds(deliveries->empty() ? 1'000 : 10));
          if (deliveries->empty() && queue.Counts().total() == 0) is_over.store(true);
        }
      });
    }
    Join(receivers);
    CHECK(std::all_of(deleted.begin(), deleted.end(), [](const auto& is) { return is.load(); }));
    CHECK(queue.Statistics().number_of_messages_deleted == static_cast<std::uint64_t>(messages));
    CHECK(queue.Counts().total() == 0);
  });
}

TEST_CASE(
    "no message is lost or destroyed twice while timeouts end, receipts go stale and receivers change visibility") {
  ForEachSeed(1, [](std::uint64_t seed) {
    const int messages = Messages(3'000'000);
    constexpr int kSenders = 2;
    constexpr int kReceivers = 3;
    std::atomic<std::int64_t> alive{0};
    std::vector<std::atomic<std::uint32_t>> deleted_by(static_cast<std::size_t>(messages));
    std::atomic<int> sent{0};
    ManualClock clock;
    {
      auto queue = Make<StandardQueue<Tracked>>(clock, {.visibility_timeout = Seconds(5), .receive_wait = Seconds(1)});
      std::vector<std::thread> senders;
      for (int sender = 0; sender < kSenders; ++sender) {
        senders.emplace_back([&, sender] {
          std::mt19937_64 random(seed * 31 + static_cast<std::uint64_t>(sender));
          for (int i = sender; i < messages; i += kSenders) {
            SendOptions options;
            switch (random() % 16) {
              case 0:
                options.delay = Seconds(static_cast<int>(random() % 10));
                break;
              case 1:
                options.attributes = {{"number", i}};
                break;
              case 2:
                if (i > messages / 2) options.group = "tenant-" + std::to_string(random() % 4);
                break;
              default:
                break;
            }
            if (!queue.Send(Tracked(i, alive), std::move(options)).ok()) std::abort();
            sent.fetch_add(1);
          }
        });
      }
      std::vector<std::thread> receivers;
      for (int receiver = 0; receiver < kReceivers; ++receiver) {
        receivers.emplace_back([&, receiver] {
          std::mt19937_64 random(seed * 37 + static_cast<std::uint64_t>(receiver));
          std::vector<Delivery<Tracked>> kept;
          for (;;) {
            auto deliveries = queue.Receive({.max_messages = random() % 10 + 1});
            if (!deliveries.ok()) return;
            for (auto& delivery : *deliveries) {
              const auto number = static_cast<std::size_t>(delivery.body().number());
              switch (random() % 16) {
                case 0:  // the receiver crashes
                  break;
                case 1:
                  delivery.Release().IgnoreError();
                  break;
                case 2:
                  delivery.ChangeVisibility(Seconds(static_cast<int>(random() % 20))).IgnoreError();
                  break;
                case 3:  // a slow receiver deletes late: another receiver may have the message by then
                  kept.push_back(std::move(delivery));
                  break;
                case 4:
                  queue.Delete(delivery.receipt()).IgnoreError();
                  deleted_by[number].fetch_add(1);
                  break;
                default:
                  delivery.Delete().IgnoreError();
                  deleted_by[number].fetch_add(1);
              }
            }
            if (kept.size() > 50) {
              for (auto& late : kept) late.Delete().IgnoreError();
              kept.clear();
            }
          }
        });
      }
      std::atomic<bool> stop{false};
      std::thread time([&] {
        while (!stop.load()) {
          clock.Advance(absl::Milliseconds(100));
          std::this_thread::yield();
        }
      });
      Join(senders);
      queue.Close();
      Join(receivers);
      stop.store(true);
      time.join();
      CHECK(queue.drained());
      CHECK(alive.load() == 0);
      const QueueStatistics statistics = queue.Statistics();
      CHECK(statistics.number_of_messages_sent == static_cast<std::uint64_t>(messages));
      CHECK(statistics.number_of_messages_deleted + statistics.number_of_messages_expired ==
            static_cast<std::uint64_t>(messages));
      CHECK(statistics.approximate_number_of_messages_not_visible == 0);
    }
    CHECK(alive.load() == 0);
  });
}

TEST_CASE("what is purged while others send and receive is destroyed once, and the rest is delivered") {
  ForEachSeed(1, [](std::uint64_t seed) {
    const int messages = Messages(400'000);
    std::atomic<std::int64_t> alive{0};
    ManualClock clock;
    Limits limits;
    limits.purge_interval = absl::ZeroDuration();
    auto queue = Make<StandardQueue<Tracked>>(clock, {.visibility_timeout = Seconds(1), .limits = limits});
    std::vector<std::thread> threads;
    for (int sender = 0; sender < 2; ++sender) {
      threads.emplace_back([&, sender] {
        std::mt19937_64 random(seed + static_cast<std::uint64_t>(sender));
        for (int i = sender; i < messages; i += 2) {
          SendOptions options;
          if (random() % 8 == 0) options.delay = Seconds(1);
          if (!queue.Send(Tracked(i, alive), std::move(options)).ok()) std::abort();
        }
      });
    }
    std::atomic<bool> stop{false};
    threads.emplace_back([&] {
      std::mt19937_64 random(seed + 99);
      while (!stop.load()) {
        auto deliveries = queue.Receive({.max_messages = 10});
        for (auto& delivery : *deliveries) {
          if (random() % 4 == 0) continue;
          (random() % 4 == 0 ? delivery.Release() : delivery.Delete()).IgnoreError();
        }
      }
    });
    std::thread purger([&] {
      while (!stop.load()) {
        if (!queue.Purge().ok()) std::abort();
        clock.Advance(absl::Milliseconds(300));
        std::this_thread::yield();
      }
    });
    threads[0].join();
    threads[1].join();
    stop.store(true);
    threads[2].join();
    purger.join();
    REQUIRE(queue.Purge().ok());
    CHECK(queue.Counts() == MessageCounts{});
    CHECK(alive.load() == 0);
    const QueueStatistics statistics = queue.Statistics();
    CHECK(statistics.number_of_messages_deleted + statistics.number_of_messages_purged ==
          static_cast<std::uint64_t>(messages));
  });
}

TEST_CASE("a bounded queue never holds more than its capacity, and loses nothing") {
  const int messages = Messages(300'000);
  constexpr std::int64_t kCapacity = 100;
  auto queue = StandardQueue<int>::Create({.capacity = Capacity{.messages = kCapacity, .when_full = Block{}}}).value();
  std::atomic<std::int64_t> sum{0};
  std::atomic<std::int64_t> held{0};  // never more than the queue holds: counted up after a send, down before a delete
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> senders;
  for (int sender = 0; sender < 3; ++sender) {
    senders.emplace_back([&, sender] {
      for (int i = sender; i < messages; i += 3) {
        if (!queue.Send(i).ok()) std::abort();
        if (held.fetch_add(1) + 1 > kCapacity) exceeded.store(true);
      }
    });
  }
  std::vector<std::thread> receivers;
  for (int receiver = 0; receiver < 2; ++receiver) {
    receivers.emplace_back([&] {
      for (;;) {
        auto deliveries = queue.Receive({.max_messages = 10, .wait = Seconds(20)});
        if (!deliveries.ok()) return;
        for (auto& delivery : *deliveries) {
          sum.fetch_add(delivery.body());
          held.fetch_sub(1);
          delivery.Delete().IgnoreError();
        }
      }
    });
  }
  Join(senders);
  queue.Close();
  Join(receivers);
  CHECK_FALSE(exceeded.load());
  CHECK(sum.load() == std::int64_t{messages} * (messages - 1) / 2);
}

// Runs a function when its thread ends.
struct AtTheEnd {
  std::function<void()> run;
  ~AtTheEnd() {
    if (run) run();
  }
};

TEST_CASE("a thread that sends while it ends counts for itself, and not for the one that comes after it") {
  const int messages = Messages(1'000'000);
  StandardQueue<int> queue;
  std::atomic<bool> has_given_back{false};
  std::atomic<bool> has_taken_over{false};
  const auto send_all = [&] {
    for (int i = 0; i < messages; ++i) {
      if (!queue.Send(i).ok()) std::abort();
    }
  };
  std::thread ending([&] {
    thread_local AtTheEnd last;  // constructed before what the library keeps for the thread, so destroyed after it
    last.run = [&] {
      has_given_back = true;
      while (!has_taken_over) std::this_thread::yield();
      send_all();
    };
    if (!queue.Send(0).ok()) std::abort();
  });
  std::thread following([&] {
    while (!has_given_back) std::this_thread::yield();
    if (!queue.Send(0).ok()) std::abort();
    has_taken_over = true;
    send_all();
  });
  ending.join();
  following.join();
  CHECK(queue.Counts().ready == 2 * (messages + 1));
}

TEST_CASE("the limit in flight holds among many receivers") {
  const int messages = Messages(100'000);
  constexpr int kLimit = 7;
  auto queue = StandardQueue<int>::Create({.max_in_flight = kLimit}).value();
  for (int i = 0; i < messages; ++i) REQUIRE(queue.Send(i).ok());
  queue.Close();
  std::atomic<int> in_flight{0};
  std::atomic<int> most{0};
  std::atomic<int> received{0};
  std::vector<std::thread> receivers;
  for (int receiver = 0; receiver < 4; ++receiver) {
    receivers.emplace_back([&] {
      for (;;) {
        auto deliveries = queue.Receive({.max_messages = 3, .wait = Seconds(20)});
        if (!deliveries.ok()) return;
        const int now =
            in_flight.fetch_add(static_cast<int>(deliveries->size())) + static_cast<int>(deliveries->size());
        for (int seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        received.fetch_add(static_cast<int>(deliveries->size()));
        for (auto& delivery : *deliveries) {
          in_flight.fetch_sub(1);
          delivery.Delete().IgnoreError();
        }
      }
    });
  }
  Join(receivers);
  CHECK(most.load() <= kLimit);
  CHECK(received.load() == messages);
}

}  // namespace decouple::testing
