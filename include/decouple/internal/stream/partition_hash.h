// Hashes a partition key to a number of 128 bits.
//
// An MD5 takes longer than all the rest of a put, and the same keys come again and again. So each thread keeps a cache
// of the keys that it hashed recently (exp. 29).

#ifndef DECOUPLE_INTERNAL_STREAM_PARTITION_HASH_H_
#define DECOUPLE_INTERNAL_STREAM_PARTITION_HASH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/numeric/int128.h"
#include "decouple/internal/base/digest.h"
#include "decouple/internal/base/mix.h"
#include "decouple/internal/base/module_layout.h"
#include "decouple/internal/base/per_thread.h"
#include "decouple/internal/base/string_hash.h"
#include "decouple/message.h"

namespace decouple::inline v0_1::internal {

// The MD5 as a number, its first byte the most significant one.
inline absl::uint128 Md5NumberOf(std::string_view text) {
  absl::uint128 number = 0;
  for (const unsigned char byte : Md5Of(text)) number = number << 8 | byte;
  return number;
}

// The keys that a thread hashed recently, in 1 024 sets of four: it has nearly all of a thousand keys that come in
// turn.
class DECOUPLE_INTERNAL_LAYOUT_TAG RecentHashes {
 public:
  // Same as Md5NumberOf(), without the MD5 if the calling thread has hashed `text` recently.
  static absl::uint128 Md5Of(std::string_view text) {
    RecentHashes* const own = own_ != nullptr ? own_ : Create();
    if (own == nullptr) [[unlikely]]
      return Md5NumberOf(text);
    return own->Find(text);
  }

  // Whether the calling thread has such memory now, for tests.
  static bool IsKept() { return own_ != nullptr; }

 private:
  struct Recent {
    std::string text;
    absl::uint128 md5;
  };
  struct Set {  // keys whose StringHash() is equal modulo kSets; the oldest is replaced
    std::array<Recent, 4> all;
    std::size_t oldest = 0;
  };
  static constexpr std::size_t kSets = 1'024;
  static constexpr int kWithout = 16;  // so many keys are hashed before

  // What a thread has, kept by its record.
  struct Kept {
    RecentHashes* hashes = nullptr;
  };
  static PerThread<Kept>& KeptByRecord() {
    static auto& kept = *new PerThread<Kept>;  // never destroyed, as threads may put to the process's end
    return kept;
  }

  // Ends with its thread's other thread_local objects, of which some may still put.
  struct Owner {
    ~Owner() {
      is_over_ = true;
      own_ = nullptr;
      delete std::exchange(KeptByRecord().Local().hashes, nullptr);
    }
  };

  // Null: the thread has hashed few keys so far, and a quarter of a megabyte is too much for them; or it is past its
  // destructors, so nobody would free it. A thread whose puts all come behind them does not know. What it has stays
  // with its record, and goes to the thread that takes that over: so there are no more of these than records.
  [[gnu::noinline]] static RecentHashes* Create() {
    if (is_over_ || ++hashed_ <= kWithout) return nullptr;
    static thread_local Owner owner;
    static_cast<void>(&owner);
    RecentHashes*& hashes = KeptByRecord().Local().hashes;
    if (hashes == nullptr) hashes = new RecentHashes;
    return own_ = hashes;
  }

  absl::uint128 Find(std::string_view text) {
    Set& set = sets_[StringHash(text) % kSets];
    for (const Recent& recent : set.all) {
      if (recent.text == text && !text.empty()) [[likely]]
        return recent.md5;
    }
    Recent& oldest = set.all[set.oldest++ % set.all.size()];
    oldest.text.assign(text);
    oldest.md5 = Md5NumberOf(text);
    return oldest.md5;
  }

  // None of these has a destructor, so they can be read for as long as the thread runs. One per module will do, as for
  // `owner`: each is right by itself, and only remembers what its own module has hashed.
  static inline constinit thread_local RecentHashes* own_ = nullptr;
  static inline constinit thread_local int hashed_ = 0;  // while own_ is null
  static inline constinit thread_local bool is_over_ = false;

  std::array<Set, kSets> sets_;
};

// A cheap hash. Equal keys have equal hashes within one build of a program only.
inline absl::uint128 FastHashOf(std::string_view text) {
  const std::uint64_t hash = std::hash<std::string_view>()(text);
  return absl::MakeUint128(Mix(hash), hash);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_PARTITION_HASH_H_
