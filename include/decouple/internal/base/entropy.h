// Random numbers from the system.

#ifndef DECOUPLE_INTERNAL_BASE_ENTROPY_H_
#define DECOUPLE_INTERNAL_BASE_ENTROPY_H_

#include <cstdint>

#if defined(__linux__)
#include <unistd.h>
#else
#include <random>
#endif

#include "decouple/internal/base/mix.h"

namespace decouple::inline v0_1::internal {

// A random number, drawn anew at each call. Where there is another way it does not use std::random_device, as <random>
// is 9 000 lines in every file that includes a queue.
inline std::uint64_t DrawRandomNumber() {
#if defined(__linux__)
  std::uint64_t random = 0;
  // Where a sandbox forbids the call, the address of this variable, which the system randomises, and the id of the
  // process have to do.
  if (getentropy(&random, sizeof(random)) == 0) return random;
  return Mix(reinterpret_cast<std::uintptr_t>(&random)) ^ Mix(static_cast<std::uint64_t>(getpid()));
#else
  return std::uint64_t{std::random_device{}()} << 32 | std::random_device{}();
#endif
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_ENTROPY_H_
