#include "decouple/consumer_group.h"

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "group_testing.h"

namespace decouple::testing {
namespace {

TEST_CASE("a worker reads every shard of the stream, each in order") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 3});
  for (int i = 0; i < 300; ++i) Put(stream, "k", i, ToPart(static_cast<std::size_t>(i % 3), 3));
  auto group = MakeGroupOfAll(stream);
  std::map<ShardId, std::vector<int>> seen;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>& batch) {
    for (const auto& record : batch) seen[batch.shard_id()].push_back(record.body());
  });
  CHECK(worker.Step() == 300);
  CHECK(worker.Step() == 0);
  REQUIRE(seen.size() == 3);
  for (int shard = 0; shard < 3; ++shard) {
    const auto& bodies = seen[Number(static_cast<std::uint64_t>(shard))];
    REQUIRE(bodies.size() == 100);
    for (int i = 0; i < 100; ++i) CHECK(bodies[static_cast<std::size_t>(i)] == 3 * i + shard);
  }
}

TEST_CASE("each group sees all records") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto one = MakeGroup(stream, {.name = "one", .start = TrimHorizon{}});
  auto two = MakeGroup(stream, {.name = "two", .start = TrimHorizon{}});
  std::vector<int> of_one;
  std::vector<int> of_two;
  auto first = one.AddWorker("w", RecordIn(of_one));
  auto second = two.AddWorker("w", RecordIn(of_two));
  first.Step();
  second.Step();
  CHECK(of_one == std::vector{1});
  CHECK(of_two == std::vector{1});
}

TEST_CASE("groups of one name, stream and store are one, and share their leases") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  Put(stream, "k", 1, ToPart(0, 2));
  Put(stream, "k", 2, ToPart(1, 2));
  const auto store = std::make_shared<InMemoryCheckpointStore>();
  const auto other_store = std::make_shared<InMemoryCheckpointStore>();
  const bool is_stored = GENERATE(false, true);
  const ConsumerGroupOptions options{.name = "g", .start = TrimHorizon{}, .checkpoints = is_stored ? store : nullptr};
  auto one = MakeGroup(stream, options);
  auto two = MakeGroup(stream, options);
  CHECK(one == two);
  std::vector<int> bodies;
  auto first = one.AddWorker("first", RecordIn(bodies));
  auto second = two.AddWorker("second", RecordIn(bodies));
  for (int i = 0; i < 3; ++i) {
    first.Step();
    second.Step();
  }
  CHECK(bodies == std::vector{1, 2});
  CHECK(first.Shards().size() == 1);
  CHECK(second.Shards().size() == 1);
  ConsumerGroupOptions elsewhere = options;
  elsewhere.checkpoints = other_store;
  CHECK_FALSE(one == MakeGroup(stream, elsewhere));
  ConsumerGroupOptions named = options;
  named.name = "h";
  CHECK_FALSE(one == MakeGroup(stream, named));
  auto other_stream = MakeStream<int>(clock);
  CHECK_FALSE(one == MakeGroup(other_stream, {.name = "g", .start = TrimHorizon{}}));
}

TEST_CASE("a group that exists is not created with other options") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  std::optional<ConsumerGroup<int>> group = MakeGroup(stream, {.name = "g"});
  const auto error = [&](ConsumerGroupOptions options) {
    return ErrorIn(ConsumerGroup<int>::Create(stream, std::move(options)));
  };
  CHECK(error({.name = "g"}) == std::nullopt);
  CHECK_THAT(
      std::string(ConsumerGroup<int>::Create(stream, {.name = "g", .lease_duration = Seconds(11)}).status().message()),
      Catch::Contains("lease_duration 10s, and not 11s"));
  CHECK(error({.name = "g", .start = TrimHorizon{}}) == Error::kResourceInUse);
  CHECK(error({.name = "g", .lease_duration = Seconds(11)}) == Error::kResourceInUse);
  CHECK(error({.name = "g", .max_records = 9}) == Error::kResourceInUse);
  CHECK(error({.name = "g", .maximum_retry_attempts = 1}) == Error::kResourceInUse);
  CHECK(error({.name = "g", .bisect_batch_on_function_error = true}) == Error::kResourceInUse);
  CHECK(error({.name = "g", .maximum_record_age = Seconds(60)}) == Error::kResourceInUse);
  const auto ignore = [](const DiscardedBatch<int>&) { return absl::OkStatus(); };
  CHECK(ErrorIn(ConsumerGroup<int>::Create(stream, {.name = "g"}, ignore)) == Error::kResourceInUse);
  {
    std::vector<int> bodies;
    auto worker = group->AddWorker("w", RecordIn(bodies));
    group.reset();
    CHECK(error({.name = "g", .max_records = 9}) == Error::kResourceInUse);  // a worker keeps it
  }
  CHECK(error({.name = "g", .max_records = 9}) == std::nullopt);
}

