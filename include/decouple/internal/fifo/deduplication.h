// What a FIFO queue remembers of sends, so that it takes each deduplication id once in five minutes.
//
// Ids are spread over shards by their hash. A shard has a mutex, a line of sends in the order of time, and a table that
// finds them. A send with an id runs under its shard's mutex: so of several at once with one id the first to come
// decides, and the others get its result. What is older than five minutes is dropped from the front of the lines, a few
// at each call, more than can have been added: nobody ever goes through all.
//
// There may be millions of them, so what counts is how much memory is touched. A send takes 56 bytes, if its group and
// its id are short, and nine in the table: its place in the line, and a part of its hash. So the table grows, and says
// that an id is new, without a look at the line. (With a table of pointers that was half of a send, receive and
// delete.)

#ifndef DECOUPLE_INTERNAL_FIFO_DEDUPLICATION_H_
#define DECOUPLE_INTERNAL_FIFO_DEDUPLICATION_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/lazy_pointer.h"
#include "decouple/internal/base/prefetching_set.h"
#include "decouple/internal/base/small_string.h"
#include "decouple/internal/base/string_hash.h"
#include "decouple/queue_options.h"

namespace decouple::internal {

class Deduplication {
  struct Sent;
  struct Shard;

 public:
  static constexpr std::int64_t kInterval = 300'000'000'000;  // five minutes, SQS

  Deduplication() = default;
  Deduplication(const Deduplication&) = delete;
  Deduplication& operator=(const Deduplication&) = delete;
  ~Deduplication() { delete shards_.load(std::memory_order_acquire); }

  // How a send is found: by its id, or its group and its id.
  struct Key {
    std::size_t hash;
    DeduplicationScope scope;
  };

  // Of a send that is to come: where it is looked for is on its way from now on, so the earlier the better.
  Key Prefetch(std::string_view group, std::string_view id) {
    const DeduplicationScope scope = scope_.load(std::memory_order_acquire);
    const Key key = {HashOf(group, id, scope), scope};
    ShardOf(key.hash).table.PrefetchMarks(TableHash(key.hash));
    return key;
  }

  // A send with an id, while which no other with that id is under way. `key` is from Prefetch(). Group and id are looked at
  // until it is remembered.
  class DeduplicationGuard {
   public:
    DeduplicationGuard(Deduplication& sends, Key key, std::string_view group, std::string_view id)
        : group_(group), id_(id), shard_(sends.Lock(key, group, id)), hash_(TableHash(key.hash)) {
      shard_.PrefetchNext();
    }
    DeduplicationGuard(const DeduplicationGuard&) = delete;
    DeduplicationGuard& operator=(const DeduplicationGuard&) = delete;
    ~DeduplicationGuard() { shard_.mutex.unlock(); }

    // This is the first send with this id from now on, and what comes of it is to be said. False: there was one in the
    // last five minutes; `ticket` is that of the first.
    bool TryRemember(std::int64_t now, std::uint64_t& ticket) {
      shard_.DropOld(now, kDropsPerSend);
      const Sent* const earlier = shard_.Remember(group_, id_, now, hash_);
      if (earlier == nullptr) return true;
      ticket = earlier->ticket;
      return false;
    }

    void Succeed(std::uint64_t ticket) { shard_.line.back().ticket = ticket; }
    void Fail() { shard_.ForgetLast(); }

   private:
    const std::string_view group_;
    const std::string_view id_;
    Shard& shard_;
    const std::uint32_t hash_;
  };

  // Drops some of what is old, of one shard after the other. For those who do not send.
  void DropSome(std::int64_t now) {
    Shards* const shards = shards_.load(std::memory_order_acquire);
    if (shards == nullptr) return;
    const std::size_t next = next_to_drop_.load(std::memory_order_relaxed);
    next_to_drop_.store(next + 1, std::memory_order_relaxed);  // of several at once one counts: any shard will do
    Shard& shard = (*shards)[next % shards->size()];
    if (shard.oldest_sent_at.load(std::memory_order_relaxed) > now - kInterval) return;  // only a hint
    const std::lock_guard lock(shard.mutex);
    shard.DropOld(now, kDropsPerCall);
  }

  // Forgets all. O(sends remembered).
  void Clear() {
    Shards* const shards = shards_.load(std::memory_order_acquire);
    if (shards == nullptr) return;
    for (Shard& shard : *shards) {
      std::deque<Sent> forgotten;  // goes without the mutex
      const std::lock_guard lock(shard.mutex);
      forgotten = shard.Clear();
    }
  }

  DeduplicationScope scope() const { return scope_.load(std::memory_order_relaxed); }

  // What was sent in the last five minutes counts by the new scope too; of several that become one id the first. O(sends
  // remembered).
  void SetScope(DeduplicationScope scope, std::int64_t now) {
    if (scope == this->scope()) return;
    Shards& shards = *GetOrCreate(shards_);
    std::array<std::unique_lock<std::mutex>, kShards> locks;
    for (std::size_t i = 0; i < kShards; ++i) locks[i] = std::unique_lock(shards[i].mutex);
    std::vector<Sent> all;
    for (Shard& shard : shards) {
      for (Sent& sent : shard.Clear()) {
        if (now - sent.sent_at < kInterval) all.push_back(std::move(sent));
      }
      shard.scope = scope;
    }
    std::stable_sort(all.begin(), all.end(), [](const Sent& a, const Sent& b) { return a.sent_at < b.sent_at; });
    scope_.store(scope, std::memory_order_release);  // pairs with the look in Prefetch()
    for (const Sent& sent : all) {
      const std::string_view group = sent.group.text();
      const std::string_view id = sent.id.text();
      const std::size_t hash = HashOf(group, id, scope);
      Shard& shard = ShardOf(hash);
      if (shard.Remember(group, id, sent.sent_at, TableHash(hash)) == nullptr) shard.line.back().ticket = sent.ticket;
    }
  }

