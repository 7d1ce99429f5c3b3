// What a FIFO queue remembers of sends, so that it takes each deduplication id once in five minutes.
//
// Ids are spread over shards by their hash. A shard has a mutex, a line of sends in the order of time, and a table that
// finds them. A send with an id runs under its shard's mutex: so of several at once with one id the first to come
// decides, and the others get its result. What is older than five minutes is dropped from the front of the lines, a few
// at each call, more than can have been added: nobody ever goes through all.

#ifndef DECOUPLE_INTERNAL_DEDUPLICATION_H_
#define DECOUPLE_INTERNAL_DEDUPLICATION_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "decouple/internal/get_or_create.h"
#include "decouple/internal/shrinking.h"
#include "decouple/internal/text_hash.h"
#include "decouple/internal/thread_record.h"
#include "decouple/queue_options.h"

namespace decouple::internal {

class Deduplication {
 public:
  static constexpr std::int64_t kInterval = 300'000'000'000;  // five minutes, SQS

  Deduplication() = default;
  Deduplication(const Deduplication&) = delete;
  Deduplication& operator=(const Deduplication&) = delete;
  ~Deduplication() { delete shards_.load(std::memory_order_acquire); }

  // The ticket of the first send with this id in the last five minutes; if there was none, that of `send`, which is
  // called as send(now) and gives none if it fails: then nothing is remembered. `clock()` gives the time. Neither group
  // nor id need outlive the message.
  template <typename ClockNow, typename Send>
  std::optional<std::uint64_t> Once(std::string_view group, std::string_view id, ClockNow clock, Send send) {
    for (;;) {
      const DeduplicationScope scope = scope_.load(std::memory_order_acquire);
      const Key key = KeyOf(group, id, scope);
      Shard& shard = ShardOf(key.hash);
      const std::lock_guard lock(shard.mutex);
      if (scope_.load(std::memory_order_relaxed) != scope) continue;  // it changes under all mutexes
      const std::int64_t now = clock();
      shard.DropOld(now, kDropsPerSend);
      const auto found = shard.table.find(key);
      if (found != shard.table.end()) {
        if (now - (*found)->sent_at < kInterval) return (*found)->ticket;
        shard.Forget(found);
      }
      Sent& sent = shard.line.emplace_back(id, group, now, key.hash, scope);  // once sent, id and group may be gone
      const std::optional<std::uint64_t> ticket = send(now);
      if (!ticket) {
        shard.line.pop_back();
        return std::nullopt;
      }
      sent.ticket = *ticket;
      shard.RememberLast();
      return ticket;
    }
  }

  // Drops some of what is old, of one shard after the other. For those who do not send.
  void DropSome(std::int64_t now) {
    Shards* const shards = shards_.load(std::memory_order_acquire);
    if (shards == nullptr) return;
    Shard& shard = (*shards)[next_to_drop_.fetch_add(1, std::memory_order_relaxed) % shards->size()];  // any will do
    if (shard.oldest_sent_at.load(std::memory_order_relaxed) > now - kInterval) return;                // only a hint
    const std::lock_guard lock(shard.mutex);
    shard.DropOld(now, kDropsPerCall);
  }

  // Forgets all. O(sends remembered).
  void Clear() {
    Shards* const shards = shards_.load(std::memory_order_acquire);
    if (shards == nullptr) return;
    for (Shard& shard : *shards) {
      std::deque<Sent> forgotten;
      const std::lock_guard lock(shard.mutex);
      shard.table.clear();
      ShrinkIfSparse(shard.table);
      shard.line.swap(forgotten);
      shard.NoteOldest();
    }
  }

  DeduplicationScope scope() const { return scope_.load(std::memory_order_relaxed); }