TEST_CASE("of two starting times of one group the first counts") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const absl::Time first = clock.Now();
  auto one = MakeGroup(stream, {.name = "g", .start = AtTimestamp{first}});
  clock.Advance(Seconds(1));
  auto two = MakeGroup(stream, {.name = "g", .start = AtTimestamp{clock.Now()}});
  CHECK(std::get<AtTimestamp>(two.Leases()[0].checkpoint.position).timestamp == first);
}

TEST_CASE("threads that create a group at the same time get the same one") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 4});
  for (int round = 0; round < 10; ++round) {
    std::vector<std::optional<ConsumerGroup<int>>> groups(4);
    std::vector<std::thread> threads;
    for (auto& group : groups) {
      threads.emplace_back([&] { group = ConsumerGroup<int>::Create(stream, {.name = "g"}).value(); });
    }
    for (auto& thread : threads) thread.join();
    for (auto& group : groups) CHECK(*group == *groups.front());
  }
}

TEST_CASE("a new group begins at the oldest record, at the next one put, or at a time") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  Put(stream, "k", 1, ToPart(0, 2));
  clock.Advance(Seconds(1));
  const absl::Time between = clock.Now();
  Put(stream, "k", 2, ToPart(0, 2));
  auto oldest = MakeGroup(stream, {.name = "oldest", .start = TrimHorizon{}});
  auto latest = MakeGroup(stream, {.name = "latest"});
  auto timed = MakeGroup(stream, {.name = "timed", .start = AtTimestamp{between}});
  Put(stream, "k", 3, ToPart(0, 2));
  Put(stream, "k", 4, ToPart(1, 2));
  const auto read = [](ConsumerGroup<int>& group) {
    std::vector<int> bodies;
    auto worker = group.AddWorker("w", RecordIn(bodies));
    worker.Step();
    return bodies;
  };
  CHECK(read(oldest) == std::vector{1, 2, 3, 4});
  CHECK(read(latest) == std::vector{3, 4});
  CHECK(read(timed) == std::vector{2, 3, 4});
}

TEST_CASE("a group that begins at the latest record reads no closed shard, and all of the children to come") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  Put(stream, "k", 2);
  auto group = MakeGroup(stream);
  for (const Shard& shard : OpenShards(stream)) REQUIRE(stream.SplitShard(shard.id).ok());
  Put(stream, "k", 3);
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  for (int i = 0; i < 5; ++i) worker.Step();
  CHECK(bodies == std::vector{3});
}

