#include "decouple/discarded_batch.h"

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "decouple/standard_queue.h"
#include "group_testing.h"

namespace decouple::testing {
namespace {

// A processor that fails at batches with one of these bodies, and records what it was passed.
struct PoisonedProcessing {
  std::set<int> poison;
  std::vector<std::vector<int>> batches = {};
  std::vector<int> processed = {};

  absl::Status operator()(const RecordBatch<int>& batch) {
    const auto bodies = Bodies(batch);
    batches.push_back(bodies);
    for (const int body : bodies) {
      if (poison.contains(body)) return absl::InternalError("poison " + std::to_string(body));
    }
    processed.insert(processed.end(), bodies.begin(), bodies.end());
    return absl::OkStatus();
  }
};

auto ProcessIn(PoisonedProcessing& processing) {
  return [&processing](const RecordBatch<int>& batch) { return processing(batch); };
}

// Steps, at most `steps` times, and advances the clock to when there is something to do.
void StepThrough(ManualClock& clock, ConsumerWorker<int>& worker, int steps) {
  for (int i = 0; i < steps; ++i) {
    worker.Step();
    if (const absl::Time next = worker.NextStep(); next > clock.Now() && next < clock.Now() + Seconds(2)) {
      clock.Advance(next - clock.Now());
    }
  }
}

std::vector<DiscardedBatch<int>> ReceiveAllOf(StandardQueue<DiscardedBatch<int>>& queue) {
  std::vector<DiscardedBatch<int>> all;
  for (;;) {
    auto received = queue.Receive({.max_messages = 10});
    REQUIRE(received.ok());
    if (received->empty()) return all;
    for (auto& delivery : *received) all.push_back(delivery.body());
  }
}

TEST_CASE("a batch that failed once and at each of the allowed retries goes to the on-failure destination") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.name = "clicks"});
  for (int i = 1; i <= 4; ++i) Put(stream, "k", i);
  StandardQueue<DiscardedBatch<int>> discarded;
  auto group =
      ConsumerGroup<int>::Create(
          stream, {.name = "g", .start = TrimHorizon{}, .max_records = 2, .maximum_retry_attempts = 2}, discarded)
          .value();
  PoisonedProcessing processing{.poison = {2}};
  auto worker = group.AddWorker("w", ProcessIn(processing));
  for (int attempt = 1; attempt <= 3; ++attempt) {
    CHECK(ReceiveAllOf(discarded).empty());
    CHECK(worker.Step() == 0);
    if (attempt < 3) clock.Advance(Seconds(1));
  }
  const auto all = ReceiveAllOf(discarded);
  REQUIRE(all.size() == 1);
  CHECK(all[0].condition == DiscardCondition::kRetryAttemptsExhausted);
  CHECK(all[0].approximate_invoke_count == 3);
  CHECK(all[0].error == absl::InternalError("poison 2"));
  CHECK(all[0].stream == "clicks");
  CHECK(all[0].group == "g");
  CHECK(all[0].shard_id == Number(0));
  CHECK(all[0].discarded_at == clock.Now());
  CHECK(Bodies(all[0].records) == std::vector{1, 2});
  CHECK(worker.Step() == 2);
  CHECK(processing.processed == std::vector{3, 4});
  CHECK(group.Statistics().failed_batches == 3);
  CHECK(group.Statistics().discarded_batches == 1);
  CHECK(group.Statistics().discarded_records == 2);
  CHECK(group.Statistics().records_processed == 2);
}

TEST_CASE("without a limit a batch is passed until it succeeds") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroupOfAll(stream);
  PoisonedProcessing processing{.poison = {1}};
  auto worker = group.AddWorker("w", ProcessIn(processing));
  StepThrough(clock, worker, 100);
  CHECK(processing.batches.size() == 100);
  CHECK(group.Statistics().discarded_records == 0);
}

