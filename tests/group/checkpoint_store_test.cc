#include "decouple/checkpoint_store.h"

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "group_testing.h"

namespace decouple::testing {
namespace {

TEST_CASE("a group goes on where one of its name left off in the store") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  const auto store = std::make_shared<InMemoryCheckpointStore>();
  std::vector<int> bodies;
  for (int life = 1; life <= 3; ++life) {
    auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .checkpoints = store});
    auto worker = group.AddWorker("w", RecordIn(bodies));
    worker.Step();
    if (life == 1) REQUIRE(stream.SplitShard(Number(0)).ok());
    Put(stream, "k", life + 1);
    worker.Step();
    worker.Step();
  }
  CHECK(bodies == std::vector{1, 2, 3, 4});
}

TEST_CASE("a group does not begin with a saved checkpoint that is not of its stream") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const auto store = std::make_shared<InMemoryCheckpointStore>();
  const SequenceNumber given = Put(stream, "k", 1).sequence_number;
  const SequenceNumber ahead = Beyond(given);
  REQUIRE(store->Save({.group = "g", .shard = Number(0)}, {stream.incarnation(), AfterSequenceNumber{ahead}}).ok());
  CHECK(ErrorIn(ConsumerGroup<int>::Create(stream, {.name = "g", .checkpoints = store})) == Error::kInvalidArgument);
  REQUIRE(store->Save({.group = "g", .shard = Number(0)}, {stream.incarnation(), AfterSequenceNumber{given}}).ok());
  CHECK(ConsumerGroup<int>::Create(stream, {.name = "g", .checkpoints = store}).ok());
}

TEST_CASE("a group does not begin with the checkpoints of a former stream of the same name, whatever they say") {
  ManualClock clock;
  const auto store = std::make_shared<InMemoryCheckpointStore>();
  const ConsumerGroupOptions options{.name = "g", .start = TrimHorizon{}, .checkpoints = store};
  const int records = GENERATE(0, 5);  // TRIM_HORIZON, or a sequence number
  const bool is_ended = GENERATE(false, true);
  {
    auto former = MakeStream<int>(clock, {.name = "clicks"});
    for (int i = 0; i < records; ++i) Put(former, "k", i);
    if (is_ended) former.Close();
    auto group = MakeGroup(former, options);
    std::vector<int> bodies;
    auto worker = group.AddWorker("w", RecordIn(bodies));
    worker.Step();
    CHECK(group.Leases()[0].checkpoint.stream_incarnation == former.incarnation());
  }
  auto stream = MakeStream<int>(clock, {.name = "clicks"});
  for (int i = 0; i < 5; ++i) Put(stream, "k", i);
  CHECK(ErrorIn(ConsumerGroup<int>::Create(stream, options)) == Error::kInvalidArgument);
  REQUIRE(store->Forget({.stream = "clicks", .group = "g", .shard = Number(0)}).ok());
  auto group = MakeGroup(stream, options);
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  worker.Step();
  CHECK(bodies == std::vector{0, 1, 2, 3, 4});
}

TEST_CASE("groups of equal names, of streams with different names, share a store") {
  ManualClock clock;
  const auto store = std::make_shared<InMemoryCheckpointStore>();
  for (const char* const name : {"clicks", "orders"}) {
    auto stream = MakeStream<int>(clock, {.name = name});
    Put(stream, "k", 1);
    auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .checkpoints = store});
    std::vector<int> bodies;
    auto worker = group.AddWorker("w", RecordIn(bodies));
    worker.Step();
    CHECK(bodies == std::vector{1});
  }
}

TEST_CASE("a group that began at the latest record and read nothing goes on from there when it is created again") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  const auto store = std::make_shared<InMemoryCheckpointStore>();
  { const auto group = MakeGroup(stream, {.name = "g", .checkpoints = store}); }
  Put(stream, "k", 2);
  auto group = MakeGroup(stream, {.name = "g", .checkpoints = store});
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  worker.Step();
  CHECK(bodies == std::vector{2});
}

// Fails if `fails`, and for one shard.
class FailingStore final : public CheckpointStore {
 public:
  absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string& stream, const std::string& group) override {
    if (throws) ThrowIfPossible("down");
    if (fails || throws) return absl::UnavailableError("down");
    return store_.Load(stream, group);
  }
  absl::Status Save(const CheckpointKey& key, const Checkpoint& checkpoint) override {
    if (throws) ThrowIfPossible("down");
    return fails || throws || key.shard == lost ? absl::UnavailableError("down") : store_.Save(key, checkpoint);
  }
  absl::Status Forget(const CheckpointKey& key) override {
    if (throws) ThrowIfPossible("down");
    return throws || !forgets ? absl::UnavailableError("down") : store_.Forget(key);
  }

  bool fails = false;
  bool forgets = true;
  bool throws = false;
  std::optional<ShardId> lost;  // this shard's checkpoints cannot be saved

 private:
  InMemoryCheckpointStore store_;
};

