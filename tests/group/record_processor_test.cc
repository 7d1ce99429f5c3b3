#include "decouple/record_processor.h"

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "group_testing.h"

namespace decouple::testing {
namespace {

TEST_CASE("after a crash the records behind the last checkpoint come again") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  for (int i = 1; i <= 6; ++i) Put(stream, "k", i);
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .max_records = 2});
  std::vector<int> of_first;
  auto first = group.AddWorker("first", [&](const RecordBatch<int>& batch, Checkpointer& checkpointer) {
    for (const auto& record : batch) of_first.push_back(record.body());
    if (of_first.size() == 4) CHECK(checkpointer.Checkpoint(batch.front().sequence_number()).ok());
  });
  for (int i = 0; i < 3; ++i) first.Step();
  CHECK(of_first == std::vector{1, 2, 3, 4, 5, 6});
  clock.Advance(kLease);
  std::vector<int> of_second;
  auto second = group.AddWorker("second", RecordIn(of_second));
  for (int i = 0; i < 3; ++i) second.Step();
  CHECK(of_second == std::vector{4, 5, 6});
}

TEST_CASE("without a checkpoint at the shard's end ShardEnded() is called again, and the children wait") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto group = MakeGroup(stream);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  CallLog calls;
  calls.ends = false;
  auto worker = group.AddWorker("w", RecordingIn(calls));
  worker.Step();
  worker.Step();
  CHECK(calls.entries == std::vector<std::string>{"initialize 0", "ended 0"});
  CHECK(worker.NextStep() == clock.Now() + Seconds(1));
  clock.Advance(Seconds(1));
  worker.Step();
  CHECK(calls.entries.back() == "ended 0");
  CHECK(calls.entries.size() == 3);
  calls.ends = true;
  clock.Advance(Seconds(1));
  worker.Step();
  worker.Step();
  CHECK(calls.entries.size() == 6);
  CHECK(worker.Shards() == std::vector{Number(1), Number(2)});
}

TEST_CASE("a batch at which the processor fails or throws comes again after a second") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroupOfAll(stream);
  int calls = 0;
  absl::Status answer = absl::InternalError("no");
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>& batch) {
    ++calls;
    CHECK(batch.front().body() == 1);
    return answer;
  });
  CHECK(worker.Step() == 0);
  CHECK(worker.Step() == 0);
  CHECK(calls == 1);
  clock.Advance(Seconds(1) - kOneNanosecond);
  worker.Step();
  CHECK(calls == 1);
  clock.Advance(kOneNanosecond);
  worker.Step();
  CHECK(calls == 2);
  answer = absl::OkStatus();
  clock.Advance(Seconds(1));
  CHECK(worker.Step() == 1);
  CHECK(calls == 3);
  CHECK(worker.Step() == 0);
}

TEST_CASE("a retry begins behind the last checkpoint, and has the same end") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  for (int i = 1; i <= 4; ++i) Put(stream, "k", i);
  auto group = MakeGroup(stream, {.name = "group", .start = TrimHorizon{}, .max_records = 3});
  std::vector<std::vector<int>> batches;
  int fails_at = 2;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>& batch, Checkpointer& checkpointer) {
    batches.push_back(Bodies(batch));
    for (const auto& record : batch) {
      if (record.body() == fails_at) return absl::InternalError("no");
      CHECK(checkpointer.Checkpoint(record.sequence_number()).ok());
    }
    return absl::OkStatus();
  });
  CHECK(worker.Step() == 0);
  clock.Advance(Seconds(1));
  fails_at = 3;
  CHECK(worker.Step() == 0);
  clock.Advance(Seconds(1));
  fails_at = 0;
  CHECK(worker.Step() == 1);
  CHECK(worker.Step() == 1);
  CHECK(batches == std::vector<std::vector<int>>{{1, 2, 3}, {2, 3}, {3}, {4}});
  CHECK(group.Statistics().failed_batches == 2);
}

TEST_CASE("a batch that a checkpoint covers is not passed again, also if the processor fails after it") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroupOfAll(stream);
  std::vector<int> bodies;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>& batch, Checkpointer& checkpointer) {
    RecordIn(bodies)(batch);
    CHECK(checkpointer.Checkpoint().ok());
    return absl::InternalError("no");
  });
  worker.Step();
  Put(stream, "k", 2);
  worker.Step();
  CHECK(bodies == std::vector{1, 2});
}

