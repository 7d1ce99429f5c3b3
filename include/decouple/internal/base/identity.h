// The number that tells the messages and receipts of one queue or topic from those of others.

#ifndef DECOUPLE_INTERNAL_BASE_IDENTITY_H_
#define DECOUPLE_INTERNAL_BASE_IDENTITY_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#if defined(__linux__)
#include <unistd.h>
#else
#include <random>
#endif

#include "decouple/internal/base/mix.h"
#include "decouple/message.h"

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

// Returns an identity. With a seed it is the same for the same name in every run; with seed 0 it differs from call to
// call.
inline std::uint64_t IdentityOf(std::uint64_t seed, std::string_view name) {
  if (seed != 0) {
    std::uint64_t identity = Mix(seed);
    for (const char c : name)
      identity = Mix(identity ^ static_cast<unsigned char>(c));  // not std::hash, which may differ from run to run
    return identity;
  }
  static const std::uint64_t process = DrawRandomNumber();
  static constinit std::atomic<std::uint64_t> calls{0};
  return Mix(process ^ Mix(calls.fetch_add(1, std::memory_order_relaxed)));  // relaxed: it has only to be unique
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_IDENTITY_H_
