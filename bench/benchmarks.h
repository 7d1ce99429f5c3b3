// What the one binary measures: each benchmark is called WHAT/PEER and counts messages, so that two peers of the same
// WHAT compare by messages a second. The report draws its ratios from that.
#ifndef DECOUPLE_BENCH_BENCHMARKS_H_
#define DECOUPLE_BENCH_BENCHMARKS_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>

// Each is registered by a file of its own.
void RegisterCycles();
void RegisterFanOut();
void RegisterFifo();
void RegisterFilters();
void RegisterStreams();
void RegisterRedis();
void RegisterClocks();

inline benchmark::internal::Benchmark* Add(const std::string& what, const std::string& peer,
                                           void (*run)(benchmark::State&)) {
  return benchmark::RegisterBenchmark((what + "/" + peer).c_str(), run)->UseRealTime();
}

// At the end of a benchmark each of whose iterations is so many messages.
inline void CountMessages(benchmark::State& state, std::size_t each) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(each));
}

#endif  // DECOUPLE_BENCH_BENCHMARKS_H_
