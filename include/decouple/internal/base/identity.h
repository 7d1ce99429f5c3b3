// The number that tells the messages and receipts of one queue or topic from those of others.

#ifndef DECOUPLE_INTERNAL_BASE_IDENTITY_H_
#define DECOUPLE_INTERNAL_BASE_IDENTITY_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "decouple/internal/base/mix.h"
#include "decouple/internal/base/process.h"
#include "decouple/message.h"

namespace decouple::inline v0_1::internal {

// Returns an identity. With a seed it is the same for the same name in every run; with seed 0 it differs from call to
// call.
inline std::uint64_t IdentityOf(std::uint64_t seed, std::string_view name) {
  if (seed != 0) {
    std::uint64_t identity = Mix(seed);
    for (const char c : name)
      identity = Mix(identity ^ static_cast<unsigned char>(c));  // not std::hash, which may differ from run to run
    return identity;
  }
  ProcessState& process = Process();
  const std::uint64_t origin = process.identity_origin.load(std::memory_order_relaxed);
  return Mix(origin ^ Mix(process.identities.fetch_add(1, std::memory_order_relaxed)));
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_IDENTITY_H_
