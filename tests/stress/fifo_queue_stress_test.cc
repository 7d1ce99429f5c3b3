// FIFO queues with many threads: the order of each group, one receiver at a time, and each message accounted for.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "queue_testing.h"
#include "seed.h"
#include "stress_testing.h"

namespace decouple::testing {

struct Numbered {
  int group;
  int number;  // in the group, from 0
};

// The observed history of one group: which receiver has which of its messages in flight and from when to when, and
// which messages are gone.
class WatchedGroup {
 public:
  void Expect(int messages) { gone_.resize(static_cast<std::size_t>(messages)); }

  // Called for each message of a receive before it is released or deleted: it was in flight at least from `since` to
  // `until`.
  void Enter(int receiver, int number, absl::Time since, absl::Time until) {
    const std::lock_guard lock(mutex_);
    for (const auto& [other_number, other] : in_flight_) {
      if (other.receiver != receiver && std::max(other.since, since) < std::min(other.until, until)) ++overlaps_;
    }
    InFlight& entry = in_flight_[number];
    if (entry.since <= since) entry = {receiver, since, until};
  }

  // Called before the message is released.
  void Leave(int receiver, int number) {
    const std::lock_guard lock(mutex_);
    const auto found = in_flight_.find(number);
    if (found != in_flight_.end() && found->second.receiver == receiver) in_flight_.erase(found);
  }

  // Deletes the message by delete_it(), under the lock, so that deletions are seen in their order.
  template <typename Delete>
  void Finish(int number, Delete delete_it) {
    const std::lock_guard lock(mutex_);
    if (!delete_it()) return;  // too late
    in_flight_.erase(number);
    if (gone_[static_cast<std::size_t>(number)]) return;  // deleted by another receiver, since our timeout ended
    if (number < last_) ++overtakings_;
    last_ = number;
    gone_[static_cast<std::size_t>(number)] = true;
  }

  // Called when the message has arrived in the dead-letter queue.
  void Bury(int number) {
    const std::lock_guard lock(mutex_);
    if (number <= last_buried_) ++buried_overtakings_;
    last_buried_ = number;
    gone_[static_cast<std::size_t>(number)] = true;
  }

  int overlaps() const { return overlaps_; }
  int overtakings() const { return overtakings_; }
  int buried_overtakings() const { return buried_overtakings_; }
  bool all_gone() const { return std::count(gone_.begin(), gone_.end(), false) == 0; }

 private:
  struct InFlight {
    int receiver = 0;
    absl::Time since = absl::InfinitePast();
    absl::Time until = absl::InfinitePast();
  };

  std::mutex mutex_;
  std::map<int, InFlight> in_flight_;
  std::vector<bool> gone_;
  int last_ = -1;
  int last_buried_ = -1;
  int overlaps_ = 0;
  int overtakings_ = 0;
  int buried_overtakings_ = 0;
};

class FifoStress {
 public:
  FifoStress(std::uint64_t seed, int in_group) : seed_(seed), in_group_(in_group) {
    for (auto& group : groups_) group.Expect(in_group);
  }

  void Run() {
    std::vector<std::thread> senders;
    std::vector<std::thread> workers;
    for (int i = 0; i < kSenders; ++i) senders.emplace_back([this, i] { SendEachTwice(i); });
    for (int i = 0; i < 3; ++i) workers.emplace_back([this, i] { Work(i); });
    workers.emplace_back([this] {
      while (!queue_.drained()) {
        clock_.Advance(kTimeout / 10);
        std::this_thread::yield();
      }
    });
    Join(senders);
    queue_.Close();
    Join(workers);
    CHECK(queue_.Statistics().number_of_messages_sent == static_cast<std::uint64_t>(kGroups * in_group_));
    for (const auto& group : groups_) CHECK(group.overlaps() == 0);
  }

  ManualClock& clock() { return clock_; }
  FifoQueue<Numbered>& queue() { return queue_; }
  WatchedGroup& GroupOf(const Delivery<Numbered>& delivery) {
    return groups_[static_cast<std::size_t>(delivery.body().group)];
  }
  const auto& groups() const { return groups_; }

 private:
  static constexpr int kGroups = 7;
  static constexpr int kSenders = 2;
  static constexpr absl::Duration kTimeout = absl::Milliseconds(10);  // five minutes do not pass between two sends