TEST_CASE("if the processor of a shard cannot be made, another worker takes the shard, and the other shards are read") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 3});
  for (int i = 0; i < 3; ++i) Put(stream, "k", i, ToPart(static_cast<std::size_t>(i), 3));
  auto group = MakeGroupOfAll(stream);
  struct Recording {
    std::vector<int>& bodies;
    void ProcessRecords(const RecordBatch<int>& batch) { RecordIn(bodies)(batch); }
  };
  std::vector<int> of_first;
  std::vector<int> of_second;
#if defined(__cpp_exceptions)
  SECTION("as the factory throws") {
    int made = 0;
    auto first = group.AddWorker("first", [&](ShardId shard) {
      ++made;
      if (shard == Number(1)) throw std::runtime_error("no connection");
      return Recording{of_first};
    });
    CHECK(first.Step() == 2);
    CHECK(first.Step() == 0);
    CHECK(made == 3);
    CHECK(group.Statistics().failed_initializations == 1);
    CHECK(group.Leases()[1].owner.empty());
    auto second = group.AddWorker("second", [&](ShardId) { return Recording{of_second}; });
    CHECK(second.Step() == 1);
    CHECK(group.Leases()[1].owner == "second");
  }
#endif
  SECTION("as it returns an error") {
    auto first = group.AddWorker("first", [&](ShardId shard) -> absl::StatusOr<Recording> {
      if (shard == Number(1)) return absl::UnavailableError("no connection");
      return Recording{of_first};
    });
    CHECK(first.Step() == 2);
    CHECK(group.Statistics().failed_initializations == 1);
  }
  CHECK(of_first == std::vector{0, 2});
}

#if defined(__cpp_exceptions)
TEST_CASE("a worker whose processor could not be made tries again after a second") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroupOfAll(stream);
  CallLog calls;
  int made = 0;
  auto worker = group.AddWorker("w", [&](ShardId shard) {
    if (++made == 1) throw std::runtime_error("no connection");
    return RecordingProcessor(calls, shard);
  });
  worker.Step();
  CHECK(worker.Shards().empty());
  CHECK(worker.NextStep() == clock.Now() + Seconds(1));
  clock.Advance(Seconds(1) - kOneNanosecond);
  worker.Step();
  CHECK(made == 1);
  clock.Advance(kOneNanosecond);
  CHECK(worker.Step() == 1);
  CHECK(calls.entries == std::vector<std::string>{"initialize 0", "record 1"});
}
#endif

TEST_CASE("no record is passed before Initialize() has succeeded, and a processor that did not is told of nothing") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroupOfAll(stream);
  struct NotYet {
    std::vector<std::string>& calls;
    const bool& throws;
    int number;
    absl::Status Initialize(ShardId) {
      calls.push_back("initialize " + std::to_string(number));
      if (throws) ThrowIfPossible("no connection");
      return number < 3 ? absl::UnavailableError("no connection") : absl::OkStatus();
    }
    void ProcessRecords(const RecordBatch<int>&) { calls.push_back("records " + std::to_string(number)); }
    void LeaseLost() { calls.push_back("lost"); }
    void ShutdownRequested(Checkpointer&) { calls.push_back("shutdown"); }
  };
  std::vector<std::string> calls;
  bool throws = true;
  int made = 0;
  auto worker = group.AddWorker("w", [&](ShardId) { return NotYet{calls, throws, ++made}; });
  for (int i = 0; i < 3; ++i) {
    worker.Step();
    clock.Advance(Seconds(1));
    throws = false;
  }
  CHECK(calls == std::vector<std::string>{"initialize 1", "initialize 2", "initialize 3", "records 3"});
}

