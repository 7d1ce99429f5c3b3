// The number that tells the messages and receipts of one queue or topic from those of others.

#ifndef DECOUPLE_INTERNAL_BASE_IDENTITY_H_
#define DECOUPLE_INTERNAL_BASE_IDENTITY_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mix.h"
#include "decouple/internal/base/mutex.h"
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

// Which numbers are taken of those by which equal names are told apart. One for the process; its containers are the
// standard library's, as other hash functions may differ from module to module.
class IdentityNumbers {
 public:
  IdentityNumbers() { Process().HoldDuringFork(mutex_); }
  IdentityNumbers(const IdentityNumbers&) = delete;
  IdentityNumbers& operator=(const IdentityNumbers&) = delete;

  static IdentityNumbers& Instance() {
    ProcessState& process = Process();
    return process.GetOrCreate(process.identity_numbers);
  }

  // The lowest that is free among those of `base`.
  std::uint64_t Take(std::uint64_t base) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    Numbers& numbers = numbers_[base];
    if (numbers.free.empty()) return numbers.end++;
    std::pop_heap(numbers.free.begin(), numbers.free.end(), std::greater<>());
    const std::uint64_t number = numbers.free.back();
    numbers.free.pop_back();
    return number;
  }

  void Return(std::uint64_t base, std::uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const auto entry = numbers_.find(base);
    DECOUPLE_ASSERT(entry != numbers_.end());
    Numbers& numbers = entry->second;
    numbers.free.push_back(number);
    std::push_heap(numbers.free.begin(), numbers.free.end(), std::greater<>());
    if (numbers.free.size() == numbers.end) numbers_.erase(entry);  // none is taken any more
  }

 private:
  struct Numbers {
    std::uint64_t end = 0;            // no number from here on was ever taken
    std::vector<std::uint64_t> free;  // those before it that were returned; a heap, the lowest first
  };

  Mutex mutex_;
  std::map<std::uint64_t, Numbers> numbers_ ABSL_GUARDED_BY(mutex_);
};

// The identity of a queue or a topic for as long as it lives: by its seed and name and, among those that live and have
// the same, by the lowest number that is free. So two of them are never taken for one, and a run that makes and
// destroys them in the same order has the same identities again. O(log of those with a seed).
class Identity {
 public:
  Identity(std::uint64_t seed, std::string_view name)
      : base_(IdentityOf(seed, name)),
        is_seeded_(seed != 0),
        number_(is_seeded_ ? IdentityNumbers::Instance().Take(base_) : 0),
        value_(number_ == 0 ? base_ : Mix(base_ ^ Mix(number_))) {}
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;
  ~Identity() {
    if (is_seeded_) IdentityNumbers::Instance().Return(base_, number_);
  }

  std::uint64_t value() const { return value_; }

 private:
  const std::uint64_t base_;
  const bool is_seeded_;
  const std::uint64_t number_;
  const std::uint64_t value_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_IDENTITY_H_
