// The message groups of a FIFO queue: which messages each has, in the order of sending.
//
// Of a group only its first message is ever listed (named by the store's line, where receivers look), and only while it
// is visible; its followers are found from there. So a group of which the first is in flight is out of everybody's
// reach, and one that was served stands in line again, at the back, once its first is visible. A group exists as long
// as it has messages.
//
// Locks. Groups are spread over shards by the hash of their names; each shard has a mutex. Whoever owns a slot (kBusy)
// may lock its group; whoever has locked a group may try to own its slots, but never waits for one. What keeps this
// whole: a slot that its owner gives back as visible is given back under the mutex, where the owner sees whether it is
// the first by now. So whoever makes it the first finds it visible and lists it, or finds it owned and leaves that to
// the owner.

#ifndef DECOUPLE_INTERNAL_FIFO_GROUPS_H_
#define DECOUPLE_INTERNAL_FIFO_GROUPS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "decouple/internal/get_or_create.h"
#include "decouple/internal/message_slot.h"
#include "decouple/internal/shrinking.h"
#include "decouple/internal/slot_word.h"
#include "decouple/internal/text_hash.h"
#include "decouple/internal/thread_record.h"

namespace decouple::internal {

struct FifoGroup {
  std::string name;
  std::size_t hash = 0;
  std::mutex* mutex = nullptr;  // its shard's; guards the order
  Particulars* first = nullptr;
  Particulars* last = nullptr;
};

class FifoGroups {
  struct Name {
    std::string_view text;
    std::size_t hash;
  };

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const FifoGroup* group) const { return group->hash; }
    std::size_t operator()(const Name& name) const { return name.hash; }
  };

  struct Same {
    using is_transparent = void;
    bool operator()(const FifoGroup* one, const FifoGroup* other) const { return one == other; }
    bool operator()(const FifoGroup* group, const Name& name) const { return group->name == name.text; }
  };

  struct alignas(kCacheLine) Shard {
    std::mutex mutex;
    absl::flat_hash_set<FifoGroup*, Hash, Same> groups;
  };

 public:
  FifoGroups() = default;
  FifoGroups(const FifoGroups&) = delete;
  FifoGroups& operator=(const FifoGroups&) = delete;

  // Nobody uses it any more.
  ~FifoGroups() {
    Shards* const shards = shards_.load(std::memory_order_acquire);
    if (shards == nullptr) return;
    for (Shard& shard : *shards) {
      for (FifoGroup* const group : shard.groups) delete group;
    }
    delete shards;
  }

  // The way into a group. While it exists nobody else appends to the group: who takes a ticket meanwhile and appends
  // the message of that ticket makes the group's order that of the tickets.
  class Entrance {
   public:
    Entrance(FifoGroups& groups, std::string_view name)
        : name_{name, TextHash(name)}, shard_(groups.ShardOf(name_.hash)), lock_(shard_.mutex) {}

    // The message is the group's last from now on. Returns whether it is also the first: then, if it is visible, its
    // word must say kInLine, and the caller lists it, once the entrance is free again.
    bool Append(Particulars& message) {
      const auto found = shard_.groups.find(name_);
      FifoGroup* const group = found != shard_.groups.end() ? *found : Create();
      PlaceInGroup& place = message.in_group;
      place.group = group;
      place.earlier = group->last;
      (group->last == nullptr ? group->first : group->last->in_group.later) = &message;
      group->last = &message;
      return group->first == &message;
    }

   private:
    FifoGroup* Create() {
      auto* const group = new FifoGroup{std::string(name_.text), name_.hash, &shard_.mutex};
      shard_.groups.insert(group);
      return group;
    }

    const Name name_;
    Shard& shard_;
    const std::lock_guard<std::mutex> lock_;
  };

  // The message is over. What the caller has to list now, if anything: its group's new first message.
  std::optional<LinePlace> Leave(Particulars& message) {
    PlaceInGroup& place = message.in_group;
    FifoGroup& group = *place.group;
    const std::lock_guard lock(*group.mutex);
    const bool was_first = place.earlier == nullptr;
    (was_first ? group.first : place.earlier->in_group.later) = place.later;
    (place.later == nullptr ? group.last : place.later->in_group.earlier) = place.earlier;
    place.group = nullptr;
    if (group.first == nullptr) {
      Erase(group);
      return std::nullopt;
    }
    if (!was_first || !MarkIfVisible(*group.first)) return std::nullopt;
    return group.first->in_group.place;
  }

  // An owned message becomes visible, with the word `listed`. Returns whether the caller has to list it.
  static bool GiveBackVisible(Particulars& message, SlotWord listed) {
    const std::lock_guard lock(*message.in_group.group->mutex);
    return GiveBack(message, listed);
  }

  // An owned message lies elsewhere from now on, where it is given back with `word`. Returns whether the caller has to
  // list it.
  static bool Relocate(Particulars& message, LinePlace place, std::atomic<std::uint64_t>& at, SlotWord word) {
    const std::lock_guard lock(*message.in_group.group->mutex);
    message.in_group.place = place;
    message.in_group.word = &at;
    return GiveBack(message, word);
  }

 private:
  static constexpr int kShardBits = 5;
  using Shards = std::array<Shard, std::size_t{1} << kShardBits>;

  // The table within a shard goes by the other bits of the hash. Queues that nothing was ever sent to have no shards.
  Shard& ShardOf(std::size_t hash) {
    return (*GetOrCreate(shards_))[hash >> (std::numeric_limits<std::size_t>::digits - kShardBits)];
  }

  // Under the group's mutex.
  static bool GiveBack(Particulars& message, SlotWord word) {
    const bool to_list = word.phase() == Phase::kListed && message.in_group.earlier == nullptr;
    if (to_list) word = word.With(SlotWord::kInLine);
    // Release: pairs with whoever takes the slot over next. Sequentially consistent, for who recomputes a deadline.
    message.in_group.word->exchange(word.bits(), std::memory_order_seq_cst);
    return to_list;
  }

  // Under the group's mutex.
  void Erase(FifoGroup& group) {
    auto& groups = ShardOf(group.hash).groups;
    groups.erase(&group);
    ShrinkIfSparse(groups);
    delete &group;
  }

  // Under the group's mutex. False: it is not visible, or its owner will see to it, or it is listed already.
  static bool MarkIfVisible(const Particulars& first) {
    std::atomic<std::uint64_t>& word = *first.in_group.word;
    std::uint64_t seen = word.load(std::memory_order_acquire);
    while (SlotWord(seen).phase() == Phase::kListed && !SlotWord(seen).Has(SlotWord::kInLine)) {
      // Another change meanwhile is of a mark, or somebody owns it now.
      const std::uint64_t marked = SlotWord(seen).With(SlotWord::kInLine).bits();
      if (word.compare_exchange_weak(seen, marked, std::memory_order_acq_rel, std::memory_order_acquire)) return true;
    }
    return false;
  }

  std::atomic<Shards*> shards_{nullptr};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_FIFO_GROUPS_H_