TEST_CASE("Initialize() is told where the processor begins, and which checkpoint its predecessor had prepared") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const SequenceNumber one = Put(stream, "k", 1).sequence_number;
  const SequenceNumber two = Put(stream, "k", 2).sequence_number;
  auto group = MakeGroupOfAll(stream);
  struct Prepares {
    std::vector<InitializationInput>& inputs;
    std::optional<PreparedCheckpoint>& prepared;
    void Initialize(const InitializationInput& input) { inputs.push_back(input); }
    void ProcessRecords(const RecordBatch<int>& batch, Checkpointer& checkpointer) {
      CHECK(checkpointer.Checkpoint(batch.front().sequence_number()).ok());
      prepared = checkpointer.PrepareCheckpoint().value();
    }
  };
  std::vector<InitializationInput> inputs;
  std::optional<PreparedCheckpoint> prepared;
  const auto make = [&](ShardId) { return Prepares{inputs, prepared}; };
  {
    auto worker = group.AddWorker("first", make);
    worker.Step();
  }
  CHECK(CheckpointIn(group) == one);
  CHECK(ErrorIn(prepared->Checkpoint()) == Error::kShutdown);
  auto worker = group.AddWorker("second", make);
  worker.Step();
  REQUIRE(inputs.size() == 2);
  CHECK(inputs[0].shard_id == Number(0));
  CHECK(std::holds_alternative<TrimHorizon>(inputs[0].checkpoint.position));
  CHECK_FALSE(inputs[0].pending_checkpoint.has_value());
  CHECK(std::get<AfterSequenceNumber>(inputs[1].checkpoint.position).sequence_number == one);
  REQUIRE(inputs[1].pending_checkpoint.has_value());
  CHECK(std::get<AfterSequenceNumber>(inputs[1].pending_checkpoint->position).sequence_number == two);
  CHECK(std::get<AfterSequenceNumber>(prepared->position()).sequence_number == two);
  CHECK(prepared->Checkpoint().ok());
  CHECK(CheckpointIn(group) == two);
  clock.Advance(kLease);
  worker.Step();  // loses the lease, and takes it again
  REQUIRE(inputs.size() == 3);
  CHECK_FALSE(inputs[2].pending_checkpoint.has_value());
}

#if defined(__cpp_exceptions)
TEST_CASE("a processor that ends by a foreign exception of the factory of another shard keeps its lease") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  auto group = MakeGroupOfAll(stream);
  CallLog calls;
  auto worker = group.AddWorker("w", [&](ShardId shard) {
    if (shard == Number(0)) throw 1;
    return RecordingProcessor(calls, shard);
  });
  for (int i = 0; i < 30; ++i) {
    worker.Step();
    clock.Advance(Seconds(1));
  }
  CHECK(calls.entries == std::vector<std::string>{"initialize 1"});
  CHECK(group.Statistics().lost_leases == 0);
}
#endif

TEST_CASE("a worker that is shut down lets its processors make a last checkpoint, then frees its leases") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroupOfAll(stream);
  CallLog calls;
  std::vector<int> of_second;
  auto first = group.AddWorker("first", RecordingIn(calls));
  auto second = group.AddWorker("second", RecordIn(of_second));
  first.Step();
  first.RequestShutdown();
  CHECK_FALSE(first.is_shutdown());
  CHECK(first.NextStep() <= clock.Now());
  first.Step();
  CHECK(first.is_shutdown());
  CHECK(calls.entries == std::vector<std::string>{"initialize 0", "record 1", "shutdown 0"});
  Put(stream, "k", 2);
  second.Step();
  CHECK(of_second == std::vector{2});
  CHECK(first.Step() == 0);
  CHECK(first.NextStep() == absl::InfiniteFuture());
  first.RenewLeases();  // does nothing
}

TEST_CASE("a worker destroyed without shutdown frees its leases, and records without a checkpoint come again") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroupOfAll(stream);
  std::vector<int> bodies;
  {
    auto worker = group.AddWorker("first", RecordOnly(bodies));
    worker.Step();
  }
  auto worker = group.AddWorker("second", RecordOnly(bodies));
  worker.Step();
  CHECK(bodies == std::vector{1, 1});
}

TEST_CASE("a processor that takes longer than its lease must renew it, or other workers take its shards") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  Put(stream, "k", 1, ToPart(0, 2));
  Put(stream, "k", 2, ToPart(1, 2));
  auto group = MakeGroupOfAll(stream);
  std::vector<int> bodies;
  bool renews = true;
  auto worker = group.AddWorker("slow", [&](const RecordBatch<int>& batch, Checkpointer& checkpointer) {
    for (int i = 0; i < 4; ++i) {
      clock.Advance(kLease / 4);
      if (renews) CHECK(checkpointer.Renew().ok());
    }
    bodies.push_back(batch.front().body());
    CHECK(checkpointer.Checkpoint().ok() == renews);
    if (!renews) CHECK(ErrorIn(checkpointer.Renew()) == Error::kShutdown);
  });
  SECTION("renewed") {
    worker.Step();
    CHECK(bodies == std::vector{1, 2});
  }
  SECTION("not renewed") {
    renews = false;
    worker.Step();
    CHECK(bodies == std::vector{1});  // the second shard's lease is lost
    CHECK(worker.Shards() == std::vector{Number(0)});
    CHECK(group.Statistics().lost_leases == 1);
  }
}

}  // namespace
}  // namespace decouple::testing