TEST_CASE("a batch that fails is bisected down to the records that fail, and only these are discarded") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  for (int i = 1; i <= 10; ++i) Put(stream, "k", i);
  std::vector<int> discarded;
  auto group = ConsumerGroup<int>::Create(stream,
                                          {.name = "g",
                                           .start = TrimHorizon{},
                                           .max_records = 8,
                                           .maximum_retry_attempts = 1,
                                           .bisect_batch_on_function_error = true},
                                          [&](const DiscardedBatch<int>& batch) {
                                            CHECK(batch.approximate_invoke_count == 2);
                                            for (const int body : Bodies(batch.records)) discarded.push_back(body);
                                            return absl::OkStatus();
                                          })
                   .value();
  PoisonedProcessing processing{.poison = {3, 8}};
  auto worker = group.AddWorker("w", ProcessIn(processing));
  const absl::Time begun = clock.Now();
  StepThrough(clock, worker, 30);
  CHECK(discarded == std::vector{3, 8});
  CHECK(processing.processed == std::vector{1, 2, 4, 5, 6, 7, 9, 10});
  CHECK(processing.batches == std::vector<std::vector<int>>{{1, 2, 3, 4, 5, 6, 7, 8},
                                                            {1, 2, 3, 4},
                                                            {1, 2},
                                                            {3, 4},
                                                            {3},
                                                            {3},
                                                            {4},
                                                            {5, 6, 7, 8},
                                                            {5, 6},
                                                            {7, 8},
                                                            {7},
                                                            {8},
                                                            {8},
                                                            {9, 10}});
  CHECK(clock.Now() == begun + Seconds(2));  // a split does not wait
  CHECK(group.Statistics().discarded_records == 2);
}

TEST_CASE("records that are older than allowed are discarded in place of being passed") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  Put(stream, "k", 2);
  clock.Advance(kOneNanosecond);
  Put(stream, "k", 3);
  StandardQueue<DiscardedBatch<int>> discarded;
  auto group = ConsumerGroup<int>::Create(
                   stream, {.name = "g", .start = TrimHorizon{}, .maximum_record_age = Seconds(60)}, discarded)
                   .value();
  PoisonedProcessing processing{.poison = {3}};
  auto worker = group.AddWorker("w", ProcessIn(processing));
  clock.Advance(Seconds(60));
  worker.Step();
  CHECK(processing.batches == std::vector<std::vector<int>>{{3}});
  auto all = ReceiveAllOf(discarded);
  REQUIRE(all.size() == 1);
  CHECK(all[0].condition == DiscardCondition::kRecordAgeExceeded);
  CHECK(all[0].approximate_invoke_count == 0);
  CHECK(all[0].error.ok());
  CHECK(Bodies(all[0].records) == std::vector{1, 2});
  CHECK(all[0].records.bytes() == 2 * (sizeof(int) + 1));  // with the key
  CHECK(all[0].records.millis_behind_latest() == 60'000);  // by the record that follows
  clock.Advance(Seconds(1));
  worker.Step();
  CHECK(processing.batches.size() == 1);  // it was retried too late
  all = ReceiveAllOf(discarded);
  REQUIRE(all.size() == 1);
  CHECK(all[0].approximate_invoke_count == 1);
  CHECK(all[0].error == absl::InternalError("poison 3"));
  Put(stream, "k", 4);
  CHECK(worker.Step() == 1);
}

TEST_CASE("a batch stays as long as the on-failure destination does not take it, and is not processed again") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  Put(stream, "k", 2);
  bool takes = false;
  int tried = 0;
  auto group = ConsumerGroup<int>::Create(
                   stream, {.name = "g", .start = TrimHorizon{}, .max_records = 1, .maximum_retry_attempts = 0},
                   [&](const DiscardedBatch<int>&) {
                     ++tried;
                     if (tried == 1) ThrowIfPossible("full");
                     return takes ? absl::OkStatus() : absl::UnavailableError("full");
                   })
                   .value();
  PoisonedProcessing processing{.poison = {1}};
  auto worker = group.AddWorker("w", ProcessIn(processing));
  StepThrough(clock, worker, 5);
  CHECK(tried == 5);
  CHECK(processing.batches.size() == 1);
  takes = true;
  StepThrough(clock, worker, 2);
  CHECK(processing.processed == std::vector{2});
}

TEST_CASE("attempts that failed with the checkpoint store are not counted") {
  class Store final : public CheckpointStore {
   public:
    absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string&, const std::string&) override {
      return std::map<ShardId, Checkpoint>();
    }
    absl::Status Save(const CheckpointKey&, const Checkpoint&) override {
      return fails ? absl::UnavailableError("down") : absl::OkStatus();
    }
    absl::Status Forget(const CheckpointKey&) override { return absl::OkStatus(); }
    bool fails = false;
  };
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  for (int i = 1; i <= 4; ++i) Put(stream, "k", i);
  const auto store = std::make_shared<Store>();
  auto group = MakeGroup(stream, {.name = "g",
                                  .start = TrimHorizon{},
                                  .checkpoints = store,
                                  .maximum_retry_attempts = 0,
                                  .bisect_batch_on_function_error = true});
  int passed = 0;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>& batch, Checkpointer& checkpointer) {
    ++passed;
    CHECK(batch.size() == 4);
    return checkpointer.Checkpoint();
  });
  store->fails = true;
  StepThrough(clock, worker, 5);
  CHECK(passed == 5);
  store->fails = false;
  CHECK(worker.Step() == 4);
  CHECK(group.Statistics().discarded_records == 0);
}

