// The sends that a FIFO queue remembers, so that it takes each deduplication id once in five minutes.
//
// Design. Ids are spread over shards by their hash. A shard has a mutex, a queue of sends in the order of time, and a
// table that finds them. A send with an id runs under its shard's mutex: of several concurrent sends with one id the
// first to lock the mutex is taken, and the others get its result. Sends older than five minutes are dropped from the
// front of the queues, a few at each call, which is more than can have been added: no call goes through all of them.
//
// Memory. There may be millions of sends, so what counts is how much memory is touched. A send takes 56 bytes if its
// group and its id are short, and nine in the table: its number, and a part of its hash. So the table can grow, and
// tell that an id is new, without touching the queue of sends (exp. 17).

#ifndef DECOUPLE_INTERNAL_FIFO_DEDUPLICATION_H_
#define DECOUPLE_INTERNAL_FIFO_DEDUPLICATION_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <mutex>  // std::unique_lock
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/lazy_pointer.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/prefetching_set.h"
#include "decouple/internal/base/small_string.h"
#include "decouple/internal/base/string_hash.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

class Deduplication {
  struct Sent;
  struct Shard;

 public:
  static constexpr std::int64_t kInterval = 300'000'000'000;  // five minutes, SQS

  Deduplication() = default;
  Deduplication(const Deduplication&) = delete;
  Deduplication& operator=(const Deduplication&) = delete;
  ~Deduplication() { delete shards_.load(std::memory_order_acquire); }

  // What a send is found by: its id, or its group and its id, as the scope says.
  struct Key {
    std::size_t hash;
    DeduplicationScope scope;
  };

