// The system clock's timeline in nanoseconds since the Unix epoch: steady (it never runs back, also when the wall clock
// is set), anchored to wall time once when the process starts.
//
// Reading time is the largest single cost of a send or a receive, so three sources were measured side by side (AMD
// EPYC, Linux 6.18, KVM; nanoseconds a read; bench/clock_bench.cc repeats it):
//
//   steady_clock (clock_gettime)    23.5
//   CLOCK_MONOTONIC_COARSE           4.9   but steps by 4 ms: coarser than the 1 ms that timestamps need
//   calibrated TSC                   9.6   with the line below
//   the same after an lfence        21.6
//
// So the processor's counter is used where the kernel itself trusts it (clock source "tsc", which implies that it is
// invariant and the same on all cores), and steady_clock elsewhere. The processor may read the counter before loads
// that stand before it in the program. So Now() puts a fence in between, and never runs back, whichever thread compares
// with what it heard from another. The queues themselves use NowUnordered(): it never runs back on one thread, and lags
// behind what was heard from others by some ten nanoseconds at most, which no timestamp or timeout needs.
//
// Time is a line through an anchor:
//
//   nanos = anchor.nanos + (ticks − anchor.ticks) × slope
//
// A line serves for about a second. The first reader past that draws the next one, from steady_clock: it starts where
// the old one could have ended at most, so time never runs back, and its slope is the one measured over the last span,
// less what brings it back to steady_clock within the next. The error stays below a microsecond.

#ifndef DECOUPLE_INTERNAL_TICK_TIMELINE_H_
#define DECOUPLE_INTERNAL_TICK_TIMELINE_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <mutex>
#include <string>

#include "absl/numeric/int128.h"
#include "decouple/internal/thread_record.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace decouple::internal {

class TickTimeline {
 public:
  // Nanoseconds since the Unix epoch.
  static std::int64_t Now() { return Instance().Read(OrderedTicks); }
  static std::int64_t NowUnordered() { return Instance().Read(Ticks); }

  static std::int64_t SteadyNow() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

 private:
  static constexpr int kSlopeBits = 32;  // the slope is in nanoseconds a tick, times 2^32

  TickTimeline() {
    const std::int64_t wall =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    wall_minus_steady_ = wall - SteadyNow();
    if (TicksAreTrusted()) Calibrate();
  }

  static TickTimeline& Instance() {
    static TickTimeline timeline;
    return timeline;
  }

#if defined(__x86_64__)
  static std::uint64_t Ticks() { return __rdtsc(); }
  static std::uint64_t OrderedTicks() {
    _mm_lfence();
    return __rdtsc();
  }
#else
  static std::uint64_t Ticks() { return 0; }
  static std::uint64_t OrderedTicks() { return 0; }
#endif

  static bool TicksAreTrusted() {
#if defined(__x86_64__) && defined(__linux__)
    std::ifstream file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    std::string source;
    return std::getline(file, source) && source == "tsc";
#else
    return false;
#endif
  }

  static std::uint64_t Slope(std::int64_t nanos, std::uint64_t ticks) {
    return absl::Uint128Low64((absl::uint128(nanos) << kSlopeBits) / ticks);
  }

  static std::int64_t Along(std::uint64_t ticks, std::uint64_t slope) {
    return static_cast<std::int64_t>(absl::Uint128Low64((absl::uint128(ticks) * slope) >> kSlopeBits));
  }