 private:
  static constexpr int kShardBits = 5;
  static constexpr std::size_t kShards = std::size_t{1} << kShardBits;
  static constexpr int kDropsPerSend = 2;
  static constexpr int kDropsPerCall = 32;  // a microsecond or two

  struct Sent {
    Sent(std::string_view its_group, std::string_view its_id, std::int64_t now, std::uint32_t its_table_hash)
        : id(its_id), group(its_group), sent_at(now), table_hash(its_table_hash) {}

    SmallString id;
    SmallString group;
    std::int64_t sent_at;
    std::uint64_t ticket = 0;
    std::uint32_t table_hash;  // the part of the hash that the table goes by
  };

  struct alignas(kCacheLine) Shard {
    // By its number: which in the line, counted from the first that ever was there. (So many that numbers repeat do not
    // come in five minutes.)
    const Sent& At(std::uint32_t number) const { return line[number - first_number]; }
    std::uint32_t NumberOfNext() const { return first_number + static_cast<std::uint32_t>(line.size()); }

    // Where the next send will be written down is on its way.
    void PrefetchNext() const {
      if (line.empty()) return;
      const auto* const next = reinterpret_cast<const char*>(&line.back() + 1);
      __builtin_prefetch(next, /* to write */ 1);
      __builtin_prefetch(next + sizeof(Sent) - 1, /* to write */ 1);
    }

    bool IsOfId(const Sent& sent, std::string_view group, std::string_view id) const {
      return sent.id.text() == id && (scope == DeduplicationScope::kQueue || sent.group.text() == group);
    }

    // As the last of the line. If one of its id is remembered from less than five minutes before, that instead.
    const Sent* Remember(std::string_view group, std::string_view id, std::int64_t now, std::uint32_t table_hash) {
      const auto [number, is_new] = table.FindOrInsert(
          NumberOfNext(), table_hash, [&](std::uint32_t other) { return IsOfId(At(other), group, id); });
      if (!is_new) {
        const Sent& earlier = At(number);
        if (now - earlier.sent_at < kInterval) return &earlier;
        number = NumberOfNext();
      }
      line.emplace_back(group, id, now, table_hash);
      if (line.size() == 1) NoteOldest();
      return nullptr;
    }

    void ForgetLast() {
      const std::uint32_t table_hash = line.back().table_hash;
      line.pop_back();
      table.Erase(NumberOfNext(), table_hash);
      NoteOldest();
    }

    void DropOld(std::int64_t now, int most) {
      if (line.empty() || now - line.front().sent_at < kInterval) [[likely]]
        return;
      for (; most > 0 && !line.empty() && now - line.front().sent_at >= kInterval; --most) {
        table.Erase(first_number, line.front().table_hash);  // unless a later one of its id has taken its place
        line.pop_front();
        ++first_number;
      }
      NoteOldest();
    }

    // Returns what the line had.
    std::deque<Sent> Clear() {
      table.Clear();
      std::deque<Sent> all = std::exchange(line, {});
      NoteOldest();
      return all;
    }

    void NoteOldest() {
      const std::int64_t oldest = line.empty() ? std::numeric_limits<std::int64_t>::max() : line.front().sent_at;
      oldest_sent_at.store(oldest, std::memory_order_relaxed);
    }

    std::mutex mutex;
    std::atomic<std::int64_t> oldest_sent_at{std::numeric_limits<std::int64_t>::max()};
    // All below: under the mutex.
    DeduplicationScope scope = DeduplicationScope::kQueue;
    std::uint32_t first_number = 0;
    std::deque<Sent> line;
    PrefetchingSet<std::uint32_t> table;
  };

  using Shards = std::array<Shard, kShards>;

  static std::size_t HashOf(std::string_view group, std::string_view id, DeduplicationScope scope) {
    return scope == DeduplicationScope::kQueue ? StringHash(id) : StringHash(group, id);
  }

  // The shard of a send by the scope that is in force; locked. Makes the key one of that scope.
  Shard& Lock(Key& key, std::string_view group, std::string_view id) {
    for (;;) {
      Shard& shard = ShardOf(key.hash);
      shard.mutex.lock();
      if (shard.scope == key.scope) return shard;
      shard.mutex.unlock();
      key = Prefetch(group, id);  // it changed in between
    }
  }

  static std::uint32_t TableHash(std::size_t hash) { return static_cast<std::uint32_t>(hash); }

  // The tables go by the other bits of the hash. A queue that nothing was sent to has no shards.
  Shard& ShardOf(std::size_t hash) {
    return (*GetOrCreate(shards_))[hash >> (std::numeric_limits<std::size_t>::digits - kShardBits)];
  }

  std::atomic<DeduplicationScope> scope_{DeduplicationScope::kQueue};
  std::atomic<std::size_t> next_to_drop_{0};
  std::atomic<Shards*> shards_{nullptr};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_FIFO_DEDUPLICATION_H_