  // Returns the key of a send, and prefetches where it will be looked up: the earlier it is called the better. Without
  // the mutex, as PrefetchingSet allows.
  Key Prefetch(std::string_view group, std::string_view id) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    const DeduplicationScope scope = scope_.load(std::memory_order_acquire);
    const Key key = {HashOf(group, id, scope), scope};
    ShardOf(key.hash).table.PrefetchMarks(TableHash(key.hash));
    return key;
  }

  // Holds the mutex of a send's shard, so that no other send with the same id runs meanwhile. `key` is from Prefetch().
  // `group` and `id` must live until TryRemember() has returned.
  class DeduplicationGuard {
   public:
    DeduplicationGuard(Deduplication& deduplication, Key key, std::string_view group, std::string_view id)
        : group_(group), id_(id), shard_(deduplication.Lock(key, group, id)), hash_(TableHash(key.hash)) {
      shard_.PrefetchNext();
    }
    DeduplicationGuard(const DeduplicationGuard&) = delete;
    DeduplicationGuard& operator=(const DeduplicationGuard&) = delete;
    ~DeduplicationGuard() {
      if (is_undecided_) Fail();
      shard_.mutex.unlock();
    }

    // Remembers this send as the first one with its id; the caller then calls Succeed() or Fail(). If it calls neither,
    // as code of the user's has ended the thread, the send has failed. Returns false if there was one in the last five
    // minutes, and sets `ticket` to that of the first.
    bool TryRemember(std::int64_t now, std::uint64_t& ticket) {
      shard_.mutex.AssertHeld();
      shard_.DropOld(now, kDropsPerSend);
      const Sent* const earlier = shard_.Remember(group_, id_, now, hash_);
      is_undecided_ = earlier == nullptr;
      if (is_undecided_) return true;
      ticket = earlier->ticket;
      return false;
    }

    void Succeed(std::uint64_t ticket) {
      shard_.mutex.AssertHeld();
      shard_.sends.back().ticket = ticket;
      is_undecided_ = false;
    }
    void Fail() {
      shard_.mutex.AssertHeld();
      is_undecided_ = false;
      shard_.ForgetLast();
    }

   private:
    const std::string_view group_;
    const std::string_view id_;
    Shard& shard_;
    const std::uint32_t hash_;
    bool is_undecided_ = false;  // between TryRemember() and the call that follows it
  };

  // Drops some old sends, at each call those of the next shard. For calls that do not send.
  void DropSome(std::int64_t now) {
    Shards* const shards = shards_.load(std::memory_order_acquire);
    if (shards == nullptr) return;
    const std::size_t next = next_to_drop_.load(std::memory_order_relaxed);
    next_to_drop_.store(next + 1, std::memory_order_relaxed);  // concurrent calls may take the same: any shard will do
    Shard& shard = (*shards)[next % shards->size()];
    if (shard.oldest_sent_at.load(std::memory_order_relaxed) > now - kInterval) return;  // only a hint
    const MutexLock lock(shard.mutex);
    shard.DropOld(now, kDropsPerCall);
  }

  // Forgets all. O(sends remembered).
  void Clear() {
    Shards* const shards = shards_.load(std::memory_order_acquire);
    if (shards == nullptr) return;
    for (Shard& shard : *shards) {
      std::deque<Sent> forgotten;  // destroyed after the mutex is unlocked
      const MutexLock lock(shard.mutex);
      forgotten = shard.Clear();
    }
  }

  DeduplicationScope scope() const { return scope_.load(std::memory_order_relaxed); }

  // The sends of the last five minutes count by the new scope too; of several whose ids become one, the first counts.
  // O(sends remembered). The analysis cannot follow an array of locks.
  void SetScope(DeduplicationScope scope, std::int64_t now) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (scope == this->scope()) return;
    Shards& shards = *GetOrCreate(shards_);
    std::array<std::unique_lock<Mutex>, kShards> locks;
    for (std::size_t i = 0; i < kShards; ++i) locks[i] = std::unique_lock(shards[i].mutex);
    std::vector<Sent> all;
    for (Shard& shard : shards) {
      for (Sent& sent : shard.Clear()) {
        if (now - sent.sent_at < kInterval) all.push_back(std::move(sent));
      }
      shard.scope = scope;
    }
    std::sort(all.begin(), all.end(), [](const Sent& a, const Sent& b) {
      return std::pair(a.sent_at, a.ticket) < std::pair(b.sent_at, b.ticket);
    });
    scope_.store(scope, std::memory_order_release);  // pairs with the acquire in Prefetch()
    for (const Sent& sent : all) {
      const std::string_view group = sent.group.text();
      const std::string_view id = sent.id.text();
      const std::size_t hash = HashOf(group, id, scope);
      Shard& shard = ShardOf(hash);
      if (shard.Remember(group, id, sent.sent_at, TableHash(hash)) == nullptr) shard.sends.back().ticket = sent.ticket;
    }
  }

 private:
  static constexpr int kShardBits = 5;
  static constexpr std::size_t kShards = std::size_t{1} << kShardBits;
  static constexpr int kDropsPerSend = 2;
  static constexpr int kDropsPerCall = 32;  // take a microsecond or two

  struct Sent {
    Sent(std::string_view its_group, std::string_view its_id, std::int64_t now, std::uint32_t its_table_hash)
        : id(its_id), group(its_group), sent_at(now), table_hash(its_table_hash) {}

    SmallString id;
    SmallString group;
    std::int64_t sent_at;
    std::uint64_t ticket = 0;
    std::uint32_t table_hash;  // the part of the hash that the table goes by
  };
  static_assert(sizeof(Sent) == 56);

  struct alignas(kCacheLine) Shard {
    // Sends are numbered in the order of time, modulo 2^32: fewer come in five minutes.
    const Sent& At(std::uint32_t number) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      DECOUPLE_ASSERT(number - first_number < sends.size());
      return sends[number - first_number];
    }
    std::uint32_t NumberOfNext() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      return first_number + static_cast<std::uint32_t>(sends.size());
    }

    // Prefetches where the next send will be stored.
    void PrefetchNext() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      if (sends.empty()) return;
      const auto* const next = reinterpret_cast<const char*>(&sends.back() + 1);
      __builtin_prefetch(next, /* to write */ 1);
      __builtin_prefetch(next + sizeof(Sent) - 1, /* to write */ 1);
    }

    bool IsOfId(const Sent& sent, std::string_view group, std::string_view id) const
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      return sent.id.text() == id && (scope == DeduplicationScope::kQueue || sent.group.text() == group);
    }

    // Appends the send and returns null; or returns the send with the same id from less than five minutes before.
    const Sent* Remember(std::string_view group, std::string_view id, std::int64_t now, std::uint32_t table_hash)
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      const auto is_same = [&](std::uint32_t other) {
        mutex.AssertHeld();
        return IsOfId(At(other), group, id);
      };
      const auto [number, is_new] = table.FindOrInsert(NumberOfNext(), table_hash, is_same);
      if (!is_new) {
        const Sent& earlier = At(number);
        if (now - earlier.sent_at < kInterval) return &earlier;
        number = NumberOfNext();
      }
      sends.emplace_back(group, id, now, table_hash);
      if (sends.size() == 1) NoteOldest();
      return nullptr;
    }

    void ForgetLast() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      const std::uint32_t table_hash = sends.back().table_hash;
      sends.pop_back();
      [[maybe_unused]] const bool was_there = table.Erase(NumberOfNext(), table_hash);
      DECOUPLE_ASSERT(was_there);
      NoteOldest();
    }

    void DropOld(std::int64_t now, int most) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      if (sends.empty() || now - sends.front().sent_at < kInterval) [[likely]]
        return;
      for (; most > 0 && !sends.empty() && now - sends.front().sent_at >= kInterval; --most) {
        table.Erase(first_number, sends.front().table_hash);  // not there if a later send of its id has replaced it
        sends.pop_front();
        ++first_number;
      }
      NoteOldest();
    }

    // Returns the sends that there were.
    std::deque<Sent> Clear() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      table.Clear();
      std::deque<Sent> all = std::exchange(sends, {});
      NoteOldest();
      return all;
    }

    void NoteOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
      const std::int64_t oldest = sends.empty() ? std::numeric_limits<std::int64_t>::max() : sends.front().sent_at;
      oldest_sent_at.store(oldest, std::memory_order_relaxed);
    }

    Mutex mutex;
    // Read without the mutex, as a hint.
    std::atomic<std::int64_t> oldest_sent_at{std::numeric_limits<std::int64_t>::max()};
    DeduplicationScope scope ABSL_GUARDED_BY(mutex) = DeduplicationScope::kQueue;
    std::uint32_t first_number ABSL_GUARDED_BY(mutex) = 0;
    std::deque<Sent> sends ABSL_GUARDED_BY(mutex);
    PrefetchingSet<std::uint32_t> table ABSL_GUARDED_BY(mutex);  // the numbers of sends
  };

  using Shards = std::array<Shard, kShards>;

  static std::size_t HashOf(std::string_view group, std::string_view id, DeduplicationScope scope) {
    return scope == DeduplicationScope::kQueue ? StringHash(id) : StringHash(group, id);
  }

  // Returns the shard of a send by the scope that is in force, and makes the key one of that scope. The caller unlocks
  // the shard, which the analysis cannot follow.
  Shard& Lock(Key& key, std::string_view group, std::string_view id) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (;;) {
      Shard& shard = ShardOf(key.hash);
      shard.mutex.lock();
      if (shard.scope == key.scope) return shard;
      shard.mutex.unlock();
      key = Prefetch(group, id);  // it changed in between
    }
  }

  static std::uint32_t TableHash(std::size_t hash) { return static_cast<std::uint32_t>(hash); }

  // Chooses by the highest bits of the hash, as the tables go by the lower ones. The shards are created when they are
  // first asked for, so a queue that nothing was sent to has none.
  Shard& ShardOf(std::size_t hash) {
    return (*GetOrCreate(shards_))[hash >> (std::numeric_limits<std::size_t>::digits - kShardBits)];
  }

  std::atomic<DeduplicationScope> scope_{DeduplicationScope::kQueue};
  std::atomic<std::size_t> next_to_drop_{0};
  std::atomic<Shards*> shards_{nullptr};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_DEDUPLICATION_H_