TEST_CASE("a checkpoint within a batch that fails starts its attempts anew for the records behind it") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  for (int i = 1; i <= 3; ++i) Put(stream, "k", i);
  StandardQueue<DiscardedBatch<int>> discarded;
  auto group =
      ConsumerGroup<int>::Create(stream, {.name = "g", .start = TrimHorizon{}, .maximum_retry_attempts = 1}, discarded)
          .value();
  std::vector<std::vector<int>> batches;
  auto worker = group.AddWorker("w", [&](const RecordBatch<int>& batch, Checkpointer& checkpointer) {
    batches.push_back(Bodies(batch));
    if (batch.size() > 1) CHECK(checkpointer.Checkpoint(batch.front().sequence_number()).ok());
    return absl::InternalError("no");
  });
  StepThrough(clock, worker, 10);
  CHECK(batches == std::vector<std::vector<int>>{{1, 2, 3}, {2, 3}, {3}});
  const auto all = ReceiveAllOf(discarded);
  REQUIRE(all.size() == 1);
  CHECK(Bodies(all[0].records) == std::vector{3});
  CHECK(std::holds_alternative<AfterSequenceNumber>(group.Leases()[0].checkpoint.position));
  CHECK(std::get<AfterSequenceNumber>(group.Leases()[0].checkpoint.position).sequence_number ==
        all[0].records.back().sequence_number());
}

TEST_CASE("a checkpoint at the last record that the processor had ends a shard whose later records were discarded") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .maximum_record_age = Seconds(5)});
  std::optional<SequenceNumber> last;
  struct EndsByNumber {
    std::optional<SequenceNumber>& last;
    void ProcessRecords(const RecordBatch<int>& batch, Checkpointer&) { last = batch.back().sequence_number(); }
    void ShardEnded(Checkpointer& checkpointer) { CHECK(checkpointer.Checkpoint(*last).ok()); }
  };
  auto worker = group.AddWorker("w", [&](ShardId) { return EndsByNumber{last}; });
  worker.Step();
  Put(stream, "k", 2);
  stream.Close();
  clock.Advance(Seconds(6));
  for (int i = 0; i < 3; ++i) worker.Step();
  CHECK(group.Statistics().discarded_records == 1);
  CHECK(std::holds_alternative<ShardEnd>(group.Leases()[0].checkpoint.position));
}

TEST_CASE("a shard whose last batch is discarded ends") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .maximum_retry_attempts = 0});
  REQUIRE(stream.SplitShard(Number(0)).ok());
  PoisonedProcessing processing{.poison = {1}};
  auto worker = group.AddWorker("w", ProcessIn(processing));
  for (int i = 0; i < 3; ++i) worker.Step();
  CHECK(std::holds_alternative<ShardEnd>(group.Leases()[0].checkpoint.position));
  CHECK(worker.Shards() == std::vector{Number(1), Number(2)});
}

TEST_CASE(
    "a discarded record is not passed to the next worker, and the checkpoint does not pass what was not processed") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  for (int i = 1; i <= 3; ++i) Put(stream, "k", i);
  auto group = MakeGroup(stream, {.name = "g", .start = TrimHorizon{}, .max_records = 1, .maximum_retry_attempts = 0});
  std::vector<int> bodies;
  const int poison = GENERATE(1, 2);
  {
    auto worker = group.AddWorker("first", [&](const RecordBatch<int>& batch, Checkpointer&) {
      return batch.front().body() == poison ? absl::InternalError("no") : absl::OkStatus();
    });
    for (int i = 0; i < 2; ++i) worker.Step();
  }
  auto worker = group.AddWorker("second", RecordIn(bodies));
  for (int i = 0; i < 3; ++i) worker.Step();
  // There is no checkpoint behind the first record, if that was processed, so the discarded one comes again with it.
  CHECK(bodies == (poison == 1 ? std::vector{2, 3} : std::vector{1, 2, 3}));
}

}  // namespace
}  // namespace decouple::testing