TEST_CASE("options out of their ranges are refused") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const auto error = [&](ConsumerGroupOptions options) {
    return ErrorIn(ConsumerGroup<int>::Create(stream, std::move(options)));
  };
  CHECK(error({.name = "g"}) == std::nullopt);
  CHECK(error({.name = ""}) == Error::kInvalidArgument);
  CHECK(error({.name = "a b"}) == Error::kInvalidArgument);
  CHECK(error({.name = std::string(129, 'x')}) == Error::kInvalidArgument);
  CHECK(error({.name = "g", .lease_duration = absl::ZeroDuration()}) == Error::kInvalidArgument);
  CHECK(error({.name = "g", .max_records = 0}) == Error::kInvalidArgument);
  CHECK(error({.name = "g", .max_records = 10'001}) == Error::kInvalidArgument);
  CHECK(error({.name = "g", .maximum_retry_attempts = 10'000}) == std::nullopt);
  CHECK(error({.name = "g", .maximum_retry_attempts = 10'001}) == Error::kInvalidArgument);
  CHECK(error({.name = "g", .maximum_record_age = absl::ZeroDuration()}) == Error::kInvalidArgument);
  CHECK(error({.name = "g", .start = AtSequenceNumber{}}) == Error::kInvalidArgument);
  CHECK(error({.name = "g", .start = AtTimestamp{clock.Now()}}) == std::nullopt);
  CHECK(error({.name = "ahead", .start = AtTimestamp{clock.Now() + kClockTolerance - kOneNanosecond}}) == std::nullopt);
  CHECK(error({.name = "g", .start = AtTimestamp{clock.Now() + kClockTolerance}}) == Error::kInvalidArgument);
}

TEST_CASE("a group's starting time that is a little ahead is now") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const absl::Time now = clock.Now();
  auto group = MakeGroup(stream, {.name = "g", .start = AtTimestamp{now + kOneNanosecond}});
  CHECK(std::get<AtTimestamp>(group.Leases()[0].checkpoint.position).timestamp == now);
}

TEST_CASE("a worker that stops renewing loses its shards at the instant at which its leases expire") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  auto group = MakeGroup(stream);
  std::vector<int> of_first;
  std::vector<int> of_second;
  auto first = group.AddWorker("first", RecordIn(of_first));
  first.Step();
  CHECK(first.Shards().size() == 2);
  auto second = group.AddWorker("second", RecordIn(of_second));
  clock.Advance(kLease - kOneNanosecond);
  Put(stream, "k", 1, ToPart(0, 2));
  Put(stream, "k", 2, ToPart(1, 2));
  CHECK(group.Leases()[0].owner == "first");
  CHECK(group.Leases()[0].expires_at == clock.Now() + kOneNanosecond);
  second.Step();  // takes one for balance, as none is free
  CHECK(second.Shards().size() == 1);
  clock.Advance(kOneNanosecond);
  CHECK(group.Leases()[1].owner.empty());
  second.Step();
  CHECK(second.Shards().size() == 2);
  CHECK(of_first.empty());
  CHECK(of_second.size() == 2);
}

TEST_CASE("a worker that steps in time keeps its shards") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto group = MakeGroup(stream);
  std::vector<int> bodies;
  auto first = group.AddWorker("first", RecordIn(bodies));
  auto second = group.AddWorker("second", RecordIn(bodies));
  for (int i = 0; i < 100; ++i) {
    first.Step();
    CHECK(first.Shards().size() == 1);
    clock.Advance(kLease - kOneNanosecond);
    second.Step();
    CHECK(second.Shards().empty());
  }
  CHECK(group.Statistics().taken_leases == 1);
}

TEST_CASE("the time that one shard takes in a step costs the other shards no lease") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 4});
  for (const Shard& shard : stream.Shards()) {
    Put(stream, "k", 1, {.explicit_hash_key = shard.hash_key_range.starting});
  }
  auto group = MakeGroupOfAll(stream);
  int processed = 0;
  int shut_down = 0;
  enum Slowness { kToBegin, kToProcess, kToShutDown };
  const Slowness slowness = GENERATE(kToBegin, kToProcess, kToShutDown);
  struct Slow {
    ManualClock& clock;
    int& processed;
    int& shut_down;
    Slowness slowness;
    void Take(Slowness time) {
      if (time == slowness) clock.Advance(kLease - kOneNanosecond);
    }
    void Initialize(ShardId) { Take(kToBegin); }
    void ProcessRecords(const RecordBatch<int>&, Checkpointer&) {
      ++processed;
      Take(kToProcess);
    }
    void ShutdownRequested(Checkpointer& checkpointer) {
      Take(kToShutDown);
      if (checkpointer.Checkpoint().ok()) ++shut_down;
    }
  };
  auto worker = group.AddWorker("w", [&](ShardId) { return Slow{clock, processed, shut_down, slowness}; });
  worker.Step();
  CHECK(processed == 4);
  worker.RequestShutdown();
  worker.Step();
  CHECK(shut_down == 4);
  CHECK(group.Statistics().lost_leases == 0);
}

TEST_CASE("a worker that comes back too late is notified that its lease is lost") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto group = MakeGroup(stream);
  CallLog of_first;
  CallLog of_second;
  auto first = group.AddWorker("first", RecordingIn(of_first));
  auto second = group.AddWorker("second", RecordingIn(of_second));
  first.Step();
  clock.Advance(kLease);
  second.Step();
  first.Step();
  CHECK(of_first.entries == std::vector<std::string>{"initialize 0", "lost 0"});
  CHECK(of_second.entries == std::vector<std::string>{"initialize 0"});
  CHECK(group.Statistics().lost_leases == 1);
}

TEST_CASE("a worker that comes back too late loses its lease and takes it again if no other has") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto group = MakeGroup(stream);
  CallLog calls;
  auto worker = group.AddWorker("w", RecordingIn(calls));
  worker.Step();
  clock.Advance(kLease);
  worker.Step();
  CHECK(calls.entries == std::vector<std::string>{"initialize 0", "lost 0", "initialize 0"});
}

