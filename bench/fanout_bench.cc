// Fan-out to many queues beside a loop that puts a shared_ptr into so many of moodycamel's, as a ratio: above 1 we are
// faster. Ten messages are published, then each queue is emptied.
//
//   bench/run fanout

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "peers/decouple_topic.h"
#include "peers/moodycamel_fan_out.h"
#include "ratios.h"

namespace {

constexpr std::size_t kAtOnce = 10;

template <typename Peer, std::size_t queues>
void FanOut(benchmark::State& state) {
  Peer peer(queues);
  std::size_t number = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kAtOnce; ++i) peer.Publish(++number);
    if (peer.ReceiveAll() != kAtOnce * queues) state.SkipWithError("messages are missing");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kAtOnce * queues));  // deliveries
}

template <typename Peer, std::size_t queues>
void Add() {
  const std::string what = "fanout_" + std::to_string(queues);
  benchmark::RegisterBenchmark((what + "/" + Peer::kName).c_str(), FanOut<Peer, queues>)->Unit(benchmark::kMicrosecond);
}

template <typename Peer>
void Register() {
  Add<Peer, 1>();
  Add<Peer, 4>();
  Add<Peer, 64>();
  Add<Peer, 1'000>();
}

}  // namespace

int main(int argc, char** argv) {
  Register<DecoupleTopicPeer>();
  Register<MoodycamelFanOutPeer>();
  return RunAndPrintRatios(argc, argv, {DecoupleTopicPeer::kName}, {MoodycamelFanOutPeer::kName});
}
