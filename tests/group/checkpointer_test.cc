// Which checkpoints a processor may make: Checkpointer, and PreparedCheckpoint.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "group_testing.h"

namespace decouple::testing {
namespace {

TEST_CASE("a checkpoint is refused without the lease, ahead of the given records, and before the last checkpoint") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const SequenceNumber one = Put(stream, "k", 1).sequence_number;
  const SequenceNumber two = Put(stream, "k", 2).sequence_number;
  const SequenceNumber three = Put(stream, "k", 3).sequence_number;
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .max_records = 2});
  std::optional<Checkpointer> kept;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>&, Checkpointer& checkpointer) { kept = checkpointer; });
  worker.Step();
  REQUIRE(kept.has_value());
  CHECK(kept->shard_id() == Number(0));
  CHECK(ErrorIn(kept->Checkpoint(SequenceNumber(0))) == Error::kInvalidArgument);
  CHECK(ErrorIn(kept->Checkpoint(three)) == Error::kInvalidArgument);
  CHECK(kept->Checkpoint().ok());
  CHECK(std::get<AfterSequenceNumber>(group.Leases()[0].checkpoint.position).sequence_number == two);
  CHECK(ErrorIn(kept->Checkpoint(one)) == Error::kInvalidArgument);
  CHECK(kept->Checkpoint(two).ok());
  clock.Advance(kLease - kOneNanosecond);
  CHECK(kept->Checkpoint().ok());
  clock.Advance(kOneNanosecond);
  CHECK(ErrorIn(kept->Checkpoint()) == Error::kShutdown);
  worker.Step();  // takes the lease again, with a new counter
  CHECK(worker.Shards().size() == 1);
}

TEST_CASE("no checkpoint covers a batch at which the processor failed, also not the last one of a shutdown") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  std::vector<SequenceNumber> numbers;
  for (int i = 1; i <= 3; ++i) numbers.push_back(Put(stream, "k", i).sequence_number);
  auto group = MakeGroup(stream, {.name = "group", .start = TrimHorizon{}, .max_records = 1});
  struct FailsAtTwo {
    std::optional<Checkpointer>& kept;
    absl::Status ProcessRecords(const RecordBatch<int>& batch, Checkpointer& checkpointer) {
      kept = checkpointer;
      return batch.front().body() == 2 ? absl::InternalError("no") : absl::OkStatus();
    }
    void ShutdownRequested(Checkpointer& checkpointer) { CHECK(checkpointer.Checkpoint().ok()); }
  };
  std::optional<Checkpointer> kept;
  auto worker = group.AddWorker("w", [&](ShardId) { return FailsAtTwo{kept}; });
  CHECK(worker.Step() == 1);
  CHECK(worker.Step() == 0);
  CHECK(ErrorIn(kept->Checkpoint(numbers[1])) == Error::kInvalidArgument);
  CHECK(ErrorIn(kept->Checkpoint(numbers[2])) == Error::kInvalidArgument);
  worker.RequestShutdown();
  worker.Step();
  CHECK(CheckpointIn(group) == numbers[0]);
  std::vector<int> bodies;
  auto next = group.AddWorker("next", RecordIn(bodies));
  for (int i = 0; i < 3; ++i) next.Step();
  CHECK(bodies == std::vector{2, 3});
}

TEST_CASE("a shard whose last batch failed has not ended, and no checkpoint says so") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroupOfAll(stream);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  bool fails = true;
  std::optional<Checkpointer> kept;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>&, Checkpointer& checkpointer) {
    kept = checkpointer;
    return fails ? absl::InternalError("no") : absl::OkStatus();
  });
  worker.Step();
  CHECK(kept->Checkpoint().ok());
  CHECK(std::holds_alternative<TrimHorizon>(group.Leases()[0].checkpoint.position));
  fails = false;
  clock.Advance(Seconds(1));
  worker.Step();
  CHECK(std::holds_alternative<ShardEnd>(group.Leases()[0].checkpoint.position));
}