  // A first slope from 200 microseconds, good to some 100 ppm, and so used for 2 ms only; each span is longer then.
  void Calibrate() {
    const std::int64_t steady = SteadyNow();
    const std::uint64_t ticks = Ticks();
    while (SteadyNow() - steady < 200'000) Relax();
    const std::int64_t nanos = SteadyNow() - steady;
    const std::uint64_t passed = Ticks() - ticks;
    if (passed == 0) return;
    measured_steady_ = steady;
    measured_ticks_ = ticks;
    anchor_nanos_.store(steady, std::memory_order_relaxed);
    anchor_ticks_.store(ticks, std::memory_order_relaxed);
    slope_.store(Slope(nanos, passed), std::memory_order_relaxed);
    span_.store(passed * 10, std::memory_order_relaxed);
  }

  template <typename ReadTicks>
  std::int64_t Read(ReadTicks read_ticks) {
    for (;;) {
      // A sequence lock over the four words of the line: odd while it is drawn. The acquire and the fence keep the
      // words between the two reads of the version; they are atomics, so a torn line is read but never used.
      const std::uint32_t version = version_.load(std::memory_order_acquire);
      const std::uint64_t anchor_ticks = anchor_ticks_.load(std::memory_order_relaxed);
      const std::int64_t anchor_nanos = anchor_nanos_.load(std::memory_order_relaxed);
      const std::uint64_t slope = slope_.load(std::memory_order_relaxed);
      const std::uint64_t span = span_.load(std::memory_order_relaxed);
      if (span == 0) return SteadyNow() + wall_minus_steady_;
      // A tick count just before the anchor, read on a core that lags a little, counts as the anchor itself.
      const std::uint64_t now = read_ticks();
      const std::uint64_t passed = now > anchor_ticks ? now - anchor_ticks : 0;
      std::atomic_thread_fence(std::memory_order_acquire);
      if ((version & 1) != 0 || version_.load(std::memory_order_relaxed) != version) {
        Relax();
        continue;
      }
      if (passed < span) [[likely]]
        return anchor_nanos + Along(passed, slope) + wall_minus_steady_;
      DrawNextLine(version);
    }
  }

  void DrawNextLine(std::uint32_t version) {
    const std::lock_guard lock(drawing_);
    if (version_.load(std::memory_order_relaxed) != version) return;  // somebody else has drawn it
    const std::uint64_t anchor_ticks = anchor_ticks_.load(std::memory_order_relaxed);
    const std::uint64_t span = span_.load(std::memory_order_relaxed);
    const std::uint64_t old_slope = slope_.load(std::memory_order_relaxed);
    const std::int64_t latest_given = anchor_nanos_.load(std::memory_order_relaxed) + Along(span, old_slope);

    const std::int64_t steady = SteadyNow();
    const std::uint64_t ticks = Ticks();
    const std::uint64_t passed = ticks > measured_ticks_ ? ticks - measured_ticks_ : 0;
    std::uint64_t slope = passed == 0 ? old_slope : Slope(steady - measured_steady_, passed);
    if (ticks < anchor_ticks) slope = old_slope;  // the counter was reset: keep the rate, start anew from here
    const std::uint64_t next_span = std::min(span * 4, Slope(1'000'000'000, 1) / std::max<std::uint64_t>(slope, 1));
    const std::int64_t start = std::max(steady, latest_given);
    const std::int64_t ahead = std::min(start - steady, Along(next_span, slope) / 2);
    slope -= Slope(ahead, std::max<std::uint64_t>(next_span, 1));

    measured_steady_ = steady;
    measured_ticks_ = ticks;
    version_.store(version + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);  // the odd version is seen before any word of the new line
    anchor_nanos_.store(start, std::memory_order_relaxed);
    anchor_ticks_.store(ticks, std::memory_order_relaxed);
    slope_.store(slope, std::memory_order_relaxed);
    span_.store(std::max<std::uint64_t>(next_span, 1), std::memory_order_relaxed);
    version_.store(version + 2, std::memory_order_release);  // pairs with the acquire in Read()
  }

  // Read by everybody, written once a second.
  alignas(kCacheLine) std::atomic<std::uint32_t> version_{0};
  std::atomic<std::uint64_t> anchor_ticks_{0};
  std::atomic<std::int64_t> anchor_nanos_{0};
  std::atomic<std::uint64_t> slope_{0};
  std::atomic<std::uint64_t> span_{0};  // in ticks; 0 where ticks are not trusted
  std::int64_t wall_minus_steady_ = 0;

  std::mutex drawing_;
  std::int64_t measured_steady_ = 0;
  std::uint64_t measured_ticks_ = 0;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TICK_TIMELINE_H_
