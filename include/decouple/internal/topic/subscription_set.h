// The subscriptions of a topic, with their filters. Publishers read an immutable snapshot; a change replaces it by
// another one. So a publish sees the old set or the new one, as a whole.
//
// Threading: reading a snapshot is wait-free: load the pointer and add a reference, both within one RcuReadGuard. A
// change drops the set's own reference on the old snapshot after an RcuSynchronize(), when no reader can still be
// between the two steps.
//
// Design: a snapshot is a few parts of doubling size, each with an index over its filters. A new subscription is a part
// of its own, merged with those before it that are no larger. A subscription that ends is marked as removed in a
// bitmap; once half of a part is removed, the part is built anew.
//
// Complexity, of n subscriptions: a change costs O(log n) and the copy of a bitmap, amortized; a publish looks into
// O(log n) indices.

#ifndef DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_SET_H_
#define DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_SET_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "decouple/filter_policy.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/filter/filter_index.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/internal/topic/subscription_core.h"

namespace decouple::inline v0_1::internal {

struct SubscriptionEntry {
  std::shared_ptr<SubscriptionCore> core;
  FilterPolicy filter;
};

// The number of subscriptions that filter, by what their filters look at.
struct FilterCounts {
  std::int64_t by_attributes = 0;  // attributes, and perhaps the body too
  std::int64_t by_body = 0;        // the body alone

  void Count(const FilterPolicy& filter, std::int64_t n) {
    if (filter.lets_all_through()) return;
    (filter.looks_at_attributes() ? by_attributes : by_body) += n;
  }
};

class SubscriptionSnapshot {
 public:
  // Immutable, and shared between snapshots. A member is known by its index.
  class Part {
   public:
    explicit Part(std::vector<SubscriptionEntry> members) : members_(std::move(members)) {
      std::vector<const FilterGroup*> policies;
      for (std::uint32_t index = 0; index < members_.size(); ++index) {
        indices_.emplace(members_[index].core->number(), index);
        if (members_[index].filter.lets_all_through()) {
          unfiltered_.push_back(index);
        } else {
          filtered_.push_back(index);
          policies.push_back(Access::Tree(members_[index].filter));
        }
      }
      DECOUPLE_ASSERT(indices_.size() == members_.size());  // numbers are unique
      filters_ = FilterIndex(std::move(policies));
    }

    const std::vector<SubscriptionEntry>& members() const { return members_; }

    // None: this part has no subscription with that number.
    std::optional<std::size_t> IndexOf(std::uint64_t number) const {
      const auto found = indices_.find(number);
      return found == indices_.end() ? std::nullopt : std::optional<std::size_t>(found->second);
    }

    // Calls visit(index) for each match, also for members that have been removed.
    template <typename Visit>
    void ForEachMatch(const FilterInput& message, Visit visit) const {
      for (const std::uint32_t index : unfiltered_) visit(index);
      if (filtered_.empty()) return;
      filters_.ForEachMatch(message.root(), [&](std::uint32_t policy) { visit(filtered_[policy]); });
    }

   private:
    const std::vector<SubscriptionEntry> members_;
    absl::flat_hash_map<std::uint64_t, std::uint32_t> indices_;  // by the subscription's number
    std::vector<std::uint32_t> unfiltered_;
    std::vector<std::uint32_t> filtered_;
    FilterIndex filters_;  // policy i is that of member filtered_[i]
  };

  // A part and which of its members are left.
  struct LivePart {
    std::shared_ptr<const Part> part;
    std::vector<bool> is_removed;  // by index; empty if no member is
    std::size_t live = 0;          // the number of members that are left, never 0

    bool IsLive(std::size_t index) const { return is_removed.empty() || !is_removed[index]; }
  };

  // Calls visit(entry) for each subscription whose filter lets the message through.
  template <typename Visit>
  void ForEachMatch(const FilterInput& message, Visit visit) const {
    for (const LivePart& live : parts_) {
      const SubscriptionEntry* const members = live.part->members().data();
      const bool all_are_live = live.is_removed.empty();
      live.part->ForEachMatch(
          message, [&](std::uint32_t index) __attribute__((always_inline)) {
            if (all_are_live || !live.is_removed[index]) visit(members[index]);
          });
    }
  }

  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const LivePart& live : parts_) {
      for (std::size_t index = 0; index < live.part->members().size(); ++index) {
        if (live.IsLive(index)) visit(live.part->members()[index]);
      }
    }
  }

  // Null: there is no subscription with that number.
  const SubscriptionEntry* Find(std::uint64_t number) const {
    for (const LivePart& live : parts_) {
      const std::optional<std::size_t> index = live.part->IndexOf(number);
      if (index && live.IsLive(*index)) return &live.part->members()[*index];
    }
    return nullptr;
  }

  const FilterCounts& filters() const { return filters_; }

 private:
  friend class SubscriptionSet;

  static constexpr std::size_t kSmall = 32;  // parts that have no more than this many members together are merged

  void Add(SubscriptionEntry entry) {
    filters_.Count(entry.filter, 1);
    std::vector<SubscriptionEntry> members;
    members.push_back(std::move(entry));
    while (!parts_.empty() &&
           parts_.back().live <= std::max(members.size(), kSmall - std::min(kSmall, members.size()))) {
      std::vector<SubscriptionEntry> earlier = LiveOf(parts_.back());
      earlier.insert(earlier.end(), std::make_move_iterator(members.begin()), std::make_move_iterator(members.end()));
      members = std::move(earlier);
      parts_.pop_back();
    }
    const std::size_t live = members.size();
    parts_.push_back({std::make_shared<const Part>(std::move(members)), {}, live});
  }

  // None: there is no subscription with that number.
  std::optional<SubscriptionEntry> Remove(std::uint64_t number) {
    for (auto live = parts_.begin(); live != parts_.end(); ++live) {
      const std::optional<std::size_t> index = live->part->IndexOf(number);
      if (!index || !live->IsLive(*index)) continue;
      const std::vector<SubscriptionEntry>& members = live->part->members();
      SubscriptionEntry removed = members[*index];
      filters_.Count(removed.filter, -1);
      if (live->is_removed.empty()) live->is_removed.resize(members.size());
      live->is_removed[*index] = true;
      DECOUPLE_ASSERT(live->live > 0);
      --live->live;
      if (live->live == 0) {
        parts_.erase(live);
      } else if (live->live * 2 <= members.size()) {
        std::vector<SubscriptionEntry> left = LiveOf(*live);
        *live = {std::make_shared<const Part>(std::move(left)), {}, live->live};
      }
      return removed;
    }
    return std::nullopt;
  }

  static std::vector<SubscriptionEntry> LiveOf(const LivePart& live) {
    std::vector<SubscriptionEntry> members;
    for (std::size_t index = 0; index < live.part->members().size(); ++index) {
      if (live.IsLive(index)) members.push_back(live.part->members()[index]);
    }
    DECOUPLE_ASSERT(members.size() == live.live);
    return members;
  }

  std::vector<LivePart> parts_;
  FilterCounts filters_;
  // One for each reader, and one for the set while this is the current snapshot.
  std::atomic<std::int64_t> references_{1};
};

