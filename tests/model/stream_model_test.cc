// A stream and its consumer groups compared with a model of their contract, under random puts, reads, reshardings,
// expiries and worker crashes. The sequence of each key's records that a group sees is the sequence that was put.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "decouple/consumer_group.h"
#include "decouple/stream_consumer.h"
#include "seed.h"
#include "stream_testing.h"

namespace decouple::testing {
namespace {

constexpr int kSteps = 2'000;
constexpr std::uint64_t kSeeds = 200;
constexpr absl::Duration kRetention = Seconds(600);
constexpr absl::Duration kLease = Seconds(10);

// The n-th record of a key.
struct Numbered {
  int key = 0;
  int number = 0;
};

// A record in the model.
struct ModelRecord {
  Numbered record;
  SequenceNumber sequence_number;
  absl::Time arrived_at;
};

class StreamModel {
 public:
  explicit StreamModel(std::uint64_t seed) : random_(seed) {
    Limits limits = Limits::Service();
    limits.min_stream_retention = absl::ZeroDuration();
    stream_.emplace(MakeStream<Numbered>(clock_, {.shards = 1 + Random(3), .retention = kRetention, .limits = limits}));
    for (int i = 0; i < 2; ++i) groups_.push_back(std::make_unique<Group>(*stream_, "group-" + std::to_string(i)));
  }

