#include "decouple/internal/base/tick_calibration.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "catch.h"

namespace decouple::testing {
namespace {

using internal::ClockReading;
using internal::LinearFit;
using internal::TickCalibration;

// A counter of 2.5 ticks a nanosecond, and a steady clock. A reading takes 20 ns of each kind; once in `every` readings
// the thread is put aside for `aside` nanoseconds, before or after it reads the steady clock.
class SimulatedClocks {
 public:
  static constexpr std::int64_t kOffset = 1'700'000'000'000'000'000;

  std::int64_t aside = 0;
  int every = 1;
  bool is_before = false;

  auto Reader() {
    return [this] { return Read(); };
  }
  void Pass(std::int64_t nanos) { now_ += nanos; }
  std::uint64_t ticks() const { return static_cast<std::uint64_t>(now_) * 5 / 2 + 1'000'000; }
  std::int64_t steady() const { return now_ + jumped_; }
  // The steady clock stands still for so long, as while the machine is suspended; the counter goes on.
  void Suspend(std::int64_t nanos) {
    now_ += nanos;
    jumped_ -= nanos;
  }

 private:
  ClockReading Read() {
    const bool is_aside = aside > 0 && ++readings_ % every == 0;
    ClockReading reading;
    reading.before = ticks();
    Pass(20 + (is_aside && is_before ? aside : 0));
    reading.steady = steady();
    Pass(20 + (is_aside && !is_before ? aside : 0));
    reading.after = ticks();
    return reading;
  }

  std::int64_t now_ = 1'000'000'000;
  std::int64_t jumped_ = 0;
  int readings_ = 0;
};

// How far the calibration may be from the steady clock, in the next so many fits, and whether it ever ran back.
struct Deviation {
  std::int64_t most = 0;
  bool ran_back = false;
};

Deviation Follow(TickCalibration& calibration, SimulatedClocks& clocks, int fits) {
  Deviation deviation;
  std::int64_t last = 0;
  for (int i = 0; i < fits; ++i) {
    // As a reader does, which may have been put aside behind the fit.
    while (clocks.ticks() - calibration.fit().anchor >= calibration.fit().span) {
      calibration.MakeNextFit(clocks.Reader());
    }
    const LinearFit fit = calibration.fit();
    const auto in_steps = static_cast<std::int64_t>(fit.span) * 2 / 5 / 10;
    for (; clocks.ticks() - fit.anchor < fit.span; clocks.Pass(in_steps + 1)) {
      const std::int64_t now = fit.After(clocks.ticks() - fit.anchor);
      deviation.most = std::max(deviation.most, std::abs(now - clocks.steady() - SimulatedClocks::kOffset));
      deviation.ran_back = deviation.ran_back || now < last;
      last = now;
    }
  }
  return deviation;
}

TEST_CASE("ticks give the steady clock's time to some nanoseconds") {
  SimulatedClocks clocks;
  TickCalibration calibration;
  REQUIRE(calibration.Begin(clocks.Reader(), SimulatedClocks::kOffset));
  const Deviation deviation = Follow(calibration, clocks, 20);
  CHECK(deviation.most < 100);
  CHECK_FALSE(deviation.ran_back);
  CHECK(calibration.fit().span > 2'400'000'000);  // a second
}

TEST_CASE("a thread that is put aside between two reads of a calibration does not move the time") {
  for (const std::int64_t aside : {2'000, 30'000, 1'000'000, 50'000'000, 2'000'000'000}) {
    for (const bool is_before : {false, true}) {
      CAPTURE(aside, is_before);
      SimulatedClocks clocks;
      clocks.aside = aside;
      clocks.every = 3;
      clocks.is_before = is_before;
      TickCalibration calibration;
      REQUIRE(calibration.Begin(clocks.Reader(), SimulatedClocks::kOffset));
      const Deviation deviation = Follow(calibration, clocks, 50);
      CHECK(deviation.most < 100);
      CHECK_FALSE(deviation.ran_back);
    }
  }
}

TEST_CASE("a clock without a single good reading keeps its rate, within the bounds that the readings set") {
  for (const bool is_before : {false, true}) {
    CAPTURE(is_before);
    SimulatedClocks clocks;
    TickCalibration calibration;
    REQUIRE(calibration.Begin(clocks.Reader(), SimulatedClocks::kOffset));
    Follow(calibration, clocks, 10);
    clocks.aside = 50'000'000;
    clocks.is_before = is_before;
    const Deviation deviation = Follow(calibration, clocks, 50);
    CHECK(deviation.most < 1'000);
    CHECK_FALSE(deviation.ran_back);
  }
}

TEST_CASE("a calibration does not begin where no reading is good, or the counter stands still") {
  SimulatedClocks clocks;
  TickCalibration calibration;
  clocks.aside = 50'000'000;
  CHECK_FALSE(calibration.Begin(clocks.Reader(), SimulatedClocks::kOffset));
  std::int64_t steady = 0;
  const auto read = [&] { return ClockReading{.before = 7, .steady = steady += 1'000, .after = 7}; };
  CHECK_FALSE(calibration.Begin(read, SimulatedClocks::kOffset));  // the counter stands still
}

TEST_CASE("a first measurement takes longer where readings are not good, so that its rate is") {
  for (const std::int64_t aside : {900, 9'000}) {
    CAPTURE(aside);
    SimulatedClocks clocks;
    TickCalibration calibration;
    clocks.aside = aside;
    clocks.is_before = true;
    const std::int64_t begin = clocks.steady();
    REQUIRE(calibration.Begin(clocks.Reader(), SimulatedClocks::kOffset));
    CHECK(clocks.steady() - begin >= 400 * aside);
    const double rate = static_cast<double>(calibration.fit().slope) / (1LL << LinearFit::kSlopeBits);
    CHECK(std::abs(rate - 0.4) < 0.4 * 0.006);
  }
}

TEST_CASE("a suspended machine's steady clock stands still, and neither the rate nor the time goes by the counter") {
  SimulatedClocks clocks;
  TickCalibration calibration;
  REQUIRE(calibration.Begin(clocks.Reader(), SimulatedClocks::kOffset));
  Follow(calibration, clocks, 10);
  clocks.Suspend(3'600'000'000'000);
  const Deviation deviation = Follow(calibration, clocks, 20);
  CHECK(deviation.most < 100);
}

TEST_CASE("a rate that has really changed counts once a second calibration confirms it") {
  SimulatedClocks clocks;
  TickCalibration calibration;
  std::uint64_t skipped = 0;  // the counter goes half as fast again from here on
  std::uint64_t faster_from = 0;
  const auto read = [&] {
    ClockReading reading = clocks.Reader()();
    if (faster_from == 0) return reading;
    skipped = (reading.before - faster_from) / 2;
    reading.before += skipped;
    reading.after += skipped;
    return reading;
  };
  REQUIRE(calibration.Begin(read, SimulatedClocks::kOffset));
  for (int i = 0; i < 5; ++i) {
    clocks.Pass(1'000'000'000);
    calibration.MakeNextFit(read);
  }
  faster_from = clocks.ticks();
  clocks.Pass(1'000'000'000);
  calibration.MakeNextFit(read);
  CHECK(calibration.fit().span < 10'000'000);  // not taken yet: it is looked at again soon
  for (int i = 0; i < 5; ++i) {
    clocks.Pass(1'000'000'000);
    calibration.MakeNextFit(read);
  }
  const double rate = static_cast<double>(calibration.fit().slope) / (1LL << LinearFit::kSlopeBits);
  CHECK(std::abs(rate - 0.4 / 1.5) < 0.0001);
}

}  // namespace
}  // namespace decouple::testing
