// A consumer group compared with a model of its contract, under workers that fail, throw, stall, crash and shut down,
// reshardings, stores that fail, and groups that are created again from their store. Every record is processed, or
// discarded if the group may, in the order of its key; and no checkpoint is ever saved that covers a record which was
// neither.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "decouple/consumer_group.h"
#include "seed.h"
#include "stream_testing.h"

namespace decouple::testing {
namespace {

class GroupModel {
 public:
  explicit GroupModel(std::uint64_t seed)
      : random_(seed),
        stream_(MakeStream<KeyedNumber>(clock_, {.shards = 1 + Random(3)})),
        store_(std::make_shared<CheckingStore>(*this)) {
    options_ = {.name = "group",
                .start = TrimHorizon{},
                .lease_duration = kGroupLease,
                .max_records = 1 + Random(8),
                .checkpoints = store_,
                .bisect_batch_on_function_error = Random(2) == 0};
    if (Random(2) == 0) options_.maximum_retry_attempts = Random(3);
    if (Random(3) == 0) options_.maximum_record_age = Seconds(1 + static_cast<std::int64_t>(Random(30)));
    CreateGroup();
  }

  void Step() {
    switch (Random(24)) {
      case 0:
        Reshard();
        break;
      case 1:
      case 2:
        clock_.Advance(absl::Milliseconds(static_cast<std::int64_t>(Random(4'000))));
        break;
      case 3:
        if (!workers_.empty()) workers_.erase(Any(workers_));  // it crashes
        break;
      case 4:
        if (!workers_.empty()) stalled_.splice(stalled_.end(), workers_, Any(workers_));
        break;
      case 5:
        if (!stalled_.empty()) workers_.splice(workers_.end(), stalled_, Any(stalled_));
        break;
      case 6:
        if (!workers_.empty()) Any(workers_)->RequestShutdown();
        break;
      case 7:
        store_fails_ = Random(3) == 0;
        break;
      case 8:
        if (!kept_.empty()) UseKept();
        break;
      case 9:
        if (Random(20) == 0) Restart();
        break;
      case 10:
      case 11:
      case 12:
      case 13:
      case 14:
      case 15:
        if (workers_.size() < 3 && Random(3) == 0) AddWorker();
        if (!workers_.empty()) Any(workers_)->Step();
        break;
      default:
        PutOne();
    }
    std::erase_if(workers_, [](const auto& worker) { return worker.is_shutdown(); });
  }

  // Everything works from now on: the group comes to its end.
  void Finish() {
    store_fails_ = false;
    fails_ = false;
    stream_.Close();
    AddWorker();
    for (int i = 0; i < 1'000 && !IsFinished(); ++i) {
      for (auto& worker : workers_) worker.Step();
      clock_.Advance(Seconds(1));
    }
    CHECK(IsFinished());
    std::size_t left = 0;
    for (const auto& [shard, records] : records_) {
      left += static_cast<std::size_t>(
          std::count_if(records.begin(), records.end(), [](const auto& entry) { return !entry.second.is_done; }));
    }
    CHECK(left == 0);
    CHECK(covered_too_much_ == 0);
    CHECK(out_of_order_ == 0);
    CHECK((failed_for_good_ == 0 || options_.maximum_retry_attempts.has_value()));
    CHECK(too_young_ == 0);
  }

 private:
  static constexpr absl::Duration kGroupLease = Seconds(10);

  struct KeyedNumber {
    int key = 0;
    int number = 0;
  };

  struct State {
    KeyedNumber record;
    bool is_done = false;  // processed, or discarded
  };

  // Notes each checkpoint that covers a record which is not done.
  class CheckingStore final : public CheckpointStore {
   public:
    explicit CheckingStore(GroupModel& model) : model_(model) {}

    absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string& stream, const std::string& group) override {
      return store_.Load(stream, group);
    }
    absl::Status Save(const CheckpointKey& key, const Checkpoint& checkpoint) override {
      if (model_.store_fails_) {
        if (model_.Random(2) == 0) throw std::runtime_error("down");
        return absl::UnavailableError("down");
      }
      const auto* const after = std::get_if<AfterSequenceNumber>(&checkpoint.position);
      const bool is_end = std::holds_alternative<ShardEnd>(checkpoint.position);
      for (const auto& [number, state] : model_.records_[key.shard]) {
        if ((is_end || (after != nullptr && number <= after->sequence_number)) && !state.is_done) {
          ++model_.covered_too_much_;
        }
      }
      return store_.Save(key, Checkpoint::Parse(checkpoint.ToString()).value());
    }
    absl::Status Forget(const CheckpointKey& key) override { return store_.Forget(key); }

   private:
    GroupModel& model_;
    InMemoryCheckpointStore store_;
  };

  class ModelProcessor {
   public:
    ModelProcessor(GroupModel& model, bool ends_by_number) : model_(&model), ends_by_number_(ends_by_number) {}

    absl::Status Initialize(const InitializationInput&) { return model_->FailNowAndThen(); }

    absl::Status ProcessRecords(const RecordBatch<KeyedNumber>& batch, Checkpointer& checkpointer) {
      GroupModel& model = *model_;
      pending_.clear();
      last_ = batch.back().sequence_number();
      if (model.Random(8) == 0) model.Keep(checkpointer);
      for (const auto& record : batch) {
        // Some records fail more often than others.
        if (model.fails_ && model.Random(record.body().number % 7 == 0 ? 2 : 40) == 0) {
          return model.FailNow();
        }
        pending_.push_back({batch.shard_id(), record.sequence_number()});
        switch (model.Random(10)) {
          case 0:
            Settle();
            checkpointer.Checkpoint(record.sequence_number()).IgnoreError();
            break;
          case 1:
            if (auto prepared = checkpointer.PrepareCheckpoint(record.sequence_number()); prepared.ok()) {
              Settle();
              prepared->Checkpoint().IgnoreError();
            }
            break;
          case 2:
            if (model.Random(20) == 0) model.clock_.Advance(kGroupLease);  // it stalls, and loses its leases
            break;
          default:
            break;
        }
      }
      if (absl::Status status = model.FailNowAndThen(); !status.ok()) return status;
      Settle();
      if (model.Random(2) == 0) return checkpointer.Checkpoint();
      return absl::OkStatus();
    }

    void ShardEnded(Checkpointer& checkpointer) {
      if (!model_->FailNowAndThen().ok()) return;
      (ends_by_number_ && last_ ? checkpointer.Checkpoint(*last_) : checkpointer.Checkpoint()).IgnoreError();
    }

    void ShutdownRequested(Checkpointer& checkpointer) {
      if (model_->Random(2) == 0) checkpointer.Checkpoint().IgnoreError();
    }

   private:
    // What has been processed in this call is done from here on; without this it is as if nothing had been.
    void Settle() {
      for (const auto& [shard, number] : pending_) model_->MarkDone(shard, number);
      pending_.clear();
    }

    GroupModel* model_;
    bool ends_by_number_;
    std::optional<SequenceNumber> last_;
    std::vector<std::pair<ShardId, SequenceNumber>> pending_;
  };

  std::size_t Random(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  template <typename List>
  decltype(std::declval<List&>().begin()) Any(List& list) {
    return std::next(list.begin(), static_cast<std::ptrdiff_t>(Random(list.size())));
  }

  absl::Status FailNow() {
    if (Random(2) == 0) throw std::runtime_error("no");
    return absl::InternalError("no");
  }
  absl::Status FailNowAndThen() { return fails_ && Random(10) == 0 ? FailNow() : absl::OkStatus(); }

  void Keep(const Checkpointer& checkpointer) {
    kept_.push_back(checkpointer);
    if (kept_.size() > 5) kept_.erase(kept_.begin());
  }

  // A thread that kept a copy of a checkpointer uses it between two steps, or long after its lease has gone.
  void UseKept() {
    Checkpointer& checkpointer = *Any(kept_);
    const auto& records = records_[checkpointer.shard_id()];
    if (Random(2) == 0 || records.empty()) {
      checkpointer.Checkpoint().IgnoreError();
    } else {
      checkpointer.Checkpoint(Any(records)->first).IgnoreError();
    }
  }

  void MarkDone(ShardId shard, SequenceNumber number) {
    State& state = records_[shard].at(number);
    std::set<int>& done = done_[state.record.key];
    state.is_done = true;
    done.insert(state.record.number);
    if (*done.rbegin() + 1 != static_cast<int>(done.size())) ++out_of_order_;
  }

  void PutOne() {
    const int key = static_cast<int>(Random(12));
    const KeyedNumber record{key, put_[key]++};
    const PutResult put = Put(stream_, "key-" + std::to_string(key), record);
    records_[put.shard_id].emplace(put.sequence_number, State{record});
  }

  void Reshard() {
    const auto open = OpenShards(stream_);
    const Shard& any = open[Random(open.size())];
    if (open.size() < 6 && Random(2) == 0) {
      CHECK(stream_.SplitShard(any.id).ok());
    } else {
      stream_.MergeShards(any.id, open[Random(open.size())].id).IgnoreError();  // they may not be adjacent
    }
  }

  void CreateGroup() {
    store_fails_ = false;
    auto group =
        ConsumerGroup<KeyedNumber>::Create(stream_, options_, [this](const DiscardedBatch<KeyedNumber>& batch) {
          if (absl::Status status = FailNowAndThen(); !status.ok()) return status;
          const bool is_by_age = batch.condition == DiscardCondition::kRecordAgeExceeded;
          if (!is_by_age) ++failed_for_good_;
          for (const auto& record : batch.records) {
            const absl::Duration age = clock_.Now() - record.approximate_arrival_timestamp();
            if (is_by_age && age <= options_.maximum_record_age) ++too_young_;
            MarkDone(batch.shard_id, record.sequence_number());
          }
          return absl::OkStatus();
        });
    INFO(group.status());
    REQUIRE(group.ok());
    group_ = *std::move(group);
  }

  void Restart() {
    workers_.clear();
    stalled_.clear();
    kept_.clear();
    group_.reset();
    CreateGroup();
  }

  void AddWorker() {
    workers_.push_back(group_->AddWorker("w", [this](ShardId) -> absl::StatusOr<ModelProcessor> {
      if (absl::Status status = FailNowAndThen(); !status.ok()) return status;
      return ModelProcessor(*this, Random(2) == 0);
    }));
  }

  bool IsFinished() const {
    const auto leases = group_->Leases();
    return std::all_of(leases.begin(), leases.end(),
                       [](const Lease& lease) { return std::holds_alternative<ShardEnd>(lease.checkpoint.position); });
  }

  ManualClock clock_;
  std::mt19937_64 random_;
  Stream<KeyedNumber> stream_;
  std::shared_ptr<CheckingStore> store_;
  bool store_fails_ = false;
  bool fails_ = true;  // whether processors do, now and then
  ConsumerGroupOptions options_{.name = "group"};
  std::map<ShardId, std::map<SequenceNumber, State>> records_;
  std::map<int, int> put_;             // how many of each key
  std::map<int, std::set<int>> done_;  // of each key
  int failed_for_good_ = 0;
  int too_young_ = 0;  // records that were discarded by their age, and had not reached it
  int covered_too_much_ = 0;
  int out_of_order_ = 0;
  std::vector<Checkpointer> kept_;
  std::optional<ConsumerGroup<KeyedNumber>> group_;
  std::list<ConsumerWorker<KeyedNumber>> workers_;
  std::list<ConsumerWorker<KeyedNumber>> stalled_;  // alive, but not stepped for now
};

TEST_CASE("whatever fails, a group processes each record, and no checkpoint covers one that was not") {
  ForEachSeed(200, [](std::uint64_t seed) {
    GroupModel model(seed);
    for (int i = 0; i < 1'500; ++i) model.Step();
    model.Finish();
  });
}

}  // namespace
}  // namespace decouple::testing
