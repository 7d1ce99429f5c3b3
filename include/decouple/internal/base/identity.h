// The number that tells the messages and receipts of one queue or topic from those of others.

#ifndef DECOUPLE_INTERNAL_BASE_IDENTITY_H_
#define DECOUPLE_INTERNAL_BASE_IDENTITY_H_

#include <atomic>
#include <cstdint>
#include <random>
#include <string_view>

#include "decouple/internal/base/mix.h"
#include "decouple/message.h"

namespace decouple::internal {

// With a seed: the same for the same name in every run. With 0: different for each call.
inline std::uint64_t IdentityOf(std::uint64_t seed, std::string_view name) {
  if (seed != 0) {
    std::uint64_t identity = Mix(seed);
    for (const char c : name)
      identity = Mix(identity ^ static_cast<unsigned char>(c));  // not std::hash, which may differ from run to run
    return identity;
  }
  static const std::uint64_t process = std::uint64_t{std::random_device{}()} << 32 | std::random_device{}();
  static constinit std::atomic<std::uint64_t> calls{0};
  return Mix(process ^ Mix(calls.fetch_add(1, std::memory_order_relaxed)));  // relaxed: it has only to be unique
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_IDENTITY_H_
