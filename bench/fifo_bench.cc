// A FIFO queue beside one written by hand, for few and for many message groups, as a ratio: above 1 we are faster.
//
//   bench/run fifo

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "peers/decouple_fifo.h"
#include "peers/handwritten_fifo.h"
#include "ratios.h"

namespace {

constexpr std::size_t kMessages = 400'000;

// Each of `threads` threads sends into one group after the other, and receives and deletes as much. Each group has
// `backlog` messages all the time, and one or two more.
template <typename Peer, std::size_t groups, int threads, std::size_t backlog>
void Cycle(benchmark::State& state) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < groups; ++i) names.push_back("group-" + std::to_string(i));
  Peer peer;
  std::atomic<std::size_t> number{0};
  for (std::size_t i = 0; i < backlog; ++i) {
    for (const std::string& name : names) peer.Send(name, number++);
  }
  for (auto _ : state) {
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([&, i] {
        std::size_t next = groups * static_cast<std::size_t>(i) / threads;
        for (std::size_t done = 0; done < kMessages / threads; ++done) {
          peer.Send(names[next], number.fetch_add(1, std::memory_order_relaxed));
          next = next + 1 == groups ? 0 : next + 1;
          benchmark::DoNotOptimize(peer.Receive());
        }
      });
    }
    for (auto& thread : running) thread.join();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kMessages));
}

template <typename Peer, std::size_t groups, int threads, std::size_t backlog = 1>
void Add() {
  const std::string what = "fifo_" + std::to_string(groups) + "_groups_" + std::to_string(threads) + "_threads" +
                           (backlog == 1 ? "" : "_backlog_" + std::to_string(backlog));
  benchmark::RegisterBenchmark((what + "/" + Peer::kName).c_str(), Cycle<Peer, groups, threads, backlog>)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

template <typename Peer>
void Register() {
  Add<Peer, 1, 1>();
  Add<Peer, 100, 1>();
  Add<Peer, 100'000, 1>();
  Add<Peer, 1, 1, 1'000'000>();
  Add<Peer, 1, 2>();
  Add<Peer, 100, 2>();
  Add<Peer, 100'000, 2>();
}

}  // namespace

int main(int argc, char** argv) {
  Register<DecoupleFifoPeer>();
  Register<HandwrittenFifoPeer>();
  return RunAndPrintRatios(argc, argv, {DecoupleFifoPeer::kName}, {HandwrittenFifoPeer::kName},
                           {{"fifo_100000_groups_1_threads", "fifo_100_groups_1_threads"},
                            {"fifo_100000_groups_2_threads", "fifo_100_groups_2_threads"},
                            {"fifo_1_groups_1_threads_backlog_1000000", "fifo_1_groups_1_threads"}});
}
