// How ticks of a counter become nanoseconds, as measured against the steady clock.
//
// Between two calibrations, time is a linear function of the counter:
//
//   nanos = anchor.nanos + (ticks − anchor.ticks) × slope
//
// A fit is valid for about a second. The next one starts at the latest time that the old one can have given, so time
// never runs back, and its slope is the one measured over the last span, less what brings it back to the steady clock
// within the next.
//
// A thread may be put aside at any instruction (preempted, throttled, stopped by a debugger or with its virtual
// machine), so that of two reads that follow each other the second may be seconds late. So the steady clock is read
// between two reads of the counter. Their distance, the spread, bounds how wrong the reading is: it is repeated until
// the spread is good. If none of some readings is, the narrowest still says between which ticks it was that time. Then
// the old rate goes on, moved just as far as that needs, and the next calibration comes soon. A rate that differs by
// much from the last one counts only when the next calibration confirms it: the counter or the steady clock has jumped.

#ifndef DECOUPLE_INTERNAL_BASE_TICK_CALIBRATION_H_
#define DECOUPLE_INTERNAL_BASE_TICK_CALIBRATION_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/numeric/int128.h"
#include "decouple/internal/base/assert.h"

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

// The steady clock, in nanoseconds, as it was read at some time between two reads of the counter.
struct ClockReading {
  std::uint64_t before = 0;
  std::int64_t steady = 0;
  std::uint64_t after = 0;

  std::uint64_t spread() const { return after > before ? after - before : 0; }
  std::uint64_t middle() const { return before + spread() / 2; }
};

// Must be used by one thread at a time. `read` makes a ClockReading.
class TickCalibration {
 public:
  // A spread up to which a reading is taken at once, and one beyond which it is only a bound.
  static constexpr std::int64_t kGoodSpread = 1'000;
  static constexpr std::int64_t kWidestSpread = 20'000;

