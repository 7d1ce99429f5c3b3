#include "decouple/record_processor.h"

#include <memory>
#include <optional>
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
  CHECK(std::get<AfterSequenceNumber>(group.Leases()[0].checkpoint).sequence_number == two);
  CHECK(ErrorIn(kept->Checkpoint(one)) == Error::kInvalidArgument);
  CHECK(kept->Checkpoint(two).ok());
  clock.Advance(kLease - kOneNanosecond);
  CHECK(kept->Checkpoint().ok());
  clock.Advance(kOneNanosecond);
  CHECK(ErrorIn(kept->Checkpoint()) == Error::kShutdown);
  worker.Step();  // takes the lease again, with a new counter
  CHECK(worker.Shards().size() == 1);
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
  ConsumerWorker<int>* self = nullptr;
  bool renews = true;
  auto worker = group.AddWorker("slow", [&](const RecordBatch<int>& batch, Checkpointer& checkpointer) {
    for (int i = 0; i < 4; ++i) {
      clock.Advance(kLease / 4);
      if (renews) self->RenewLeases();
    }
    bodies.push_back(batch.front().body());
    CHECK(checkpointer.Checkpoint().ok() == renews);
  });
  self = &worker;
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
