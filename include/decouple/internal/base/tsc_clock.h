// The system clock in nanoseconds since the Unix epoch: steady (it never runs back, even if the wall clock is set), and
// anchored to wall time once, when the process starts.
//
// Source. Reading time is the largest single cost of a send or a receive. The processor's time stamp counter (TSC) is
// the cheapest source that is fine enough for timestamps of 1 ms (exp. 5; bench/clock_bench.cc repeats it). It is used
// where the kernel itself trusts it (clock source "tsc", which implies that it is invariant and the same on all cores),
// and steady_clock elsewhere.
//
// Ordering. The processor may read the counter before earlier loads of the program. So Now() fences first: it never
// runs back, even against a time that another thread has passed on. The queues use NowUnordered(): it never runs back
// on one thread, and lags behind a time that another thread has passed on by some ten nanoseconds at most, which
// matters to no timestamp or timeout.
//
// Linear fit. Between two calibrations, time is a linear function of the counter:
//
//   nanos = anchor.nanos + (ticks − anchor.ticks) × slope
//
// A fit is valid for about a second. The first reader past its end makes the next one, from steady_clock: it starts at
// the latest time that the old one can have given, so time never runs back, and its slope is the one measured over the
// last span, less what brings it back to steady_clock within the next. The error stays below a microsecond.
//
// Each thread reads from a copy of the fit, so a read is the counter, one compare and one multiplication, which cost no
// more than the counter itself. A fit is a function of the ticks of its own span alone, so threads with copies of
// different fits agree.

#ifndef DECOUPLE_INTERNAL_BASE_TSC_CLOCK_H_
#define DECOUPLE_INTERNAL_BASE_TSC_CLOCK_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/numeric/int128.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/base/process_state.h"

namespace decouple::inline v0_1::internal {

// Valid for ticks from `anchor` to `anchor + span`.
struct LinearFit {
  static constexpr int kSlopeBits = 32;  // the slope is in nanoseconds a tick, times 2^32

  std::uint64_t anchor = 0;
  std::uint64_t span = 0;  // at most a second, which is 2^30 nanoseconds, so products fit; 0: there is no fit
  std::int64_t nanos = 0;  // at the anchor, since the Unix epoch
  std::uint64_t slope = 0;

  // The time so many ticks after the anchor.
  std::int64_t After(std::uint64_t ticks) const {
    DECOUPLE_ASSERT(ticks <= span);
    return nanos + static_cast<std::int64_t>((ticks * slope) >> kSlopeBits);
  }
};

// There is one in the process, as the timelines of two would differ by all that the wall clock was set meanwhile.
class TscClock {
 public:
  // Nanoseconds since the Unix epoch.
  static std::int64_t Now() { return Read<OrderedTicks>(); }
  [[gnu::always_inline]] static std::int64_t NowUnordered() { return Read<Ticks>(); }
  // Same as NowUnordered(), but false if the calling thread has no valid fit.
  [[gnu::always_inline]] static bool TryNowUnordered(std::int64_t& now) { return TryRead<Ticks>(now); }

  static std::int64_t SteadyNow() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

 private:
  TscClock() {
    Process().HoldDuringFork(mutex_);
    const std::int64_t wall =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    wall_minus_steady_ = wall - SteadyNow();
    if (TicksAreTrusted()) Calibrate();
  }

  friend struct ProcessState;
  static TscClock& Instance() {
    ProcessState& process = Process();
    return process.GetOrCreate(process.tsc_clock);
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
    std::FILE* const file = std::fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
    if (file == nullptr) return false;
    char source[16] = {};  // not std::ifstream: <fstream> is large, and would be in every file that includes a queue
    const bool is_read = std::fgets(source, sizeof(source), file) != nullptr;
    std::fclose(file);
    return is_read && std::string_view(source) == "tsc\n";
#else
    return false;
#endif
  }

  static std::uint64_t Slope(std::int64_t nanos, std::uint64_t ticks) {
    return absl::Uint128Low64((absl::uint128(nanos) << LinearFit::kSlopeBits) / ticks);
  }

