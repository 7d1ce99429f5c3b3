// Streams under many threads: every record is accounted for, and each key's are in order, while shards are split,
// merged and scaled.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "decouple/consumer_group.h"
#include "decouple/stream_consumer.h"
#include "seed.h"
#include "stream_testing.h"
#include "stress_testing.h"

namespace decouple::testing {
namespace {

constexpr std::uint32_t kPutters = 3;
constexpr std::uint32_t kKeysEach = 50;

// The n-th record of a key. Each key is put by one thread.
struct Numbered {
  std::uint32_t key = 0;
  std::uint32_t number = 0;
};

// Puts the records of this putter's keys, each key's in order.
void PutAll(Stream<Numbered> stream, std::uint32_t putter, std::uint32_t records) {
  for (std::uint32_t i = 0; i < records; ++i) {
    const std::uint32_t key = putter * kKeysEach + i % kKeysEach;
    if (!stream.Put("key-" + std::to_string(key), Numbered{key, i / kKeysEach}).ok()) std::abort();
  }
}

// Splits, merges and scales until `stopping`. Returns how often it succeeded.
int Reshard(Stream<Numbered> stream, const std::atomic<bool>& stopping, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  int reshardings = 0;
  while (!stopping) {
    const auto open = OpenShards(stream);
    if (open.empty()) break;  // the stream was closed
    const auto& any = open[random() % open.size()];
    absl::Status status;
    if (open.size() > 8) {
      status = stream.UpdateShardCount(open.size() / 2 + 1);
    } else if (random() % 3 == 0) {
      status = stream.UpdateShardCount(1 + random() % (2 * open.size()));
    } else if (random() % 2 == 0) {
      status = stream.SplitShard(any.id);
    } else {
      status = stream.MergeShards(any.id, open[random() % open.size()].id);
    }
    if (status.ok()) ++reshardings;
    std::this_thread::yield();
  }
  return reshardings;
}

// Checks that each key's records come in order, each once.
class Order {
 public:
  void See(const Numbered& record) {
    std::uint32_t& next = next_[record.key];
    if (record.number != next) ++out_of_order_;
    next = record.number + 1;
    ++seen_;
  }
  // Same, but records may come again, as after a crash.
  void SeeAgain(const Numbered& record) {
    std::uint32_t& next = next_[record.key];
    if (record.number > next) ++out_of_order_;
    if (record.number == next) {
      ++next;
      ++seen_;
    }
  }

  std::uint64_t seen() const { return seen_; }
  int out_of_order() const { return out_of_order_; }

 private:
  std::map<std::uint32_t, std::uint32_t> next_;
  std::uint64_t seen_ = 0;
  int out_of_order_ = 0;
};

// Reads the first shards to their ends, then their children: the child of a merge when both parents have ended.
class Follower {
 public:
  explicit Follower(Stream<Numbered> stream) : stream_(std::move(stream)) {
    // The stream may have been resharded already: a shard with parents is followed once they have ended.
    for (const Shard& shard : stream_.Shards()) {
      if (shard.parents.empty()) Follow(shard.id);
    }
  }

  Order FollowToTheEnd() {
    while (!iterators_.empty()) {
      for (std::size_t i = 0; i < iterators_.size();) {
        const auto batch = iterators_[i].Next(500).value();
        for (const auto& record : batch) order_.See(record.body());
        if (!batch.shard_ended()) {
          ++i;
          continue;
        }
        iterators_.erase(iterators_.begin() + static_cast<std::ptrdiff_t>(i));
        for (const Shard& child : batch.child_shards()) {
          if (++ended_parents_[child.id] == child.parents.size()) Follow(child.id);
        }
      }
    }
    return order_;
  }

 private:
  void Follow(ShardId id) { iterators_.push_back(stream_.Iterate(id, TrimHorizon{}).value()); }

