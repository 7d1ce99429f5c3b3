// Fan-out to many queues; the peers are a loop that puts a shared_ptr into as many of moodycamel's queues, and ZeroMQ's
// PUB and SUB. Ten messages are published, then each queue is emptied.

#include <cstddef>
#include <string>

#include "benchmarks.h"
#include "peers/decouple_topic.h"
#include "peers/moodycamel_fan_out.h"
#include "peers/zeromq.h"

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
  CountMessages(state, kAtOnce * queues);  // deliveries
}

template <typename Peer>
void AddPeer() {
  Add("fanout_1", Peer::kName, FanOut<Peer, 1>);
  Add("fanout_4", Peer::kName, FanOut<Peer, 4>);
  Add("fanout_64", Peer::kName, FanOut<Peer, 64>);
  Add("fanout_1k", Peer::kName, FanOut<Peer, 1'000>);
}

}  // namespace

void RegisterFanOut() {
  AddPeer<DecoupleTopicPeer>();
  AddPeer<MoodycamelFanOutPeer>();
  Add("fanout_64", ZeromqFanOutPeer::kName, FanOut<ZeromqFanOutPeer, 64>);
}