TEST_CASE("a checkpoint at the last record within ShardEnded() is the shard's end") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  Put(stream, "k", 2);
  auto group = MakeGroupOfAll(stream);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  struct EndsByNumber {
    std::optional<SequenceNumber> first;
    std::optional<SequenceNumber> last;
    void ProcessRecords(const RecordBatch<int>& batch, Checkpointer& checkpointer) {
      first = batch.front().sequence_number();
      last = batch.back().sequence_number();
      CHECK(checkpointer.Checkpoint(*last).ok());
    }
    void ShardEnded(Checkpointer& checkpointer) {
      CHECK(ErrorIn(checkpointer.Checkpoint(*first)) == Error::kInvalidArgument);
      if (last) CHECK(checkpointer.Checkpoint(*last).ok());
    }
  };
  auto worker = group.AddWorker("w", [](ShardId) { return EndsByNumber(); });
  worker.Step();
  CHECK(std::holds_alternative<ShardEnd>(group.Leases()[0].checkpoint.position));
  worker.Step();
  CHECK(worker.Shards() == std::vector{Number(1), Number(2)});
}

TEST_CASE("the end of a shard that was read before is saved by the number of its last record, too") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const SequenceNumber last = Put(stream, "k", 1).sequence_number;
  auto group = MakeGroupOfAll(stream);
  {
    std::vector<int> bodies;
    auto worker = group.AddWorker("first", RecordIn(bodies));
    worker.Step();
  }
  REQUIRE(stream.SplitShard(Number(0)).ok());
  struct EndsAt {
    SequenceNumber last;
    void ProcessRecords(const RecordBatch<int>&, Checkpointer&) {}
    void ShardEnded(Checkpointer& checkpointer) { CHECK(checkpointer.Checkpoint(last).ok()); }
  };
  auto worker = group.AddWorker("second", [&](ShardId) { return EndsAt{last}; });
  worker.Step();
  CHECK(std::holds_alternative<ShardEnd>(group.Leases()[0].checkpoint.position));
}

TEST_CASE("a checkpoint of a child takes no number of its parent, nor one of another shard") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const SequenceNumber of_parent = Put(stream, "k", 1).sequence_number;
  REQUIRE(stream.SplitShard(Number(0)).ok());
  const SequenceNumber of_lower = Put(stream, "k", 2, ToPart(0, 2)).sequence_number;
  const SequenceNumber of_upper = Put(stream, "k", 3, ToPart(1, 2)).sequence_number;
  auto group = MakeGroupOfAll(stream);
  std::map<ShardId, Checkpointer> kept;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>&, Checkpointer& checkpointer) {
    kept.emplace(checkpointer.shard_id(), checkpointer);
  });
  worker.Step();
  worker.Step();
  REQUIRE(kept.contains(Number(1)));
  CHECK(ErrorIn(kept.at(Number(1)).Checkpoint(of_parent)) == Error::kInvalidArgument);
  CHECK(ErrorIn(kept.at(Number(1)).Checkpoint(of_upper)) == Error::kInvalidArgument);
  CHECK(ErrorIn(kept.at(Number(1)).Checkpoint(SequenceNumber(of_lower.value()))) == Error::kInvalidArgument);
  CHECK(kept.at(Number(1)).Checkpoint(of_lower).ok());
}

TEST_CASE("a checkpoint is not made at a record before those that the processor was given") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const SequenceNumber before = Put(stream, "k", 1).sequence_number;
  clock.Advance(Seconds(1));
  const SequenceNumber first = Put(stream, "k", 2).sequence_number;
  auto group = MakeGroup(stream, {.name = "g", .start = AtTimestamp{clock.Now()}});
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>&, Checkpointer& checkpointer) {
    CHECK(ErrorIn(checkpointer.Checkpoint(before)) == Error::kInvalidArgument);
    CHECK(checkpointer.Checkpoint(first).ok());
  });
  CHECK(worker.Step() == 1);
}

TEST_CASE("a prepared checkpoint is refused once the processor has failed at what it covers") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroupOfAll(stream);
  std::optional<PreparedCheckpoint> prepared;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>&, Checkpointer& checkpointer) {
    prepared = checkpointer.PrepareCheckpoint().value();
    return absl::InternalError("no");
  });
  worker.Step();
  CHECK(ErrorIn(prepared->Checkpoint()) == Error::kInvalidArgument);
}

}  // namespace
}  // namespace decouple::testing
