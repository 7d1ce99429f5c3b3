// What reading time costs, source by source: the figures of internal/tick_timeline.h.

#include <benchmark/benchmark.h>

#include <chrono>
#include <ctime>

#include "decouple/clock.h"

namespace {

template <typename Read>
void Time(benchmark::State& state, Read read) {
  for (auto _ : state) benchmark::DoNotOptimize(read());
}

std::int64_t ReadClock(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

BENCHMARK_CAPTURE(Time, steady_clock, [] { return std::chrono::steady_clock::now(); });
#if defined(CLOCK_MONOTONIC_COARSE)
BENCHMARK_CAPTURE(Time, coarse_clock, [] { return ReadClock(CLOCK_MONOTONIC_COARSE); });
#endif
BENCHMARK_CAPTURE(Time, system_clock_of_decouple, [] { return decouple::SystemClock::Instance().NowNanos(); });
BENCHMARK_CAPTURE(Time, as_queues_read_it, [] { return decouple::internal::NowNanos(nullptr); });

}  // namespace

BENCHMARK_MAIN();