  Stream<Numbered> stream_;
  std::vector<ShardIterator<Numbered>> iterators_;
  std::map<ShardId, std::size_t> ended_parents_;
  Order order_;
};

TEST_CASE("readers see each key's records in order, each once, while others put and reshard") {
  ForEachSeed(1, [](std::uint64_t seed) {
    const auto each = static_cast<std::uint32_t>(Messages(3'000'000)) / kPutters;
    auto stream = Stream<Numbered>::Create({.shards = 2, .retention = Hours(24)}).value();
    std::vector<Order> orders(2);
    std::atomic<bool> stopping{false};
    int reshardings = 0;
    std::vector<std::thread> putters;
    std::vector<std::thread> others;
    for (Order& order : orders) {
      others.emplace_back([&] { order = Follower(stream).FollowToTheEnd(); });
    }
    others.emplace_back([&] { reshardings = Reshard(stream, stopping, seed); });
    for (std::uint32_t i = 0; i < kPutters; ++i) putters.emplace_back(PutAll, stream, i, each);
    Join(putters);
    stopping = true;
    stream.Close();
    Join(others);
    CHECK(reshardings > 0);
    for (const Order& order : orders) {
      CHECK(order.out_of_order() == 0);
      CHECK(order.seen() == std::uint64_t{each} * kPutters);
    }
  });
}

TEST_CASE("a group sees every record of each key in order while its workers come and go on threads") {
  ForEachSeed(1, [](std::uint64_t seed) {
    const auto each = static_cast<std::uint32_t>(Messages(1'000'000)) / kPutters;
    auto stream = Stream<Numbered>::Create({.shards = 3}).value();
    auto group =
        ConsumerGroup<Numbered>::Create(
            stream, {.name = "g", .start = TrimHorizon{}, .lease_duration = absl::Milliseconds(50), .max_records = 200})
            .value();
    std::mutex mutex;
    Order order;
    std::atomic<bool> stopping{false};
    std::vector<std::thread> putters;
    std::vector<std::thread> workers;
    std::thread resharder([&] { Reshard(stream, stopping, seed); });
    for (std::uint32_t i = 0; i < 3; ++i) {
      workers.emplace_back([&, i] {
        std::mt19937_64 random(seed + i);
        for (bool done = false; !done;) {
          std::atomic<int> left = static_cast<int>(20 + random() % 100);
          auto worker = group.AddWorker("w", [&](const RecordBatch<Numbered>& batch, Checkpointer& checkpointer) {
            // Only the holder of the lease can make a checkpoint, so only its records count.
            const std::lock_guard lock(mutex);
            if (!checkpointer.Checkpoint().ok()) return;
            for (const auto& record : batch) order.SeeAgain(record.body());
          });
          // Some workers are shut down, the others are destroyed without.
          while (left-- > 0) {
            worker.Step();
            std::this_thread::yield();
          }
          if (random() % 2 == 0) {
            worker.RequestShutdown();
            worker.Step();
          }
          done = stream.closed();
          if (done) {
            auto last = group.AddWorker("last", [&](const RecordBatch<Numbered>& batch, Checkpointer& checkpointer) {
              const std::lock_guard lock(mutex);
              if (!checkpointer.Checkpoint().ok()) return;
              for (const auto& record : batch) order.SeeAgain(record.body());
            });
            last.Run();
          }
        }
      });
    }
    for (std::uint32_t i = 0; i < kPutters; ++i) putters.emplace_back(PutAll, stream, i, each);
    Join(putters);
    stopping = true;
    resharder.join();
    stream.Close();
    Join(workers);
    CHECK(order.out_of_order() == 0);
    CHECK(order.seen() == std::uint64_t{each} * kPutters);
  });
}

TEST_CASE("batches that readers keep stay intact while records are trimmed for the limit of bytes") {
  const auto each = static_cast<std::uint32_t>(Messages(2'000'000)) / kPutters;
  auto stream = Stream<std::string>::Create({.retained_bytes_per_shard = 200'000}).value();
  std::atomic<bool> stopping{false};
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> seen{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      auto iterator = stream.Iterate(Number(0), TrimHorizon{}).value();
      std::vector<RecordBatch<std::string>> kept;
      while (!stopping) {
        auto batch = iterator.Next(300).value();
        if (batch.empty()) continue;
        seen += batch.size();
        kept.push_back(std::move(batch));
        if (kept.size() < 10) continue;
        for (const auto& one : kept) {
          for (const auto& record : one) {
            if (record.body() != std::string(record.partition_key()) + " has a body that is on the heap") ++wrong;
          }
        }
        kept.clear();
      }
    });
  }
  std::vector<std::thread> putters;
  for (std::uint32_t i = 0; i < kPutters; ++i) {
    putters.emplace_back([&, i] {
      for (std::uint32_t n = 0; n < each; ++n) {
        const std::string key = std::to_string(i) + "-" + std::to_string(n);
        if (!stream.Put(key, key + " has a body that is on the heap").ok()) std::abort();
      }
    });
  }
  Join(putters);
  stopping = true;
  Join(readers);
  CHECK(wrong == 0);
  CHECK(seen > 0);
  const StreamStatistics statistics = stream.Statistics();
  CHECK(statistics.incoming_records == std::uint64_t{each} * kPutters);
  CHECK(statistics.trimmed_records > 0);
  CHECK(statistics.trimmed_records + ReadAll(stream).size() == statistics.incoming_records);
}

TEST_CASE("a consumer on other threads is pushed every record, in order, and none has to wait for the next put") {
  const auto each = static_cast<std::uint32_t>(Messages(200'000)) / kPutters;
  Stream<Numbered> stream;
  auto consumer = StreamConsumer<Numbered>::Register(stream, "c").value();
  std::mutex mutex;
  std::condition_variable more;
  std::vector<std::function<void()>> tasks;
  bool stopping = false;
  std::vector<std::thread> pool;
  for (int i = 0; i < 2; ++i) {
    pool.emplace_back([&] {
      std::unique_lock lock(mutex);
      while (true) {
        more.wait(lock, [&] { return stopping || !tasks.empty(); });
        if (tasks.empty()) return;
        const auto task = std::move(tasks.back());
        tasks.pop_back();
        lock.unlock();
        task();
        lock.lock();
      }
    });
  }
  Order order;
  std::atomic<std::uint64_t> seen{0};
  const auto see = [&](const RecordBatch<Numbered>& batch) {
    for (const auto& record : batch) order.See(record.body());
    seen += batch.size();
  };
  const auto post = [&](std::function<void()> task) {
    const std::lock_guard lock(mutex);
    tasks.push_back(std::move(task));
    more.notify_one();
  };
  const auto subscription = consumer.SubscribeToShard(Number(0), TrimHorizon{}, see, {.executor = post});
  const auto await = [&](std::uint64_t records) {
    const absl::Time deadline = absl::Now() + Seconds(20);
    while (seen < records && absl::Now() < deadline) std::this_thread::yield();
    return seen == records;
  };
  // Each put comes when the record before has just been pushed and the thread that pushed it is about to stop running.
  const std::uint32_t rounds = each / 4;
  for (std::uint32_t round = 1; round <= rounds; ++round) {
    Put(stream, "k", Numbered{kPutters * kKeysEach, round - 1});
    if (!await(round)) break;
    for (volatile std::uint32_t pause = round % 300; pause > 0;) pause = pause - 1;  // each time a little longer
  }
  std::vector<std::thread> putters;
  for (std::uint32_t i = 0; i < kPutters; ++i) putters.emplace_back(PutAll, stream, i, each);
  Join(putters);
  CHECK(await(std::uint64_t{each} * kPutters + rounds));
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  more.notify_all();
  Join(pool);
  CHECK(order.out_of_order() == 0);
  CHECK(order.seen() == std::uint64_t{each} * kPutters + rounds);
}

TEST_CASE("readers that sleep at the tip are woken by every put and by the end") {
  const int records = Messages(20'000);
  Stream<int> stream;
  std::vector<std::thread> readers;
  std::vector<std::uint64_t> sums(3);
  for (std::uint64_t& sum : sums) {
    readers.emplace_back([&] {
      auto iterator = stream.Iterate(Number(0), TrimHorizon{}).value();
      for (bool ended = false; !ended;) {
        const auto batch = iterator.Next(10, {.wait = absl::InfiniteDuration()}).value();
        if (batch.empty() && !batch.shard_ended()) std::abort();  // the wait is infinite
        for (const auto& record : batch) sum += static_cast<std::uint64_t>(record.body());
        ended = batch.shard_ended();
      }
    });
  }
  std::uint64_t expected = 0;
  for (int i = 0; i < records; ++i) {
    Put(stream, "k", i);
    expected += static_cast<std::uint64_t>(i);
    if (i % 64 == 0) std::this_thread::yield();
  }
  stream.Close();
  Join(readers);
  for (const std::uint64_t sum : sums) CHECK(sum == expected);
}

}  // namespace
}  // namespace decouple::testing
