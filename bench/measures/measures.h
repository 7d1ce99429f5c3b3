// What is measured besides the benchmarks; each measure prints lines `measure NAME VALUE UNIT`.
#ifndef DECOUPLE_BENCH_MEASURES_MEASURES_H_
#define DECOUPLE_BENCH_MEASURES_MEASURES_H_

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

// Each is defined in a file of its own, but SendOnly(), which is in memory.cc.
void MeasureFlatness();
void MeasureExpiries();
void MeasureMemory();
void MeasureWakeUp();
void MeasureHops();
void MeasureFeatures();
void SendOnly(std::size_t messages);

inline std::int64_t SteadyNanos() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

inline void Print(const std::string& name, double value, const char* unit) {
  std::printf("measure %s %.4g %s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

// The median of nine runs of measure(), in nanoseconds for each of the `times` that a run does its work.
template <typename Measure>
double MedianNanos(std::size_t times, Measure measure) {
  std::vector<double> runs;
  for (int i = 0; i < 9; ++i) {
    const std::int64_t begin = SteadyNanos();
    measure();
    runs.push_back(static_cast<double>(SteadyNanos() - begin) / static_cast<double>(times));
  }
  std::nth_element(runs.begin(), runs.begin() + 4, runs.end());
  return runs[4];
}

// Requires: `sorted` is sorted and not empty.
inline double Percentile(const std::vector<std::int64_t>& sorted, double share) {
  return static_cast<double>(sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))]);
}

#endif  // DECOUPLE_BENCH_MEASURES_MEASURES_H_
