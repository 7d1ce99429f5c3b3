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
// Between two calibrations, time is a linear function of the counter (tick_calibration.h). The first reader past the
// end of a fit makes the next one, from steady_clock.
//
// What holds. Against steady_clock, the error is below a microsecond while the rates of the two stay what they are.
// However threads are put aside, it stays within some hundred microseconds, and 1 ms is what is promised. A thread that
// is put aside while it reads gets the time at which it began, as with any clock.
//
// Each thread reads from a copy of the fit, so a read is the counter, one compare and one multiplication, which cost no
// more than the counter itself. A fit is a function of the ticks of its own span alone, so threads with copies of
// different fits agree.

#ifndef DECOUPLE_INTERNAL_BASE_TSC_CLOCK_H_
#define DECOUPLE_INTERNAL_BASE_TSC_CLOCK_H_

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/cancellation_guard.h"
#include "decouple/internal/base/module_layout.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/base/process_state.h"
#include "decouple/internal/base/tick_calibration.h"
#include "decouple/internal/base/time_math.h"

namespace decouple::inline v0_1::internal {

// There is one in the process, as the timelines of two would differ by all that the wall clock was set meanwhile.
class DECOUPLE_INTERNAL_LAYOUT_TAG TscClock {
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
    const CancellationGuard guard;  // the file below is read by functions that are cancellation points
    wall_minus_steady_ = ReadWallMinusSteady();
    ticks_are_trusted_ = TicksAreTrusted() && BeginCalibration();
    Process().HoldDuringFork(mutex_);  // it keeps a reference: only once nothing can fail any more
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

  static ClockReading ReadClocks() {
    ClockReading reading;
    reading.before = OrderedTicks();
    reading.steady = SteadyNow();
    reading.after = OrderedTicks();
    return reading;
  }

  // Both clocks as of one time: the wall clock is read between two reads of the steady one, until these are close. The
  // timeline is ahead of the wall clock by their distance rather than behind, so that a time that was read from the
  // wall clock has passed on it.
  static std::int64_t ReadWallMinusSteady() {
    std::int64_t narrowest = kForever;
    std::int64_t difference = 0;
    for (int i = 0; i < 8 && narrowest > TickCalibration::kGoodSpread; ++i) {
      const std::int64_t before = SteadyNow();
      const std::int64_t wall =
          std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count();
      const std::int64_t spread = SteadyNow() - before;
      if (spread >= narrowest) continue;
      narrowest = spread;
      difference = wall - before;
    }
    return difference;
  }

  // Called by the constructor alone, which needs no lock.
  bool BeginCalibration() ABSL_NO_THREAD_SAFETY_ANALYSIS { return calibration_.Begin(&ReadClocks, wall_minus_steady_); }

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
    // The thread may be put aside right after it has made a fit, until this has ended, too.
    for (int i = 0; i < 16; ++i) {
      local_fit = calibration_.fit();
      const std::uint64_t passed = Ticks() - local_fit.anchor;
      if (passed < local_fit.span) return local_fit.After(passed);
      // A core may lag a little behind the one that made the fit, and reads the anchor's time then. One that is more
      // than a span behind shows that the counter was reset.
      if (static_cast<std::int64_t>(passed) < 0 && -passed <= local_fit.span) break;
      calibration_.MakeNextFit(&ReadClocks);
    }
    return local_fit.nanos;
  }

  // The calling thread's copy of the fit.
  static inline constinit thread_local LinearFit local_fit_{};

  // Constant from the constructor on.
  bool ticks_are_trusted_ = false;
  std::int64_t wall_minus_steady_ = 0;

  Mutex mutex_;
  TickCalibration calibration_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_TSC_CLOCK_H_
