// The cycle in batches of ten; the peer is the nearest system with the same semantics, which is another process.

#include <cstddef>

#include "benchmarks.h"
#include "peers/decouple.h"
#include "peers/redis_streams.h"

namespace {

void Redis(benchmark::State& state) {
  RedisStreamsPeer peer;
  std::size_t received = 0;
  std::size_t number = 0;
  for (auto _ : state) received += peer.CycleOfTen(++number);
  if (received != number * 10) state.SkipWithError("messages are missing");
  CountMessages(state, 10);
}

void Here(benchmark::State& state) {
  DecouplePeer<std::size_t> peer;
  DecouplePeer<std::size_t>::Sender sender(peer);
  DecouplePeer<std::size_t>::Receiver receiver(peer);
  std::size_t received = 0;
  std::size_t number = 0;
  for (auto _ : state) {
    sender.SendTen(++number);
    received += receiver.ReceiveTen();
  }
  if (received != number * 10) state.SkipWithError("messages are missing");
  CountMessages(state, 10);
}

}  // namespace

void RegisterRedis() {
  Add("redis_streams", DecouplePeer<std::size_t>::kName, Here);
  Add("redis_streams", RedisStreamsPeer::kName, Redis);
}