  // Measures a first slope, good to half a percent or better, and so used for 2 ms only; spans grow from there. Takes
  // 200 microseconds, longer if the readings are not good. False: the counter stands still, or there was no reading
  // that would do. `offset` is what is added to the steady clock.
  template <typename Read>
  bool Begin(Read read, std::int64_t offset) {
    offset_ = offset;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const ClockReading first = ReadNarrowest(read, 0, kNoLimit);
      ClockReading last;
      std::uint64_t rate = 0;
      std::int64_t spread = 0;
      for (std::int64_t measured = kFirstMeasurement;; measured = kSpreadsPerMeasurement * spread) {
        while (read().steady - first.steady < measured) continue;
        last = ReadNarrowest(read, 0, kNoLimit);
        if (last.middle() <= first.middle()) return false;
        rate = Slope(last.steady - first.steady, last.middle() - first.middle());
        spread = NanosIn(first.spread() + last.spread(), rate);
        if (spread > kWidestSpread || last.steady - first.steady >= kSpreadsPerMeasurement * spread) break;
      }
      if (spread > kWidestSpread) continue;
      rate_ = rate;
      measured_ = first;
      fit_ = {.anchor = last.middle(), .span = TicksIn(kFirstSpan), .nanos = last.steady + offset_, .slope = rate};
      return true;
    }
    return false;
  }

  const LinearFit& fit() const { return fit_; }

  // Requires: Begin() has returned true, and the counter is past the end of fit() or was reset.
  template <typename Read>
  void MakeNextFit(Read read) {
    const ClockReading reading = ReadNarrowest(read, TicksIn(kGoodSpread), TicksIn(kLongestSearch));
    const bool was_reset = static_cast<std::int64_t>(reading.middle() - measured_.middle()) <= 0;
    std::uint64_t span = TicksIn(kFirstSpan);
    std::int64_t steady = reading.steady;
    if (was_reset) {  // the rate stays, and measuring starts again from here
      measured_ = reading;
    } else if (NanosIn(reading.spread(), rate_) <= kWidestSpread) {
      const std::uint64_t rate = Slope(steady - measured_.steady, reading.middle() - measured_.middle());
      if (TryTakeRate(rate)) span = std::min(fit_.span * 4, TicksIn(kLongestSpan));
      measured_ = reading;
    } else {
      steady = BoundedBy(reading);
    }
    // From the last reading on, which may be the end of a long search.
    const std::uint64_t begin = std::max(last_read_, reading.middle());
    Continue(begin, steady + NanosIn(begin - reading.middle(), rate_) + offset_, span);
  }

 private:
  static constexpr int kAttempts = 5;
  static constexpr int kReadings = 8;
  static constexpr std::int64_t kFirstMeasurement = 200'000;
  static constexpr std::int64_t kSpreadsPerMeasurement = 200;  // so the first rate is good to half a percent
  static constexpr std::int64_t kFirstSpan = 2'000'000;
  static constexpr std::int64_t kLongestSpan = 1'000'000'000;
  static constexpr std::int64_t kLongestSearch = 10'000'000;
  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::uint64_t kLargestChange = 32;  // a rate may differ by this part of it from the last one

  // The narrowest of some readings: the first that has a good spread, if one has, in a search of at most so many ticks.
  template <typename Read>
  ClockReading ReadNarrowest(Read& read, std::uint64_t good, std::uint64_t longest) {
    ClockReading narrowest = read();
    const std::uint64_t begin = narrowest.before;
    last_read_ = narrowest.after;
    for (int i = 1; i < kReadings && narrowest.spread() > good && last_read_ - begin < longest; ++i) {
      const ClockReading next = read();
      last_read_ = next.after;
      if (next.spread() < narrowest.spread()) narrowest = next;
    }
    return narrowest;
  }

  static std::uint64_t Slope(std::int64_t nanos, std::uint64_t ticks) {
    if (nanos <= 0) return 0;
    return absl::Uint128Low64((absl::uint128(static_cast<std::uint64_t>(nanos)) << LinearFit::kSlopeBits) / ticks);
  }
  static std::int64_t NanosIn(std::uint64_t ticks, std::uint64_t slope) {
    return static_cast<std::int64_t>(absl::Uint128Low64((absl::uint128(ticks) * slope) >> LinearFit::kSlopeBits));
  }
  // At least one.
  std::uint64_t TicksIn(std::int64_t nanos) const {
    const absl::uint128 scaled = absl::uint128(static_cast<std::uint64_t>(nanos)) << LinearFit::kSlopeBits;
    return std::max<std::uint64_t>(1, absl::Uint128Low64(scaled / std::max<std::uint64_t>(rate_, 1)));
  }

  static bool IsNear(std::uint64_t rate, std::uint64_t other) {
    return (rate > other ? rate - other : other - rate) <= other / kLargestChange;
  }

  // False: it differs by much from the last one.
  bool TryTakeRate(std::uint64_t rate) {
    const bool is_taken = IsNear(rate, rate_) || (rate != 0 && IsNear(rate, doubtful_rate_));
    doubtful_rate_ = is_taken ? 0 : rate;
    if (is_taken) rate_ = rate;
    return is_taken;
  }

  // The steady clock's time in the middle of a reading, by the last rate, and within the bounds that the reading sets.
  std::int64_t BoundedBy(const ClockReading& reading) const {
    const auto by_rate = [&](std::uint64_t ticks) {
      return measured_.steady + NanosIn(ticks - measured_.middle(), rate_);
    };
    std::int64_t moved = 0;
    if (by_rate(reading.after) < reading.steady) moved = reading.steady - by_rate(reading.after);
    if (reading.before > measured_.middle() && by_rate(reading.before) > reading.steady) {
      moved = reading.steady - by_rate(reading.before);
    }
    return by_rate(reading.middle()) + moved;
  }

  // The next fit begins at `ticks`, where the time is `nanos`, but not before anything that was given.
  void Continue(std::uint64_t ticks, std::int64_t nanos, std::uint64_t span) {
    const std::int64_t start = std::max(nanos, fit_.After(fit_.span));
    const std::int64_t ahead = std::min(start - nanos, NanosIn(span, rate_) / 2);
    fit_ = {.anchor = ticks, .span = span, .nanos = start, .slope = rate_ - Slope(ahead, span)};
  }

  std::int64_t offset_ = 0;
  std::uint64_t rate_ = 0;           // as a slope
  std::uint64_t doubtful_rate_ = 0;  // measured last, and not taken; 0: it was taken
  std::uint64_t last_read_ = 0;      // the counter at the end of the last reading
  ClockReading measured_;            // where the next measurement of the rate begins
  LinearFit fit_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_TICK_CALIBRATION_H_
