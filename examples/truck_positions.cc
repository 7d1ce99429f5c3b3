// A hundred trucks report their positions, and two applications read them:
//
//   trucks ─▶ stream ─┬─ dispatch   three workers, one of which crashes: where is each truck now?
//             5 shards│
//             and more└─ mileage    in the evening, the whole day once more: how far did each truck drive?
//
// The truck is the partition key, so its positions stay in order, also while some shards are split and others merged in
// the middle of the day. The worker that takes over a crashed worker's shards goes on from the last checkpoint: the
// positions after it come again, and dispatch recognizes them by their number. The second application has checkpoints
// of its own and begins with the day's first record.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "decouple/consumer_group.h"
#include "decouple/stream.h"

namespace {

constexpr int kTrucks = 100;
constexpr int kPositions = 1'440;  // of each truck: one a minute, a day long
constexpr int kDepots = 4;         // each is a thread that reports for its trucks
constexpr int kWorkers = 3;

// In metres from the city.
struct Position {
  int truck = 0;
  int number = 0;  // among this truck's positions, from 0
  std::int64_t east = 0;
  std::int64_t north = 0;
};

using Positions = decouple::Stream<Position>;
using Batch = decouple::RecordBatch<Position>;

double Metres(const Position& from, const Position& to) {
  return std::hypot(static_cast<double>(to.east - from.east), static_cast<double>(to.north - from.north));
}

// Moves a truck by a minute's drive.
void Drive(Position& truck, std::mt19937& random) {
  ++truck.number;
  truck.east += static_cast<int>(random() % 2'001) - 1'000;
  truck.north += static_cast<int>(random() % 2'001) - 1'000;
}

// Where the trucks really are in the end, and how far they drove.
struct Truth {
  std::array<Position, kTrucks> last;
  std::array<double, kTrucks> odometer{};
};

// Drives every kDepots-th truck for a day, and reports its positions.
void Report(Positions stream, int depot, Truth& truth) {
  for (int truck = depot; truck < kTrucks; truck += kDepots) truth.last[static_cast<std::size_t>(truck)].truck = truck;
  std::mt19937 random(static_cast<std::uint32_t>(depot));
  for (int minute = 0; minute < kPositions; ++minute) {
    for (auto truck = static_cast<std::size_t>(depot); truck < kTrucks; truck += kDepots) {
      Position& position = truth.last[truck];
      if (minute > 0) {
        const Position before = position;
        Drive(position, random);
        truth.odometer[truck] += Metres(before, position);
      }
      if (!stream.Put(absl::StrCat("truck-", truck), position).ok()) std::abort();
    }
    if (minute % 10 == 0) std::this_thread::yield();
  }
}

// Where each truck is, as all workers together have read it.
class Map {
 public:
  void See(const Position& position) {
    const std::lock_guard lock(mutex_);
    int& next = next_[static_cast<std::size_t>(position.truck)];
    if (position.number > next) ++missed_;
    if (position.number < next) ++seen_again_;
    if (position.number != next) return;
    ++next;
    last_[static_cast<std::size_t>(position.truck)] = position;
  }

  int missed() const { return missed_; }
  int seen_again() const { return seen_again_; }
  // How many trucks are on the map where they really are, with all their positions seen in order.
  int Correct(const Truth& truth) const {
    int correct = 0;
    for (std::size_t truck = 0; truck < kTrucks; ++truck) {
      const Position& is = truth.last[truck];
      const bool same = last_[truck].east == is.east && last_[truck].north == is.north;
      if (same && next_[truck] == kPositions) ++correct;
    }
    return correct;
  }

 private:
  std::mutex mutex_;
  std::array<int, kTrucks> next_{};
  std::array<Position, kTrucks> last_{};
  int missed_ = 0;
  int seen_again_ = 0;
};

// Runs a worker until the stream is closed and read; it makes a checkpoint after every eighth batch. `crash_after`: it
// ends without a shutdown after that many steps that processed records; 0: it does not crash.
void Dispatch(Positions stream, decouple::ConsumerGroup<Position> group, int number, Map& map, int crash_after) {
  auto worker = group.AddWorker(absl::StrCat("dispatch-", number),
                                [&, batches = 0](const Batch& batch, decouple::Checkpointer& checkpointer) mutable {
                                  for (const auto& record : batch) map.See(record.body());
                                  if (++batches % 8 == 0)
                                    checkpointer.Checkpoint().IgnoreError();  // fails if the lease is lost
                                });
  while (crash_after > 0 && !stream.closed()) {
    if (worker.Step() > 0 && --crash_after == 0) return;
  }
  worker.Run();
}

// Splits and merges shards while the others put and read. Returns how often it succeeded.
int Reshard(Positions stream, const std::atomic<bool>& stopping) {
  int reshardings = 0;
  while (!stopping && reshardings < 12) {
    std::vector<decouple::Shard> open;
    for (const auto& shard : stream.Shards()) {
      if (shard.is_open()) open.push_back(shard);
    }
    std::sort(open.begin(), open.end(),
              [](const auto& a, const auto& b) { return a.hash_key_range.starting < b.hash_key_range.starting; });
    const bool ok = reshardings % 3 == 2 ? stream.MergeShards(open[0].id, open[1].id).ok()
                                         : stream.SplitShard(open[open.size() / 2].id).ok();
    if (ok) ++reshardings;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return reshardings;
}

// The second application: adds up each truck's way by reading the whole day. Returns how many of the sums agree with
// the odometers.
int Mileage(const Positions& stream, const Truth& truth) {
  auto group = decouple::ConsumerGroup<Position>::Create(stream, {.name = "mileage", .start = decouple::TrimHorizon{}});
  std::array<Position, kTrucks> last{};
  std::array<double, kTrucks> driven{};
  auto worker = group->AddWorker("mileage-1", [&](const Batch& batch) {
    for (const auto& record : batch) {
      const Position& position = record.body();
      const auto truck = static_cast<std::size_t>(position.truck);
      if (position.number > 0) driven[truck] += Metres(last[truck], position);
      last[truck] = position;
    }
  });
  worker.Run();
  int correct = 0;
  for (std::size_t truck = 0; truck < kTrucks; ++truck) {
    if (driven[truck] == truth.odometer[truck]) ++correct;  // the same sums in the same order
  }
  return correct;
}

}  // namespace

int main() {
  auto stream = Positions::Create({.shards = 5, .name = "positions"}).value();
  auto dispatch = decouple::ConsumerGroup<Position>::Create(
                      stream, {.name = "dispatch", .start = decouple::TrimHorizon{}, .max_records = 100})
                      .value();
  Truth truth;
  Map map;
  std::vector<std::thread> depots;
  for (int depot = 0; depot < kDepots; ++depot) depots.emplace_back(Report, stream, depot, std::ref(truth));
  std::vector<std::thread> workers;
  for (int number = 1; number <= kWorkers; ++number) {
    workers.emplace_back(Dispatch, stream, dispatch, number, std::ref(map), number == 1 ? 5 : 0);
  }
  std::atomic<bool> stopping = false;
  int reshardings = 0;
  std::thread resharder([&] { reshardings = Reshard(stream, stopping); });
  for (std::thread& depot : depots) depot.join();
  stopping = true;
  resharder.join();
  stream.Close();
  for (std::thread& worker : workers) worker.join();

  const auto statistics = stream.Statistics();
  absl::PrintF("positions       %d of %d trucks\n", statistics.incoming_records, kTrucks);
  absl::PrintF("reshardings     %d, into %d shards in all\n", reshardings, stream.Shards().size());
  absl::PrintF("dispatch        %d leases taken by %d workers, one of which crashed\n",
               dispatch.Statistics().taken_leases, kWorkers);
  absl::PrintF("seen again      %d, since the last checkpoint\n", map.seen_again());
  absl::PrintF("out of order    %d\n", map.missed());
  const int on_map = map.Correct(truth);
  const int mileages = Mileage(stream, truth);
  absl::PrintF("on the map      %d trucks where they are\n", on_map);
  absl::PrintF("mileage         %d trucks as their odometers say, from the day's records read again\n", mileages);
  const bool complete = on_map == kTrucks && mileages == kTrucks && map.missed() == 0 && reshardings > 0 &&
                        statistics.incoming_records == kTrucks * kPositions;
  absl::PrintF("%s\n", complete ? "every truck's positions came in their order" : "POSITIONS ARE MISSING");
  return complete ? 0 : 1;
}