TEST_CASE("a worker with less than its share of the shards takes one at a time from the worker with most") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 7});
  auto group = MakeGroup(stream);
  std::vector<int> bodies;
  std::list<ConsumerWorker<int>> workers;
  const auto sizes = [&] {
    std::multiset<std::size_t> all;
    for (const auto& worker : workers) all.insert(worker.Shards().size());
    return all;
  };
  for (int n = 1; n <= 3; ++n) {
    workers.push_back(group.AddWorker("w" + std::to_string(n), RecordIn(bodies)));
    const auto before = workers.back().Shards().size();
    workers.back().Step();
    CHECK(workers.back().Shards().size() == before + (n == 1 ? 7u : 1u));
    for (int i = 0; i < 10; ++i) {
      for (auto& worker : workers) worker.Step();
    }
  }
  CHECK(sizes() == std::multiset<std::size_t>{2, 2, 3});
  const auto taken = group.Statistics().taken_leases;
  for (auto& worker : workers) worker.Step();
  CHECK(group.Statistics().taken_leases == taken);  // the shares are even, so no lease is taken
  workers.pop_back();                               // its leases are free at once
  for (int i = 0; i < 3; ++i) {
    for (auto& worker : workers) worker.Step();
  }
  CHECK(sizes() == std::multiset<std::size_t>{3, 4});
}

TEST_CASE("a shard is not taken for balance while a batch of it is being processed") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  Put(stream, "k", 1, ToPart(0, 2));
  Put(stream, "k", 2, ToPart(1, 2));
  auto group = MakeGroupOfAll(stream);
  std::vector<int> bodies;
  auto second = group.AddWorker("second", RecordIn(bodies));
  auto first = group.AddWorker("first", [&](const RecordBatch<int>& batch) {
    if (batch.front().body() == 1) {
      second.Step();
      CHECK(second.Shards() == std::vector{Number(1)});
    }
    RecordIn(bodies)(batch);
  });
  first.Step();
  CHECK(bodies == std::vector{2, 1});
  CHECK(first.Shards() == std::vector{Number(0)});
}

TEST_CASE("a child is read only after its parents have been read to their end") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  Put(stream, "k", 1, ToPart(0, 2));
  Put(stream, "k", 2, ToPart(1, 2));
  REQUIRE(stream.MergeShards(Number(0), Number(1)).ok());
  Put(stream, "k", 3);
  REQUIRE(stream.SplitShard(Number(2)).ok());
  Put(stream, "k", 4, ToPart(0, 2));
  Put(stream, "k", 5, ToPart(1, 2));
  auto group = MakeGroupOfAll(stream);
  CallLog calls;
  auto worker = group.AddWorker("w", RecordingIn(calls));
  worker.Step();
  CHECK(calls.entries ==
        std::vector<std::string>{"initialize 0", "initialize 1", "record 1", "ended 0", "record 2", "ended 1"});
  calls.entries.clear();
  worker.Step();
  CHECK(calls.entries == std::vector<std::string>{"initialize 2", "record 3", "ended 2"});
  calls.entries.clear();
  worker.Step();
  CHECK(calls.entries == std::vector<std::string>{"initialize 3", "initialize 4", "record 4", "record 5"});
  CHECK(group.Leases().size() == 5);
  CHECK(std::holds_alternative<ShardEnd>(group.Leases()[2].checkpoint.position));
}