  void Step() {
    switch (Random(20)) {
      case 0:
        Reshard();
        break;
      case 1:
        clock_.Advance(absl::Milliseconds(static_cast<std::int64_t>(Random(8'000))));
        break;
      case 2:
        Restart();
        break;
      case 3:
      case 4:
        CheckShard();
        break;
      case 5:
        CheckFollower();
        break;
      case 6:
      case 7:
      case 8:
        StepGroup(*groups_[Random(groups_.size())]);
        break;
      case 9:
        if (Random(40) == 0) SkipAhead();
        break;
      default:
        PutOne();
    }
  }

  // Reads everything to the end.
  void Finish() {
    stream_->Close();
    for (const auto& group : groups_) {
      for (int i = 0; i < 400; ++i) {
        StepGroup(*group);
        clock_.Advance(absl::Milliseconds(100));
      }
      for (const auto& [key, next] : put_) {
        INFO(group->name << " key " << key);
        CHECK(group->next[key] == next);
      }
      CHECK(group->out_of_order == 0);
    }
  }

 private:
  struct Group {
    Group(const Stream<Numbered>& stream, std::string group_name)
        : name(std::move(group_name)),
          group(ConsumerGroup<Numbered>::Create(
                    stream, {.name = name, .start = TrimHorizon{}, .lease_duration = kLease, .max_records = 7})
                    .value()) {}

    void See(const Numbered& record) {
      int& expected = next[record.key];
      if (record.number > expected) ++out_of_order;
      if (record.number == expected) ++expected;
    }

    std::string name;
    ConsumerGroup<Numbered> group;
    std::list<ConsumerWorker<Numbered>> workers;
    std::list<ConsumerWorker<Numbered>> stuck;  // alive, but never stepped again
    std::map<int, int> next;                    // of each key, the next record to be seen
    int out_of_order = 0;
  };

  std::size_t Random(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  void PutOne() {
    const int key = static_cast<int>(Random(12));
    const Numbered record{key, put_[key]++};
    const PutResult put = Put(*stream_, "key-" + std::to_string(key), record);
    log_[put.shard_id].push_back({record, put.sequence_number, clock_.Now()});
    // A key's sequence numbers grow, whichever shards its records are in.
    CHECK(put.sequence_number > last_number_[key]);
    last_number_[key] = put.sequence_number;
  }

  void Reshard() {
    const auto open = OpenShards(*stream_);
    const Shard& any = open[Random(open.size())];
    switch (Random(3)) {
      case 0:
        if (open.size() < 8) CHECK(stream_->SplitShard(any.id).ok());
        break;
      case 1:
        stream_->MergeShards(any.id, open[Random(open.size())].id).IgnoreError();  // they may not be adjacent
        break;
      default:
        stream_->UpdateShardCount(1 + Random(6)).IgnoreError();  // it may be out of range
    }
  }

  // The shard's records that are retained, by the model.
  std::vector<ModelRecord> RetainedIn(ShardId shard) {
    std::vector<ModelRecord> retained;
    for (const ModelRecord& record : log_[shard]) {
      if (record.arrived_at + kRetention > clock_.Now()) retained.push_back(record);
    }
    return retained;
  }

  // Compares a read from a random position.
  void CheckShard() {
    const auto shards = stream_->Shards();
    const ShardId shard = shards[Random(shards.size())].id;
    const auto retained = RetainedIn(shard);
    std::size_t from = 0;
    IteratorPosition position = TrimHorizon{};
    if (!retained.empty()) {
      from = Random(retained.size());
      switch (Random(4)) {
        case 0:
          position = AtSequenceNumber{retained[from].sequence_number};
          break;
        case 1:
          position = AfterSequenceNumber{retained[from].sequence_number};
          ++from;
          break;
        case 2:
          position = AtTimestamp{retained[from].arrived_at};
          while (from > 0 && retained[from - 1].arrived_at == retained[from].arrived_at) --from;
          break;
        default:
          from = 0;
      }
    }
    const std::size_t limit = 1 + Random(50);
    auto iterator = Iterate(*stream_, shard, position);
    const auto batch = Read(iterator, limit);
    CHECK(batch.size() == std::min(limit, retained.size() - from));
    for (std::size_t i = 0; i < std::min(batch.size(), retained.size() - from); ++i) {
      CHECK(batch[i].body().number == retained[from + i].record.number);
      CHECK(batch[i].sequence_number() == retained[from + i].sequence_number);
      CHECK(batch[i].approximate_arrival_timestamp() == retained[from + i].arrived_at);
    }
    const std::size_t next = from + batch.size();
    const std::int64_t behind =
        next < retained.size()
            ? std::max<std::int64_t>(absl::ToInt64Milliseconds(clock_.Now() - retained[next].arrived_at), 1)
            : 0;
    CHECK(batch.millis_behind_latest() == behind);
  }

  // Compares a read by one iterator that reads on and on, until it expires and a new one is made.
  void CheckFollower() {
    if (!follower_ || clock_.Now() >= follower_used_ + Minutes(5)) {
      const auto shards = stream_->Shards();
      const ShardId shard = shards[Random(shards.size())].id;
      if (follower_) CHECK(ErrorIn(follower_->Next()) == Error::kExpiredIterator);
      follower_ = Iterate(*stream_, shard);
      followed_ = SequenceNumber();
    }
    follower_used_ = clock_.Now();
    std::vector<ModelRecord> expected;
    for (const ModelRecord& record : RetainedIn(follower_->shard_id())) {
      if (record.sequence_number > followed_) expected.push_back(record);
    }
    const auto batch = Read(*follower_, 20);
    REQUIRE(batch.size() == std::min<std::size_t>(expected.size(), 20));
    for (std::size_t i = 0; i < batch.size(); ++i) CHECK(batch[i].sequence_number() == expected[i].sequence_number);
    if (!batch.empty()) followed_ = batch.back().sequence_number();
    if (batch.shard_ended() && Random(2) == 0) follower_.reset();
  }

  void StepGroup(Group& group) {
    if (group.workers.empty()) AddWorker(group);
    auto worker = group.workers.begin();
    std::advance(worker, static_cast<std::ptrdiff_t>(Random(group.workers.size())));
    worker->Step();
  }

  void AddWorker(Group& group) {
    // Fails now and then, and some workers make a checkpoint only now and then: so records come again after a crash.
    const bool is_thorough = Random(2) == 0;
    group.workers.push_back(group.group.AddWorker(
        "w", [this, &group, is_thorough](const RecordBatch<Numbered>& batch, Checkpointer& checkpointer) {
          if (Random(10) == 0) return absl::UnavailableError("by chance");
          for (const auto& record : batch) group.See(record.body());
          if (is_thorough || Random(3) == 0) {
            CHECK(checkpointer.Checkpoint(batch[Random(batch.size())].sequence_number()).ok());
          }
          return absl::OkStatus();
        }));
  }

  // Adds a worker, or has one crash, hang or be shut down.
  void Restart() {
    Group& group = *groups_[Random(groups_.size())];
    if (group.workers.size() < 3 && Random(2) == 0) AddWorker(group);
    if (group.workers.empty()) return;
    switch (Random(4)) {
      case 0:
        group.workers.pop_front();
        break;
      case 1:
        group.stuck.splice(group.stuck.end(), group.workers, group.workers.begin());
        if (group.stuck.size() > 3) group.stuck.pop_front();
        break;
      case 2:
        group.workers.front().RequestShutdown();
        group.workers.front().Step();
        group.workers.pop_front();
        break;
      default:
        break;
    }
  }

  // Moves the clock on by about the retention period, when every group has seen all records: so none is trimmed unseen.
  void SkipAhead() {
    for (const auto& group : groups_) {
      for (int i = 0; i < 400; ++i) {
        StepGroup(*group);
        clock_.Advance(absl::Milliseconds(100));
      }
      for (const auto& [key, next] : put_) REQUIRE(group->next[key] == next);
    }
    clock_.Advance(kRetention / 2 + Seconds(static_cast<std::int64_t>(Random(400))));
    follower_.reset();
    for (const Shard& shard : stream_->Shards()) {
      auto iterator = Iterate(*stream_, shard.id);
      CHECK(Read(iterator).size() == RetainedIn(shard.id).size());
    }
  }

  std::mt19937_64 random_;
  ManualClock clock_;
  std::optional<Stream<Numbered>> stream_;
  std::vector<std::unique_ptr<Group>> groups_;
  std::map<ShardId, std::vector<ModelRecord>> log_;
  std::map<int, int> put_;  // how many records of each key were put
  std::map<int, SequenceNumber> last_number_;
  std::optional<ShardIterator<Numbered>> follower_;
  absl::Time follower_used_;
  SequenceNumber followed_;
};

TEST_CASE("a stream and its groups agree with the model, whatever happens to shards and workers") {
  ForEachSeed(kSeeds, [](std::uint64_t seed) {
    StreamModel model(seed);
    for (int i = 0; i < kSteps; ++i) model.Step();
    model.Finish();
  });
}

}  // namespace
}  // namespace decouple::testing