  // Measures a first slope for 200 microseconds, good to some 100 ppm, and so used for 2 ms only; spans grow from
  // there. Called by the constructor alone, which needs no lock.
  void Calibrate() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::int64_t steady = SteadyNow();
    const std::uint64_t ticks = Ticks();
    while (SteadyNow() - steady < 200'000) Relax();
    const std::int64_t nanos = SteadyNow() - steady;
    const std::uint64_t passed = Ticks() - ticks;
    if (passed == 0) return;
    ticks_are_trusted_ = true;
    measured_steady_ = steady;
    measured_ticks_ = ticks;
    fit_ = {.anchor = ticks, .span = passed * 10, .nanos = steady + wall_minus_steady_, .slope = Slope(nanos, passed)};
  }

  template <std::uint64_t (*ReadTicks)()>
  [[gnu::always_inline]] static std::int64_t Read() {
    std::int64_t now = 0;
    if (TryRead<ReadTicks>(now)) [[likely]]
      return now;
    return ReadSlow();
  }

  template <std::uint64_t (*ReadTicks)()>
  [[gnu::always_inline]] static bool TryRead(std::int64_t& now) {
    const std::uint64_t passed = ReadTicks() - local_fit_.anchor;
    if (passed >= local_fit_.span) [[unlikely]]
      return false;
    now = local_fit_.After(passed);
    return true;
  }

  // Slow path: the thread has no fit, or the counter is past its end or a little before its anchor.
  [[gnu::noinline]] static std::int64_t ReadSlow() { return Instance().ReadSlow(local_fit_); }

  std::int64_t ReadSlow(LinearFit& local_fit) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!ticks_are_trusted_) return SteadyNow() + wall_minus_steady_;
    const MutexLock lock(mutex_);
    const std::uint64_t ticks = Ticks();
    // A core may lag a little behind the one that made the fit, and reads the anchor's time then. One that is more than
    // a span behind shows that the counter was reset.
    const bool is_before = static_cast<std::int64_t>(ticks - fit_.anchor) < 0;
    if (is_before ? fit_.anchor - ticks > fit_.span : ticks - fit_.anchor >= fit_.span) MakeNextFit();
    local_fit = fit_;
    const std::uint64_t passed = Ticks() - local_fit.anchor;
    return local_fit.After(passed < local_fit.span ? passed : 0);
  }

  void MakeNextFit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::int64_t latest_given = fit_.After(fit_.span);
    const std::int64_t steady = SteadyNow();
    const std::uint64_t ticks = Ticks();
    const std::uint64_t passed = ticks > measured_ticks_ ? ticks - measured_ticks_ : 0;
    std::uint64_t slope = passed == 0 ? fit_.slope : Slope(steady - measured_steady_, passed);
    if (ticks < fit_.anchor) slope = fit_.slope;  // the counter was reset: keep the rate, start again from here
    const std::uint64_t second = Slope(1'000'000'000, 1) / std::max<std::uint64_t>(slope, 1);
    const std::uint64_t span = std::max<std::uint64_t>(1, std::min(fit_.span * 4, second));
    const std::int64_t start = std::max(steady + wall_minus_steady_, latest_given);
    const auto in_span = static_cast<std::int64_t>((span * slope) >> LinearFit::kSlopeBits);
    const std::int64_t ahead = std::min(start - steady - wall_minus_steady_, in_span / 2);
    fit_ = {.anchor = ticks, .span = span, .nanos = start, .slope = slope - Slope(ahead, span)};
    measured_steady_ = steady;
    measured_ticks_ = ticks;
  }

  // The calling thread's copy of fit_.
  static inline constinit thread_local LinearFit local_fit_{};

  // Constant from the constructor on.
  bool ticks_are_trusted_ = false;
  std::int64_t wall_minus_steady_ = 0;

  Mutex mutex_;
  LinearFit fit_ ABSL_GUARDED_BY(mutex_);
  // steady_clock and the counter when the fit was made.
  std::int64_t measured_steady_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t measured_ticks_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_TSC_CLOCK_H_