TEST_CASE("a group whose first checkpoints cannot be saved is not created, and the next of its name is new") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  Put(stream, "k", 1, ToPart(1, 2));
  const auto store = std::make_shared<FailingStore>();
  store->lost = Number(1);
  CHECK(absl::IsUnavailable(ConsumerGroup<int>::Create(stream, {.name = "g", .checkpoints = store}).status()));
  store->lost.reset();
  auto group = MakeGroup(stream, {.name = "g", .checkpoints = store});  // at the latest record
  Put(stream, "k", 2, ToPart(1, 2));
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  worker.Step();
  CHECK(bodies == std::vector{2});
}

TEST_CASE("when the store fails, the checkpoint stays and the batch comes again") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  const auto store = std::make_shared<FailingStore>();
  store->fails = true;
  CHECK(absl::IsUnavailable(ConsumerGroup<int>::Create(stream, {.name = "g", .checkpoints = store}).status()));
  store->fails = false;
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .checkpoints = store});
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  store->fails = true;
  CHECK(worker.Step() == 0);
  CHECK(std::holds_alternative<TrimHorizon>(group.Leases()[0].checkpoint.position));
  store->fails = false;
  clock.Advance(Seconds(1));
  CHECK(worker.Step() == 1);
  CHECK(bodies == std::vector{1, 1});
  REQUIRE(stream.SplitShard(Number(0)).ok());
  store->fails = true;
  worker.Step();
  CHECK(worker.Shards() == std::vector{Number(0)});  // its end is not saved yet
  store->fails = false;
  clock.Advance(Seconds(1));
  worker.Step();
  worker.Step();
  CHECK(worker.Shards() == std::vector{Number(1), Number(2)});
}

#if defined(__cpp_exceptions)
TEST_CASE("a store that throws fails the call, and locks no shard") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  const auto store = std::make_shared<FailingStore>();
  store->throws = true;
  CHECK(absl::IsUnknown(ConsumerGroup<int>::Create(stream, {.name = "g", .checkpoints = store}).status()));
  store->throws = false;
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .checkpoints = store});
  std::vector<int> bodies;
  std::optional<Checkpointer> kept;
  {
    auto worker = group.AddWorker("first", [&](const RecordBatch<int>&, Checkpointer& checkpointer) {
      kept = checkpointer;
      store->throws = true;
      CHECK(absl::IsUnknown(checkpointer.Checkpoint()));
      return absl::InternalError("no checkpoint");
    });
    worker.Step();
    store->throws = false;
    CHECK(kept->Checkpoint().ok());  // nothing was processed
  }
  auto worker = group.AddWorker("second", RecordIn(bodies));
  worker.Step();
  CHECK(bodies == std::vector{1});
}
#endif

TEST_CASE("shards that have gone are forgotten, also if the store throws") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const auto store = std::make_shared<FailingStore>();
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .checkpoints = store});
  REQUIRE(stream.SplitShard(Number(0)).ok());
  clock.Advance(Hours(24));
  CHECK(stream.Shards().size() == 2);
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", RecordIn(bodies));
  store->throws = true;
  worker.Step();
  Put(stream, "k", 1);
  clock.Advance(Seconds(1));
  worker.Step();
  store->throws = false;
  clock.Advance(Seconds(1));
  worker.Step();
  CHECK(bodies.size() >= 1);
  CHECK(bodies.back() == 1);
}

TEST_CASE("a group that is not created says so if the store keeps a part of its first checkpoints") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 3});
  const auto store = std::make_shared<FailingStore>();
  store->lost = Number(1);
  store->forgets = false;
  const absl::Status status = ConsumerGroup<int>::Create(stream, {.name = "g", .checkpoints = store}).status();
  CHECK(absl::IsUnavailable(status));
  CHECK_THAT(std::string(status.message()), Catch::Contains("could not forget up to 2 checkpoints"));
  CHECK(store->Load("", "g").value().size() == 1);  // none was saved behind the one that failed
}

// Blocks in Save(), once it is told to, until it is released.
class BlockingStore final : public CheckpointStore {
 public:
  absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string&, const std::string&) override {
    return std::map<ShardId, Checkpoint>();
  }
  absl::Status Save(const CheckpointKey&, const Checkpoint&) override {
    const int now_inside = inside.fetch_add(1) + 1;
    if (now_inside > most_inside) most_inside = now_inside;
    saves.fetch_add(1);
    saves.notify_all();
    if (blocks) released.wait(false);
    inside.fetch_sub(1);
    return absl::OkStatus();
  }
  absl::Status Forget(const CheckpointKey&) override { return absl::OkStatus(); }

  std::atomic<bool> blocks{false};
  std::atomic<bool> released{false};
  std::atomic<int> saves{0};
  std::atomic<int> inside{0};
  std::atomic<int> most_inside{0};
};

