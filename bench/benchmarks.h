// The benchmarks of the one binary: each is called WHAT/PEER and counts messages, so that two peers of the same WHAT
// compare by messages per second. The report computes its ratios from that.
#ifndef DECOUPLE_BENCH_BENCHMARKS_H_
#define DECOUPLE_BENCH_BENCHMARKS_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>

// Each is defined in a file of its own.
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

// For the end of a benchmark: each of its iterations was `each` messages.
inline void CountMessages(benchmark::State& state, std::size_t each) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(each));
}

#endif  // DECOUPLE_BENCH_BENCHMARKS_H_
