#include "decouple/checkpoint_store.h"

#include <memory>
#include <optional>
#include <string>
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
  REQUIRE(store->Save("g", Number(0), AfterSequenceNumber{ahead}).ok());
  CHECK(ErrorIn(ConsumerGroup<int>::Create(stream, {.name = "g", .checkpoints = store})) == Error::kInvalidArgument);
  REQUIRE(store->Save("g", Number(0), AfterSequenceNumber{given}).ok());
  CHECK(ConsumerGroup<int>::Create(stream, {.name = "g", .checkpoints = store}).ok());
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
  absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string& group) override {
    if (fails) return absl::UnavailableError("down");
    return store_.Load(group);
  }
  absl::Status Save(const std::string& group, ShardId shard, const Checkpoint& checkpoint) override {
    return fails || shard == lost ? absl::UnavailableError("down") : store_.Save(group, shard, checkpoint);
  }
  absl::Status Forget(const std::string& group, ShardId shard) override { return store_.Forget(group, shard); }

  bool fails = false;
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
  CHECK(std::holds_alternative<TrimHorizon>(group.Leases()[0].checkpoint));
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

}  // namespace
}  // namespace decouple::testing