  // What was sent before counts by the new scope too; of several that become one id the first. O(sends remembered).
  void SetScope(DeduplicationScope scope) {
    if (scope == this->scope()) return;
    Shards& shards = *GetOrCreate(shards_);
    std::array<std::unique_lock<std::mutex>, kShards> locks;
    for (std::size_t i = 0; i < kShards; ++i) locks[i] = std::unique_lock(shards[i].mutex);
    std::vector<Sent> all;
    for (Shard& shard : shards) {
      shard.table.clear();
      for (Sent& sent : shard.line) {
        if (sent.remembered) all.push_back(std::move(sent));
      }
      shard.line.clear();
    }
    std::stable_sort(all.begin(), all.end(), [](const Sent& a, const Sent& b) { return a.sent_at < b.sent_at; });
    scope_.store(scope, std::memory_order_release);  // under all mutexes; pairs with the first look in Once()
    for (Sent& sent : all) {
      const Key key = KeyOf(sent.group, sent.id, scope);
      Shard& shard = ShardOf(key.hash);
      if (shard.table.contains(key)) continue;
      sent.hash = key.hash;
      sent.scope = scope;
      shard.line.push_back(std::move(sent));
      shard.RememberLast();
    }
    for (Shard& shard : shards) shard.NoteOldest();
  }

 private:
  static constexpr int kShardBits = 5;
  static constexpr std::size_t kShards = std::size_t{1} << kShardBits;
  static constexpr int kDropsPerSend = 2;
  static constexpr int kDropsPerCall = 32;  // a microsecond or two

  struct Sent {
    Sent(std::string_view sent_id, std::string_view sent_group, std::int64_t now, std::size_t its_hash,
         DeduplicationScope its_scope)
        : id(sent_id), group(sent_group), sent_at(now), hash(its_hash), scope(its_scope) {}

    std::string id;
    std::string group;
    std::int64_t sent_at;
    std::uint64_t ticket = 0;
    std::size_t hash;
    DeduplicationScope scope;
    bool remembered = true;  // the table finds it
  };

  struct Key {
    std::string_view group;
    std::string_view id;
    DeduplicationScope scope;
    std::size_t hash;
  };

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Sent* sent) const { return sent->hash; }
    std::size_t operator()(const Key& key) const { return key.hash; }
  };

  struct Same {
    using is_transparent = void;
    bool operator()(const Sent* one, const Sent* other) const { return one == other; }
    bool operator()(const Sent* sent, const Key& key) const {
      return sent->id == key.id && (key.scope == DeduplicationScope::kQueue || sent->group == key.group);
    }
  };

  struct alignas(kCacheLine) Shard {
    using Table = absl::flat_hash_set<const Sent*, Hash, Same>;

    // The last of the line, which the table does not find yet.
    void RememberLast() {
      table.insert(&line.back());
      if (line.size() == 1) NoteOldest();
    }

    void Forget(Table::iterator found) {
      const_cast<Sent*>(*found)->remembered = false;  // in our own line
      table.erase(found);
    }

    void DropOld(std::int64_t now, int most) {
      for (; most > 0 && !line.empty() && now - line.front().sent_at >= kInterval; --most) {
        if (line.front().remembered) table.erase(&line.front());
        line.pop_front();
      }
      ShrinkIfSparse(table);
      NoteOldest();
    }

    void NoteOldest() {
      const std::int64_t oldest = line.empty() ? std::numeric_limits<std::int64_t>::max() : line.front().sent_at;
      oldest_sent_at.store(oldest, std::memory_order_relaxed);
    }

    std::mutex mutex;
    std::atomic<std::int64_t> oldest_sent_at{std::numeric_limits<std::int64_t>::max()};
    // Both under the mutex. A deque leaves its elements where they are.
    std::deque<Sent> line;
    Table table;
  };

  using Shards = std::array<Shard, kShards>;

  static Key KeyOf(std::string_view group, std::string_view id, DeduplicationScope scope) {
    return {group, id, scope, scope == DeduplicationScope::kQueue ? TextHash(id) : TextHash(group, id)};
  }

  // The tables go by the other bits of the hash. A queue that nothing was sent to has no shards.
  Shard& ShardOf(std::size_t hash) {
    return (*GetOrCreate(shards_))[hash >> (std::numeric_limits<std::size_t>::digits - kShardBits)];
  }

  std::atomic<DeduplicationScope> scope_{DeduplicationScope::kQueue};
  std::atomic<std::size_t> next_to_drop_{0};
  std::atomic<Shards*> shards_{nullptr};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_DEDUPLICATION_H_