  // Sends the messages of every second group, from `sender` on.
  void SendEachTwice(int sender) {
    for (int number = 0; number < in_group_; ++number) {
      for (int group = sender; group < kGroups; group += kSenders) {
        const std::string name = std::to_string(group);
        const std::string id = name + "-" + std::to_string(number);
        for (int i = 0; i < 2; ++i) {
          if (!queue_.Send({group, number}, {.group = name, .deduplication_id = id}).ok()) std::abort();
        }
      }
    }
  }

  void Work(int receiver) {
    std::mt19937_64 random(seed_ + static_cast<std::uint64_t>(receiver));
    for (;;) {
      const absl::Time before = clock_.Now();
      auto received = queue_.Receive({.max_messages = random() % 10 + 1, .visibility_timeout = kTimeout});
      const absl::Time after = clock_.Now();
      if (!received.ok()) return;  // closed and drained
      for (const auto& delivery : *received) {
        GroupOf(delivery).Enter(receiver, delivery.body().number, after, before + kTimeout);
      }
      const std::size_t to_do = random() % 16 == 0 ? random() % (received->size() + 1) : received->size();
      for (std::size_t i = 0; i < to_do; ++i) {
        auto& delivery = (*received)[i];
        GroupOf(delivery).Finish(delivery.body().number, [&] { return delivery.Delete().ok(); });
      }
      if (random() % 2 == 0) continue;                          // the rest comes back by itself
      for (std::size_t i = received->size(); i > to_do; --i) {  // or at once, the last first, so that order is kept
        auto& delivery = (*received)[i - 1];
        GroupOf(delivery).Leave(receiver, delivery.body().number);
        delivery.Release().IgnoreError();
      }
    }
  }

  const std::uint64_t seed_;
  const int in_group_;
  ManualClock clock_;
  FifoQueue<Numbered> queue_ = Make<FifoQueue<Numbered>>(clock_);
  std::array<WatchedGroup, kGroups> groups_;
};

TEST_CASE("within a group deletions are in order, and no two messages are in flight with different receivers") {
  ForEachSeed(1, [](std::uint64_t seed) {
    FifoStress stress(seed, Messages(700'000) / 7);
    stress.Run();
    for (const auto& group : stress.groups()) {
      CHECK(group.overtakings() == 0);
      CHECK(group.all_gone());
    }
  });
}

TEST_CASE("messages that fail too often leave in the order of their groups, and none is lost or doubled") {
  ForEachSeed(1, [](std::uint64_t seed) {
    FifoStress stress(seed, Messages(350'000) / 7);
    auto dead = Make<FifoQueue<Numbered>>(stress.clock(), {.visibility_timeout = Hours(1)});
    REQUIRE(stress.queue().SetAttributes({.redrive = Redrive{.to = dead, .max_receives = 2}}).ok());
    stress.Run();
    const QueueStatistics statistics = stress.queue().Statistics();
    CHECK(statistics.number_of_messages_redriven > 0);
    CHECK(statistics.number_of_messages_deleted + statistics.number_of_messages_redriven ==
          statistics.number_of_messages_sent);
    CHECK(dead.Counts().ready == static_cast<std::int64_t>(statistics.number_of_messages_redriven));
    for (;;) {
      auto letters = dead.Receive({.max_messages = 10});
      if (letters->empty()) break;
      for (auto& letter : *letters) {
        stress.GroupOf(letter).Bury(letter.body().number);
        REQUIRE(letter.Delete().ok());
      }
    }
    for (const auto& group : stress.groups()) {
      CHECK(group.buried_overtakings() == 0);
      CHECK(group.all_gone());
    }
  });
}

TEST_CASE("of many concurrent sends with one id one is taken, and all get its result") {
  constexpr int kThreads = 4;
  const int ids = Messages(100'000);
  FifoQueue<int> queue;
  std::array<std::vector<SequenceNumber>, kThreads> results;
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      for (int id = 0; id < ids; ++id) {
        const auto sent = queue.Send(id, {.group = std::to_string(id % 100), .deduplication_id = std::to_string(id)});
        if (!sent.ok()) std::abort();
        result.push_back(*sent->sequence_number);
      }
    });
  }
  Join(threads);
  for (const auto& result : results) CHECK(result == results[0]);
  CHECK(queue.Counts().ready == ids);
}

}  // namespace decouple::testing
