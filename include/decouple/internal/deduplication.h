// What a FIFO queue remembers of sends, so that it takes each deduplication id once in five minutes.
//
// Ids are spread over shards by their hash. A shard has a mutex, a line of sends in the order of time, and a table that
// finds them. A send with an id runs under its shard's mutex: so of several at once with one id the first to come
// decides, and the others get its result. What is older than five minutes is dropped from the front of the lines, a few
// at each call, more than can have been added: nobody ever goes through all.
//
// There may be millions of them, so what counts is how much memory is touched. A send takes 56 bytes, if its group and
// its id are short, and eight in the table: its place in the line, and a part of its hash. So the table grows, and says
// that an id is new, without a look at the line. (With a table of pointers that was half of a send, receive and
// delete.)

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
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "decouple/internal/get_or_create.h"
#include "decouple/internal/short_text.h"
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
      const std::size_t hash = HashOf(group, id, scope);
      Shard& shard = ShardOf(hash);
      const std::lock_guard lock(shard.mutex);
      if (shard.scope != scope) continue;  // it changed in between
      shard.Prefetch(hash);
      const std::int64_t now = clock();
      shard.DropOld(now, kDropsPerSend);
      // Remembered before it is sent, as group and id may be gone after that.
      if (const Sent* const earlier = shard.Remember(Sent(group, id, now, hash))) return earlier->ticket;
      const std::optional<std::uint64_t> ticket = send(now);
      if (ticket) {
        shard.line.back().ticket = *ticket;
      } else {
        shard.ForgetLast();
      }
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
      std::deque<Sent> forgotten;  // goes without the mutex
      const std::lock_guard lock(shard.mutex);
      forgotten = shard.Clear();
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
      for (Sent& sent : shard.Clear()) {
        if (sent.is_remembered) all.push_back(std::move(sent));
      }
      shard.scope = scope;
    }
    std::stable_sort(all.begin(), all.end(), [](const Sent& a, const Sent& b) { return a.sent_at < b.sent_at; });
    scope_.store(scope, std::memory_order_release);  // pairs with the first look in Once()
    for (Sent& sent : all) {
      const std::size_t hash = HashOf(sent.group.text(), sent.id.text(), scope);
      sent.table_hash = static_cast<std::uint32_t>(hash);
      ShardOf(hash).Remember(std::move(sent));
    }
  }

 private:
  static constexpr int kShardBits = 5;
  static constexpr std::size_t kShards = std::size_t{1} << kShardBits;
  static constexpr int kDropsPerSend = 2;
  static constexpr int kDropsPerCall = 32;  // a microsecond or two

  struct Sent {
    Sent(std::string_view its_group, std::string_view its_id, std::int64_t now, std::size_t hash)
        : id(its_id), group(its_group), sent_at(now), table_hash(static_cast<std::uint32_t>(hash)) {}

    ShortText id;
    ShortText group;
    std::int64_t sent_at;
    std::uint64_t ticket = 0;
    std::uint32_t table_hash;   // the part of the hash that the table goes by
    bool is_remembered = true;  // the table finds it
  };

  struct alignas(kCacheLine) Shard {
    // Which in the line, counted from the first that ever was there. (That many in five minutes are out of reach.)
    struct Place {
      std::uint32_t number;
      std::uint32_t table_hash;
    };

    struct Hash {
      std::size_t operator()(Place place) const { return place.table_hash * std::size_t{0x9E3779B97F4A7C15}; }
    };

    struct Same {
      bool operator()(Place one, Place other) const {
        if (one.number == other.number) return true;
        return one.table_hash == other.table_hash && shard->AreOfOneId(shard->At(one), shard->At(other));
      }
      const Shard* shard;
    };

    // The table is larger than the caches, and where a new id goes is anybody's guess: on its way while the send is
    // written down (a tenth of a cycle).
    void Prefetch(std::size_t hash) const { table.prefetch(Place{0, static_cast<std::uint32_t>(hash)}); }

    const Sent& At(Place place) const { return line[place.number - first_number]; }
    Sent& At(Place place) { return line[place.number - first_number]; }
    Place PlaceOfLast() const {
      return {first_number + static_cast<std::uint32_t>(line.size()) - 1, line.back().table_hash};
    }

    bool AreOfOneId(const Sent& one, const Sent& other) const {
      return one.id.text() == other.id.text() &&
             (scope == DeduplicationScope::kQueue || one.group.text() == other.group.text());
    }

    // As the last of the line. If one of its id is remembered from less than five minutes before, that instead.
    const Sent* Remember(Sent&& sent) {
      line.push_back(std::move(sent));
      const auto [found, is_new] = table.insert(PlaceOfLast());
      if (!is_new) {
        Sent& earlier = At(*found);
        if (line.back().sent_at - earlier.sent_at < kInterval) {
          line.pop_back();
          return &earlier;
        }
        earlier.is_remembered = false;
        table.erase(found);
        table.insert(PlaceOfLast());
      }
      if (line.size() == 1) NoteOldest();
      return nullptr;
    }

    void ForgetLast() {
      table.erase(PlaceOfLast());
      line.pop_back();
      NoteOldest();
    }

    void DropOld(std::int64_t now, int most) {
      if (line.empty() || now - line.front().sent_at < kInterval) [[likely]]
        return;
      for (; most > 0 && !line.empty() && now - line.front().sent_at >= kInterval; --most) {
        if (line.front().is_remembered) table.erase(Place{first_number, line.front().table_hash});
        line.pop_front();
        ++first_number;
      }
      ShrinkIfSparse(table);
      NoteOldest();
    }

    // Returns what the line had.
    std::deque<Sent> Clear() {
      table.clear();
      ShrinkIfSparse(table);
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
    absl::flat_hash_set<Place, Hash, Same> table{0, Hash(), Same{this}};
  };

  using Shards = std::array<Shard, kShards>;

  static std::size_t HashOf(std::string_view group, std::string_view id, DeduplicationScope scope) {
    return scope == DeduplicationScope::kQueue ? TextHash(id) : TextHash(group, id);
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