class SubscriptionSet {
 public:
  SubscriptionSet() = default;
  SubscriptionSet(const SubscriptionSet&) = delete;
  SubscriptionSet& operator=(const SubscriptionSet&) = delete;
  ~SubscriptionSet() { ReleaseReference(current_.load(std::memory_order_acquire)); }

  // The subscriptions as they were at Look(), which is called once, for as long as the reader lives. User code may run
  // meanwhile.
  class Reader {
   public:
    Reader() = default;
    explicit Reader(const SubscriptionSet& set) { Look(set); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() {
      if (snapshot_ != nullptr) ReleaseReference(snapshot_);
    }

    const SubscriptionSnapshot& Look(const SubscriptionSet& set) {
      DECOUPLE_ASSERT(snapshot_ == nullptr);
      const RcuReadGuard section;                                      // pairs with the RcuSynchronize() in Replace()
      snapshot_ = set.current_.load(std::memory_order_acquire);        // pairs with the store in Replace()
      snapshot_->references_.fetch_add(1, std::memory_order_relaxed);  // the set's own lasts until the section ends
      return *snapshot_;
    }

    const SubscriptionSnapshot* operator->() const { return snapshot_; }

   private:
    SubscriptionSnapshot* snapshot_ = nullptr;
  };

  // What a change replaced. Its end may destroy ended subscriptions, and with these functions and queues of the user's:
  // it must not be destroyed under a lock.
  class Former {
   public:
    Former() = default;
    Former(const Former&) = delete;
    Former& operator=(const Former&) = delete;
    ~Former() {
      if (snapshot_ != nullptr) ReleaseReference(snapshot_);
    }

   private:
    friend class SubscriptionSet;

    SubscriptionSnapshot* snapshot_ = nullptr;
  };

  // One thread at a time may change the set. Each change needs a `former` of its own.
  void Add(SubscriptionEntry entry, Former& former) {
    Replace(former, [&](SubscriptionSnapshot& next) { next.Add(std::move(entry)); });
  }

  // None: there is no subscription with that number.
  std::optional<SubscriptionEntry> Remove(std::uint64_t number, Former& former) {
    std::optional<SubscriptionEntry> removed;
    Replace(former, [&](SubscriptionSnapshot& next) { removed = next.Remove(number); });
    return removed;
  }

  // False: there is no subscription with that number.
  bool SetFilter(std::uint64_t number, FilterPolicy filter, Former& former) {
    bool found = false;
    Replace(former, [&](SubscriptionSnapshot& next) {
      if (std::optional<SubscriptionEntry> entry = next.Remove(number)) {
        found = true;
        next.Add({std::move(entry->core), std::move(filter)});
      }
    });
    return found;
  }

 private:
  template <typename Change>
  void Replace(Former& former, Change change) {
    DECOUPLE_ASSERT(former.snapshot_ == nullptr);
    SubscriptionSnapshot* const replaced = current_.load(std::memory_order_relaxed);  // only this thread changes it
    auto* const next = new SubscriptionSnapshot;
    next->parts_ = replaced->parts_;
    next->filters_ = replaced->filters_;
    change(*next);
    DECOUPLE_ASSERT(current_.load(std::memory_order_relaxed) == replaced);
    current_.store(next, std::memory_order_release);  // pairs with Reader::Look()
    RcuSynchronize();
    former.snapshot_ = replaced;
  }

  // Acquire and release: what other readers did with the snapshot happens before its deletion.
  static void ReleaseReference(SubscriptionSnapshot* snapshot) {
    const std::int64_t references = snapshot->references_.fetch_sub(1, std::memory_order_acq_rel);
    DECOUPLE_ASSERT(references > 0);
    if (references == 1) delete snapshot;
  }

  std::atomic<SubscriptionSnapshot*> current_{new SubscriptionSnapshot};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_SET_H_
