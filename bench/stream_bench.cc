// A stream and a log written by hand (a vector behind a mutex). Reading is also compared with a plain loop over a
// std::deque of the same numbers, which keeps no keys and no times, and has no writer.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks.h"
#include "peers/decouple_stream.h"
#include "peers/mutex_log.h"

namespace {

constexpr std::size_t kRecords = 1'000'000;
constexpr std::size_t kAtOnce = 10'000;

// A thousand keys of a usual length.
const std::string& Key(std::size_t i) {
  static const auto keys = [] {
    std::array<std::string, 1'000> all;
    for (std::size_t k = 0; k < all.size(); ++k) all[k] = "truck-" + std::to_string(k);
    return all;
  }();
  return keys[i % keys.size()];
}

template <typename Peer, std::size_t shards>
void Put(benchmark::State& state) {
  Peer peer(shards, kRecords / shards);
  std::uint64_t number = 0;
  for (auto _ : state) {
    ++number;
    peer.Put(Key(number), number);
  }
  CountMessages(state, 1);
}

// `putters` threads put as fast as they can.
template <typename Peer, std::size_t shards, int putters>
void PutTogether(benchmark::State& state) {
  Peer peer(shards, kRecords);
  for (auto _ : state) {
    std::vector<std::thread> threads;
    for (int i = 0; i < putters; ++i) {
      threads.emplace_back([&, i] {
        for (std::size_t number = 0; number < kRecords / 4 / putters; ++number) {
          peer.Put(Key(number * 2 + static_cast<std::size_t>(i)), number);
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  CountMessages(state, kRecords / 4);
}

template <typename Peer>
void Fill(Peer& peer) {
  for (std::size_t number = 0; number < kRecords; ++number) peer.Put(Key(number), number);
}

// `readers` threads each read all records.
template <typename Peer, int readers>
void Read(benchmark::State& state) {
  Peer peer(1, 2 * kRecords);
  Fill(peer);
  const auto read_all = [&] {
    typename Peer::Reader reader(peer, 0);
    std::uint64_t sum = 0;
    for (std::size_t count = 0; count < kRecords;) count += reader.Read(kAtOnce, sum);
    benchmark::DoNotOptimize(sum);
  };
  for (auto _ : state) {
    if constexpr (readers == 1) {
      read_all();
    } else {
      std::vector<std::thread> threads;
      for (int i = 0; i < readers; ++i) threads.emplace_back(read_all);
      for (auto& thread : threads) thread.join();
    }
  }
  CountMessages(state, kRecords * readers);
}

// One thread reads all records while another one keeps putting.
template <typename Peer>
void ReadBesidePuts(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    auto peer = std::make_unique<Peer>(1, 4 * kRecords);
    Fill(*peer);
    std::atomic<bool> done{false};
    std::thread putter([&] {
      for (std::size_t number = 0; number < kRecords && !done; ++number) peer->Put(Key(number), number);
    });
    auto reader = std::make_unique<typename Peer::Reader>(*peer, 0);
    std::uint64_t sum = 0;
    state.ResumeTiming();
    for (std::size_t count = 0; count < kRecords;) count += reader->Read(kAtOnce, sum);
    state.PauseTiming();
    benchmark::DoNotOptimize(sum);
    done = true;
    putter.join();
    reader.reset();
    peer.reset();
    state.ResumeTiming();
  }
  CountMessages(state, kRecords);
}

void Deque(benchmark::State& state) {
  std::deque<std::uint64_t> numbers;
  for (std::size_t number = 0; number < kRecords; ++number) numbers.push_back(number);
  for (auto _ : state) {
    std::uint64_t sum = 0;
    for (const std::uint64_t number : numbers) sum += number;
    benchmark::DoNotOptimize(sum);
  }
  CountMessages(state, kRecords);
}

// One thread puts, and another one reads the records as they come.
template <typename Peer>
void Follow(benchmark::State& state) {
  for (auto _ : state) {
    Peer peer(1, 2 * kRecords);
    std::thread reader([&] {
      typename Peer::Reader records(peer, 0);
      std::uint64_t sum = 0;
      for (std::size_t count = 0; count < kRecords;) count += records.Read(kAtOnce, sum);
      benchmark::DoNotOptimize(sum);
    });
    Fill(peer);
    reader.join();
  }
  CountMessages(state, kRecords);
}

// The latency from a put to the reader that sleeps until there is a record, and back by an atomic counter.
template <typename Peer>
void TailLatency(benchmark::State& state) {
  Peer peer(1, kRecords);
  std::atomic<std::size_t> seen{0};
  std::atomic<bool> stopping{false};
  std::thread reader([&] {
    typename Peer::Reader records(peer, 0);
    std::uint64_t sum = 0;
    while (!stopping) seen.fetch_add(records.Await(kAtOnce, sum));
  });
  std::size_t put = 0;
  for (auto _ : state) {
    peer.Put(Key(0), ++put);
    while (seen.load() < put) std::this_thread::yield();
    // Not measured: the time in which the reader falls asleep again.
    state.PauseTiming();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    state.ResumeTiming();
  }
  stopping = true;
  peer.Put(Key(0), 0);
  reader.join();
  CountMessages(state, 1);
}

template <typename Peer>
void AddPuts() {
  Add("stream_put_alone", Peer::kName, Put<Peer, 1>);
  Add("stream_put_4_shards", Peer::kName, Put<Peer, 4>);
  Add("stream_put_64_shards", Peer::kName, Put<Peer, 64>);
  Add("stream_put_2threads", Peer::kName, PutTogether<Peer, 1, 2>);
  Add("stream_put_2threads_64_shards", Peer::kName, PutTogether<Peer, 64, 2>);
  Add("stream_put", Peer::kName, Follow<Peer>);
}

template <typename Peer>
void AddReads() {
  Add("stream_read", Peer::kName, ReadBesidePuts<Peer>);
  Add("stream_read_alone", Peer::kName, Read<Peer, 1>);
  Add("stream_read_2_readers", Peer::kName, Read<Peer, 2>);
  Add("stream_read_8_readers", Peer::kName, Read<Peer, 8>);
  Add("stream_tail_latency", Peer::kName, TailLatency<Peer>)->Iterations(2'000);
}

}  // namespace

void RegisterStreams() {
  AddPuts<DecoupleStreamPeer>();
  AddPuts<DecoupleFastHashPeer>();
  AddPuts<MutexLogPeer>();
  AddReads<DecoupleStreamPeer>();
  AddReads<MutexLogPeer>();
  Add("stream_read_alone", "deque", Deque);
}