TEST_CASE("checkpoints of a shard are saved one at a time, and its lease is not taken before the last is saved") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const SequenceNumber one = Put(stream, "k", 1).sequence_number;
  const SequenceNumber two = Put(stream, "k", 2).sequence_number;
  const auto store = std::make_shared<BlockingStore>();
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .checkpoints = store});
  std::optional<Checkpointer> kept;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>&, Checkpointer& checkpointer) { kept = checkpointer; });
  worker.Step();
  const int before = store->saves;
  store->blocks = true;
  absl::Status of_first;
  absl::Status of_second;
  std::thread first([&] { of_first = Checkpointer(*kept).Checkpoint(one); });
  store->saves.wait(before);
  std::thread second([&] { of_second = Checkpointer(*kept).Checkpoint(two); });
  const bool is_shut_down = GENERATE(false, true);
  std::vector<int> bodies;
  auto taker = group.AddWorker("taker", RecordIn(bodies));
  if (is_shut_down) {  // its leases are free at once
    worker.RequestShutdown();
    worker.Step();
    taker.Step();
    CHECK(taker.Shards().empty());
  }
  store->blocks = false;
  store->released = true;
  store->released.notify_all();
  first.join();
  second.join();
  CHECK(of_first.ok());
  CHECK((is_shut_down ? ErrorIn(of_second) == Error::kShutdown : of_second.ok()));
  CHECK(store->most_inside == 1);
  CHECK(std::get<AfterSequenceNumber>(group.Leases()[0].checkpoint.position).sequence_number ==
        (is_shut_down ? one : two));
  taker.Step();
  CHECK(bodies == (is_shut_down ? std::vector{2} : std::vector<int>()));
}

TEST_CASE("a worker takes a shard whose lease expired during a save as soon as that is over") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  const auto store = std::make_shared<BlockingStore>();
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .checkpoints = store});
  std::vector<int> of_slow;
  auto slow = group.AddWorker("slow", RecordIn(of_slow));
  const int before = store->saves;
  store->blocks = true;
  std::thread saving([&] { slow.Step(); });
  store->saves.wait(before);
  Put(stream, "k", 2);
  std::atomic<bool> has_taken{false};
  auto taker = group.AddWorker("taker", [&](const RecordBatch<int>&, Checkpointer&) {
    has_taken = true;
    has_taken.notify_all();
  });
  std::thread taking([&] { taker.Run(); });
  clock.AwaitSleepers(1);
  clock.Advance(kLease);
  clock.AwaitSleepers(1);  // it has found that a checkpoint is being saved
  CHECK_FALSE(has_taken);
  store->released = true;
  store->released.notify_all();
  saving.join();
  has_taken.wait(false);  // without the clock
  taker.RequestShutdown();
  taking.join();
}

TEST_CASE("a checkpoint is stored as text and read back") {
  const auto text_of = [](CheckpointPosition position) { return Checkpoint{1234, position}.ToString(); };
  CHECK(text_of(TrimHorizon{}) == "1234:TRIM_HORIZON");
  CHECK(text_of(ShardEnd{}) == "1234:SHARD_END");
  const absl::Time time = absl::FromUnixNanos(1'700'000'000'123'456'789);
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const SequenceNumber number = Put(stream, "k", 1).sequence_number;
  CHECK(text_of(AfterSequenceNumber{number}) == "1234:" + number.ToString());
  for (const CheckpointPosition& position :
       {CheckpointPosition(TrimHorizon{}), CheckpointPosition(AtTimestamp{time}),
        CheckpointPosition(AtTimestamp{absl::InfinitePast()}), CheckpointPosition(AfterSequenceNumber{number}),
        CheckpointPosition(ShardEnd{})}) {
    const std::string text = text_of(position);
    INFO(text);
    const auto parsed = Checkpoint::Parse(text);
    REQUIRE(parsed.ok());
    CHECK(parsed->stream_incarnation == 1234);
    CHECK(parsed->position.index() == position.index());
    CHECK(parsed->ToString() == text);
  }
  for (const char* const text :
       {"", "1234", "1234:", ":SHARD_END", "1234:SHARD_END ", "1234:shard_end", "x:SHARD_END", "-1:SHARD_END",
        "01:SHARD_END", "1234:AT_TIMESTAMP:", "1234:AT_TIMESTAMP:now", "1234:12x", "1234:LATEST"}) {
    INFO(text);
    CHECK(ErrorIn(Checkpoint::Parse(text)) == Error::kInvalidArgument);
  }
}

TEST_CASE("a store in memory keeps checkpoints by stream, group and shard") {
  InMemoryCheckpointStore store;
  const auto count = [&](const char* stream, const char* group) { return store.Load(stream, group)->size(); };
  for (const std::uint64_t shard : {std::uint64_t{0}, std::uint64_t{1}}) {
    REQUIRE(store.Save({.stream = "s", .group = "g", .shard = Number(shard)}, {.position = ShardEnd{}}).ok());
  }
  REQUIRE(store.Save({.stream = "s", .group = "h", .shard = Number(0)}, {}).ok());
  REQUIRE(store.Save({.stream = "t", .group = "g", .shard = Number(0)}, {}).ok());
  CHECK(count("s", "g") == 2);
  CHECK(count("s", "h") == 1);
  CHECK(count("t", "g") == 1);
  CHECK(count("t", "h") == 0);
  REQUIRE(store.Forget({.stream = "s", .group = "g", .shard = Number(0)}).ok());
  CHECK(count("s", "g") == 1);
  CHECK(store.Load("s", "g")->contains(Number(1)));
}

}  // namespace
}  // namespace decouple::testing
