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
//
// Each thread reads along a copy of the line, so a read is the counter, one compare and one multiplication; it costs no
// more than the counter itself, which other work overlaps. A line is a function of the ticks of its span alone, so two
// threads with copies of two lines agree.

#ifndef DECOUPLE_INTERNAL_BASE_TSC_CLOCK_H_
#define DECOUPLE_INTERNAL_BASE_TSC_CLOCK_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <mutex>
#include <string>

#include "absl/numeric/int128.h"
#include "decouple/internal/base/cache_line.h"

namespace decouple::internal {

// Serves for ticks from `anchor` to `anchor + span`.
struct LinearFit {
  static constexpr int kSlopeBits = 32;  // the slope is in nanoseconds a tick, times 2^32

  std::uint64_t anchor = 0;
  std::uint64_t span = 0;  // at most a second, which is 2^30 nanoseconds, so products fit; 0: there is no line
  std::int64_t nanos = 0;  // at the anchor, since the Unix epoch
  std::uint64_t slope = 0;

  std::int64_t After(std::uint64_t ticks) const {
    return nanos + static_cast<std::int64_t>((ticks * slope) >> kSlopeBits);
  }
};

class TscClock {
 public:
  // Nanoseconds since the Unix epoch.
  static std::int64_t Now() { return Read<OrderedTicks>(); }
  [[gnu::always_inline]] static std::int64_t NowUnordered() { return Read<Ticks>(); }
  // The same if the thread has a line, else false.
  [[gnu::always_inline]] static bool TryNowUnordered(std::int64_t& now) { return TryRead<Ticks>(now); }

  static std::int64_t SteadyNow() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

 private:
  TscClock() {
    const std::int64_t wall =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    wall_minus_steady_ = wall - SteadyNow();
    if (TicksAreTrusted()) Calibrate();
  }

  static TscClock& Instance() {
    static TscClock timeline;
    return timeline;
  }

#if defined(__x86_64__)
  static std::uint64_t Ticks() { return __builtin_ia32_rdtsc(); }
  static std::uint64_t OrderedTicks() {
    __builtin_ia32_lfence();
    return __builtin_ia32_rdtsc();
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
    return absl::Uint128Low64((absl::uint128(nanos) << LinearFit::kSlopeBits) / ticks);
  }

  // A first slope from 200 microseconds, good to some 100 ppm, and so used for 2 ms only; each span is longer then.
  void Calibrate() {
    const std::int64_t steady = SteadyNow();
    const std::uint64_t ticks = Ticks();
    while (SteadyNow() - steady < 200'000) Relax();
    const std::int64_t nanos = SteadyNow() - steady;
    const std::uint64_t passed = Ticks() - ticks;
    if (passed == 0) return;
    ticks_are_trusted_ = true;
    measured_steady_ = steady;
    measured_ticks_ = ticks;
    redelivery_lane_ = {
        .anchor = ticks, .span = passed * 10, .nanos = steady + wall_minus_steady_, .slope = Slope(nanos, passed)};
  }

  template <std::uint64_t (*ReadTicks)()>
  [[gnu::always_inline]] static std::int64_t Read() {
    std::int64_t now = 0;
    if (TryRead<ReadTicks>(now)) [[likely]]
      return now;
    return ReadAgain();
  }

  template <std::uint64_t (*ReadTicks)()>
  [[gnu::always_inline]] static bool TryRead(std::int64_t& now) {
    const std::uint64_t passed = ReadTicks() - local_.anchor;
    if (passed >= local_.span) [[unlikely]]
      return false;
    now = local_.After(passed);
    return true;
  }

  // Past the end of the thread's line, or a little before its beginning, or without one.
  [[gnu::noinline]] static std::int64_t ReadAgain() { return Instance().ReadAgain(local_); }

  std::int64_t ReadAgain(LinearFit& local) {
    if (!ticks_are_trusted_) return SteadyNow() + wall_minus_steady_;
    const std::lock_guard lock(mutex_);
    const std::uint64_t ticks = Ticks();
    // A core may lag a little behind the one that drew the line: that is its anchor still. Far behind: it was reset.
    const bool is_before = static_cast<std::int64_t>(ticks - redelivery_lane_.anchor) < 0;
    if (is_before ? redelivery_lane_.anchor - ticks > redelivery_lane_.span
                  : ticks - redelivery_lane_.anchor >= redelivery_lane_.span)
      DrawNextLine();
    local = redelivery_lane_;
    const std::uint64_t passed = Ticks() - local.anchor;
    return local.After(passed < local.span ? passed : 0);
  }

  // Under the mutex.
  void DrawNextLine() {
    const std::int64_t latest_given = redelivery_lane_.After(redelivery_lane_.span);
    const std::int64_t steady = SteadyNow();
    const std::uint64_t ticks = Ticks();
    const std::uint64_t passed = ticks > measured_ticks_ ? ticks - measured_ticks_ : 0;
    std::uint64_t slope = passed == 0 ? redelivery_lane_.slope : Slope(steady - measured_steady_, passed);
    if (ticks < redelivery_lane_.anchor)
      slope = redelivery_lane_.slope;  // the counter was reset: keep the rate, start anew from here
    const std::uint64_t second = Slope(1'000'000'000, 1) / std::max<std::uint64_t>(slope, 1);
    const std::uint64_t span = std::max<std::uint64_t>(1, std::min(redelivery_lane_.span * 4, second));
    const std::int64_t start = std::max(steady + wall_minus_steady_, latest_given);
    const auto in_span = static_cast<std::int64_t>((span * slope) >> LinearFit::kSlopeBits);
    const std::int64_t ahead = std::min(start - steady - wall_minus_steady_, in_span / 2);
    redelivery_lane_ = {.anchor = ticks, .span = span, .nanos = start, .slope = slope - Slope(ahead, span)};
    measured_steady_ = steady;
    measured_ticks_ = ticks;
  }

  static inline constinit thread_local LinearFit local_{};

  // Both as they were when the process started.
  bool ticks_are_trusted_ = false;
  std::int64_t wall_minus_steady_ = 0;

  std::mutex mutex_;
  // All below: under the mutex.
  LinearFit redelivery_lane_;
  std::int64_t measured_steady_ = 0;
  std::uint64_t measured_ticks_ = 0;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_TSC_CLOCK_H_
