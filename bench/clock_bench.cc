// The cost of reading the time, by source: see internal/base/tsc_clock.h.

#include <chrono>
#include <cstdint>
#include <ctime>

#include "benchmarks.h"
#include "decouple/clock.h"

namespace {

template <auto read>
void Time(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(read());
  CountMessages(state, 1);
}

std::int64_t SteadyClock() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
std::int64_t SystemClockOfDecouple() { return decouple::SystemClock::Instance().NowNanos(); }
std::int64_t AsQueuesReadIt() { return decouple::internal::NowNanos(nullptr); }
#if defined(CLOCK_MONOTONIC_COARSE)
std::int64_t CoarseClock() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}
#endif

}  // namespace

void RegisterClocks() {
  Add("clock", "steady_clock", Time<SteadyClock>);
#if defined(CLOCK_MONOTONIC_COARSE)
  Add("clock", "coarse", Time<CoarseClock>);
#endif
  Add("clock", "decouple", Time<SystemClockOfDecouple>);
  Add("clock", "decouple_in_queues", Time<AsQueuesReadIt>);
}
