// What tells a stream from every other, of the same name and options, too: a part of its records' sequence numbers.

#ifndef DECOUPLE_INTERNAL_STREAM_STREAM_INCARNATION_H_
#define DECOUPLE_INTERNAL_STREAM_STREAM_INCARNATION_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "decouple/clock.h"
#include "decouple/internal/base/identity.h"
#include "decouple/internal/base/mix.h"
#include "decouple/internal/base/process.h"

namespace decouple::inline v0_1::internal {

// How many incarnations there are: what a SequenceNumber has room for. 0 is none.
inline constexpr std::uint64_t kIncarnations = std::uint64_t{1} << 40;

// Returns a new stream's incarnation. On the system clock (null) it is drawn at random. On another clock it follows
// from the clock's time, the name and how many streams the process has created so far: so a program that is run again
// on a manual clock gets the same numbers.
inline std::uint64_t NextIncarnation(Clock* clock_or_null, std::string_view name) {
  const std::uint64_t stream =
      Process().streams.fetch_add(1, std::memory_order_relaxed);  // relaxed: it has only to be unique
  std::uint64_t seed = 0;
  if (clock_or_null != nullptr) seed = Mix(Mix(static_cast<std::uint64_t>(clock_or_null->NowNanos())) ^ stream) | 1;
  return IdentityOf(seed, name) % (kIncarnations - 1) + 1;
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_STREAM_INCARNATION_H_
