// A FIFO queue and two written by hand, one that only keeps the order and one that does as much as ours, with few and
// with many message groups.

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks.h"
#include "peers/decouple_fifo.h"
#include "peers/handwritten_fifo.h"
#include "peers/handwritten_reliable_fifo.h"

namespace {

constexpr std::size_t kMessages = 200'000;

// Each of `threads` threads sends into one group after the other, and receives and deletes a message after each send.
// Each group has `backlog` messages all the time, and one or two more.
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
  CountMessages(state, kMessages);
}

template <typename Peer>
void AddPeer() {
  Add("fifo_1_group", Peer::kName, Cycle<Peer, 1, 1, 1>);
  Add("fifo_1_group_backlog_1m", Peer::kName, Cycle<Peer, 1, 1, 1'000'000>);
  Add("fifo_1_group_2threads", Peer::kName, Cycle<Peer, 1, 2, 1>);
  Add("fifo_100_groups", Peer::kName, Cycle<Peer, 100, 1, 1>);
  Add("fifo_100_groups_2threads", Peer::kName, Cycle<Peer, 100, 2, 1>);
  Add("fifo_100k_groups", Peer::kName, Cycle<Peer, 100'000, 1, 1>);
  Add("fifo_100k_groups_2threads", Peer::kName, Cycle<Peer, 100'000, 2, 1>);
}

}  // namespace

void RegisterFifo() {
  AddPeer<DecoupleFifoPeer>();
  AddPeer<HandwrittenFifoPeer>();
  AddPeer<HandwrittenReliableFifoPeer>();
}