TEST_CASE("shards whose records were all trimmed unread are skipped") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  auto group = MakeGroupOfAll(stream);
  clock.Advance(Hours(24));
  CHECK(stream.Shards().size() == 2);
  Put(stream, "k", 2);
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  for (int i = 0; i < 3; ++i) worker.Step();
  CHECK(bodies == std::vector{2});
}

TEST_CASE("in a provisioned stream workers read at the rate that its shards allow") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.capacity_mode = CapacityMode::kProvisioned});
  auto group = MakeGroup(stream);
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  for (int i = 0; i < 20; ++i) {
    Put(stream, "k", i);
    worker.Step();
  }
  CHECK(bodies.size() == 5);
  clock.Advance(absl::Milliseconds(200));
  worker.Step();
  CHECK(bodies.size() == 20);
}

TEST_CASE("Run() sleeps until there is something to do, and returns when the stream is closed and read") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto group = MakeGroup(stream);
  std::vector<int> bodies;
  std::thread thread([&] {
    auto worker = group.AddWorker("w", RecordIn(bodies));
    worker.Run();
  });
  clock.AwaitSleepers(1);
  Put(stream, "k", 1);
  for (int i = 0; i < 10; ++i) {
    clock.AwaitSleepers(1);
    clock.Advance(kLease / 3);  // it wakes to renew
  }
  CHECK(stream.SplitShard(Number(0)).ok());
  Put(stream, "k", 2);
  stream.Close();
  thread.join();
  CHECK(bodies == std::vector{1, 2});
  CHECK(group.Statistics().lost_leases == 0);
  CHECK(group.Statistics().records_processed == 2);
}

TEST_CASE("Run() returns when the worker is shut down") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto group = MakeGroup(stream);
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  std::thread thread([&] { worker.Run(); });
  clock.AwaitSleepers(1);
  worker.RequestShutdown();
  thread.join();
  CHECK(worker.is_shutdown());
  CHECK(group.Leases()[0].owner.empty());
}

TEST_CASE("workers and leases say how far the group has read") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .max_records = 1});
  Put(stream, "k", 1);
  Put(stream, "k", 2);
  clock.Advance(Seconds(3));
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  worker.Step();
  CHECK(worker.millis_behind_latest() == 3'000);
  worker.Step();
  CHECK(worker.millis_behind_latest() == 0);
  const auto leases = group.Leases();
  REQUIRE(leases.size() == 1);
  CHECK(leases[0].owner == "w");
  CHECK(leases[0].expires_at == clock.Now() + kLease);
  CHECK(group.Statistics().data_bytes_processed == 10);
}

TEST_CASE("a worker is behind by the next record's age after a failure and after a discard, by 1 ms at least") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  for (int i = 0; i < 3; ++i) {
    Put(stream, "k", i);
    clock.Advance(Seconds(1));
  }
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .max_records = 1, .maximum_retry_attempts = 1});
  auto worker = group.AddWorker("w", [](const RecordBatch<int>&) { return absl::InternalError("no"); });
  worker.Step();
  CHECK(worker.millis_behind_latest() == 3'000);
  clock.Advance(Seconds(1));
  worker.Step();  // discards the first
  CHECK(worker.millis_behind_latest() == 3'000);
  Put(stream, "k", 3);
  for (int i = 0; i < 6 && group.Statistics().discarded_records < 3; ++i) {
    worker.Step();
    if (group.Statistics().discarded_records < 3) clock.Advance(Seconds(1));
  }
  worker.Step();
  auto other = MakeGroup(stream, {.name = "at_tip", .start = Latest{}});
  auto fresh = other.AddWorker("w", [](const RecordBatch<int>&) { return absl::InternalError("no"); });
  fresh.Step();
  CHECK(fresh.millis_behind_latest() == 0);
  Put(stream, "k", 4);
  fresh.Step();
  CHECK(fresh.millis_behind_latest() == 1);
}

}  // namespace
}  // namespace decouple::testing
