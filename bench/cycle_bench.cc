// The cycle of a message, from the send to its deletion. The peers are queues that forget a message once it is
// received, and one written by hand.

#include <array>
#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks.h"
#include "peers/absl_mutex_deque.h"
#include "peers/boost_lockfree.h"
#include "peers/decouple.h"
#include "peers/handwritten.h"
#include "peers/moodycamel.h"
#include "peers/mutex_deque.h"
#include "peers/tbb.h"
#include "peers/zeromq.h"

namespace {

using Bytes8 = std::size_t;
using Bytes64 = std::array<std::size_t, 8>;

template <typename Body>
Body Make() {
  if constexpr (std::is_same_v<Body, std::string>) {
    return std::string(128, 'x');
  } else {
    return Body{};
  }
}

template <typename Body>
std::string SizeOf() {
  return std::is_same_v<Body, Bytes8> ? "" : std::is_same_v<Body, Bytes64> ? "_64_bytes" : "_string_of_128";
}

struct OneByOne {
  static constexpr std::size_t kAtOnce = 1;
  template <typename Sender, typename Body>
  static void Send(Sender& sender, const Body& body) {
    sender.Send(body);
  }
  template <typename Receiver>
  static std::size_t Receive(Receiver& receiver) {
    return receiver.Receive();
  }
};

struct InTens {
  static constexpr std::size_t kAtOnce = 10;
  template <typename Sender, typename Body>
  static void Send(Sender& sender, const Body& body) {
    sender.SendTen(body);
  }
  template <typename Receiver>
  static std::size_t Receive(Receiver& receiver) {
    return receiver.ReceiveTen();
  }
};

// One thread sends and receives alternately.
template <template <typename> typename Peer, typename Body, typename Way>
void OneThread(benchmark::State& state) {
  Peer<Body> peer;
  typename Peer<Body>::Sender sender(peer);
  typename Peer<Body>::Receiver receiver(peer);
  const Body body = Make<Body>();
  std::size_t received = 0;
  for (auto _ : state) {
    Way::Send(sender, body);
    received += Way::Receive(receiver);
  }
  benchmark::DoNotOptimize(received);
  CountMessages(state, Way::kAtOnce);
}

// `senders` threads send and `receivers` threads receive, as fast as they can. More than two threads may be more than
// there are cores, and then take turns of some milliseconds: with a million messages it does not matter which of them
// sleeps through the last turn.
template <template <typename> typename Peer, typename Body, typename Way, std::size_t senders, std::size_t receivers>
void Between(benchmark::State& state) {
  constexpr std::size_t kMessages = senders + receivers > 2 ? 1'000'000 : 200'000;
  Peer<Body> peer;
  const Body body = Make<Body>();
  for (auto _ : state) {
    std::atomic<std::size_t> left{kMessages};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < senders; ++i) {
      threads.emplace_back([&] {
        typename Peer<Body>::Sender sender(peer);
        for (std::size_t sent = 0; sent < kMessages / senders; sent += Way::kAtOnce) Way::Send(sender, body);
      });
    }
    for (std::size_t i = 0; i < receivers; ++i) {
      threads.emplace_back([&] {
        typename Peer<Body>::Receiver receiver(peer);
        std::size_t got = 0;  // not yet subtracted from `left`, which all threads share
        while (left.load(std::memory_order_relaxed) > 0) {
          const std::size_t now = Way::Receive(receiver);
          got += now;
          if (got >= 1'000 || (now == 0 && got > 0)) {
            left.fetch_sub(got, std::memory_order_relaxed);
            got = 0;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  CountMessages(state, kMessages);
}

// Builds up a backlog of a million messages, then receives all of it.
template <template <typename> typename Peer, typename Body>
void Backlog(benchmark::State& state) {
  constexpr std::size_t kMessages = 1'000'000;
  Peer<Body> peer;
  typename Peer<Body>::Sender sender(peer);
  typename Peer<Body>::Receiver receiver(peer);
  const Body body = Make<Body>();
  for (auto _ : state) {
    for (std::size_t sent = 0; sent < kMessages; ++sent) sender.Send(body);
    for (std::size_t left = kMessages; left > 0;) left -= receiver.Receive();
  }
  CountMessages(state, kMessages);
}

template <template <typename> typename Peer, typename Body>
void AddForOnePair() {
  const std::string peer = Peer<Body>::kName;
  Add("cycle_1thread" + SizeOf<Body>(), peer, OneThread<Peer, Body, OneByOne>);
  Add("cycle_1p1c" + SizeOf<Body>(), peer, Between<Peer, Body, OneByOne, 1, 1>);
  Add("backlog_1m" + SizeOf<Body>(), peer, Backlog<Peer, Body>);
}

template <template <typename> typename Peer, typename Body>
void AddForAny() {
  AddForOnePair<Peer, Body>();
  Add("cycle_2p2c" + SizeOf<Body>(), Peer<Body>::kName, Between<Peer, Body, OneByOne, 2, 2>);
}

template <template <typename> typename Peer, typename Body>
void AddInTens() {
  const std::string peer = Peer<Body>::kName;
  Add("cycle_1thread_batch10" + SizeOf<Body>(), peer, OneThread<Peer, Body, InTens>);
  Add("cycle_1p1c_batch10" + SizeOf<Body>(), peer, Between<Peer, Body, InTens, 1, 1>);
}

template <typename Body>
void AddPeers() {
  AddForAny<DecouplePeer, Body>();
  AddForAny<MoodycamelPeer, Body>();
  AddForAny<MoodycamelTokensPeer, Body>();
  AddForAny<MoodycamelBlockingPeer, Body>();
  AddForAny<TbbPeer, Body>();
  AddForAny<MutexDequePeer, Body>();
  AddForAny<AbslMutexDequePeer, Body>();
  AddForAny<HandwrittenPeer, Body>();
  AddForOnePair<ZeromqPeer, Body>();
  if constexpr (std::is_trivially_copyable_v<Body>) AddForAny<BoostLockfreePeer, Body>();
  AddInTens<DecouplePeer, Body>();
  AddInTens<MoodycamelTokensPeer, Body>();
}

}  // namespace

void RegisterCycles() {
  AddPeers<Bytes8>();
  AddPeers<Bytes64>();
  AddPeers<std::string>();
}
