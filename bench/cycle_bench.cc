// The cycle of a message beside what a bare lock-free queue does, in one binary and interleaved, as a ratio: above 1 we
// are faster. Machines and neighbours differ, so a time alone says nothing.
//
//   bench/run                     all of it
//   bench/run --benchmark_filter=one_to_one

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "peers/decouple.h"
#include "peers/moodycamel.h"
#include "ratios.h"

namespace {

constexpr std::size_t kMessages = 400'000;

// One thread sends and receives in turn.
template <typename Peer>
void OneThread(benchmark::State& state) {
  Peer peer;
  std::size_t number = 0;
  for (auto _ : state) {
    peer.Send(++number);
    benchmark::DoNotOptimize(peer.Receive());
  }
}

// `senders` threads send, `receivers` receive, as fast as each can.
template <typename Peer, int senders, int receivers>
void Between(benchmark::State& state) {
  Peer peer;
  for (auto _ : state) {
    std::atomic<std::size_t> left{kMessages};
    std::vector<std::thread> threads;
    for (int i = 0; i < senders; ++i) {
      threads.emplace_back([&] {
        for (std::size_t number = 0; number < kMessages / senders; number += Peer::kAtOnce) peer.Send(number);
      });
    }
    for (int i = 0; i < receivers; ++i) {
      threads.emplace_back([&] {
        std::size_t got = 0;
        while (left.load(std::memory_order_relaxed) > 0) {
          const std::size_t now = peer.Receive();
          got += now;
          if (got >= 1000 || (now == 0 && got > 0)) {
            left.fetch_sub(got, std::memory_order_relaxed);
            got = 0;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
}

// A backlog, and then all of it.
template <typename Peer>
void Backlog(benchmark::State& state) {
  Peer peer;
  for (auto _ : state) {
    for (std::size_t number = 0; number < kMessages; ++number) peer.Send(number);
    for (std::size_t left = kMessages; left > 0;) left -= peer.Receive();
  }
}

template <template <std::size_t> typename Peer>
void Register() {
  const auto add = [](const char* what, void (*run)(benchmark::State&), benchmark::TimeUnit unit) {
    benchmark::RegisterBenchmark((std::string(what) + "/" + Peer<1>::kName).c_str(), run)->UseRealTime()->Unit(unit);
  };
  add("one_thread", OneThread<Peer<1>>, benchmark::kNanosecond);
  add("one_thread_batch_10", OneThread<Peer<10>>, benchmark::kNanosecond);
  add("one_to_one", Between<Peer<1>, 1, 1>, benchmark::kMillisecond);
  add("one_to_one_batch_10", Between<Peer<10>, 1, 1>, benchmark::kMillisecond);
  add("two_to_two", Between<Peer<1>, 2, 2>, benchmark::kMillisecond);
  add("backlog", Backlog<Peer<1>>, benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  Register<DecouplePeer>();
  Register<MoodycamelPeer>();
  return RunAndPrintRatios(argc, argv, {DecouplePeer<1>::kName}, {MoodycamelPeer<1>::kName});
}
