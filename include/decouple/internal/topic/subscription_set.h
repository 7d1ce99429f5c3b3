// Who is subscribed to a topic, with which filters: publishers look at a snapshot that never changes, and whoever
// subscribes replaces it by another. So a publish sees the old set or the new one, as a whole.
//
// Reading a snapshot is wait-free: load the pointer and count oneself in, both within one RcuReadGuard. Whoever replaces
// it gives up the set's own count of the old one after a RcuSynchronize(), when nobody can count himself in any more.
//
// A snapshot is a few parts of doubling size, each with an index over its filters. A new subscription is a part of its
// own, merged with those before it that are no larger; one that ends is struck off a bit map, until half of its part
// is. So changing one of n subscriptions costs O(log n) and the copy of a bit map, amortized, and a publish looks into
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
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/filter/filter_index.h"
#include "decouple/internal/filter/filter_input.h"
#include "decouple/internal/topic/subscription_core.h"

namespace decouple::internal {

struct SubscriptionEntry {
  std::shared_ptr<SubscriptionCore> core;
  FilterPolicy filter;
};

// How many subscriptions filter by what.
struct FilterCounts {
  std::int64_t by_attributes = 0;  // and perhaps by the body, too
  std::int64_t by_body = 0;        // alone

  void Count(const FilterPolicy& filter, std::int64_t n) {
    if (filter.lets_all_through()) return;
    (filter.looks_at_attributes() ? by_attributes : by_body) += n;
  }
};

class SubscriptionSnapshot {
 public:
  // Parts are shared between snapshots.
  class Part {
   public:
    explicit Part(std::vector<SubscriptionEntry> members) : members_(std::move(members)) {
      std::vector<const FilterGroup*> policies;
      for (std::uint32_t place = 0; place < members_.size(); ++place) {
        places_.emplace(members_[place].core->number(), place);
        if (members_[place].filter.lets_all_through()) {
          unfiltered_.push_back(place);
        } else {
          filtered_.push_back(place);
          policies.push_back(Access::Tree(members_[place].filter));
        }
      }
      index_ = FilterIndex(std::move(policies));
    }

    const std::vector<SubscriptionEntry>& members() const { return members_; }

    // Of the subscription of that number, if it is here.
    std::optional<std::size_t> PlaceOf(std::uint64_t number) const {
      const auto found = places_.find(number);
      return found == places_.end() ? std::nullopt : std::optional<std::size_t>(found->second);
    }

    // Calls visit(place); places of those that have been struck off, too.
    template <typename Visit>
    void ForEachMatch(const FilterInput& message, Visit visit) const {
      for (const std::uint32_t place : unfiltered_) visit(place);
      if (filtered_.empty()) return;
      index_.ForEachMatch(message.root(), [&](std::uint32_t policy) { visit(filtered_[policy]); });
    }

   private:
    const std::vector<SubscriptionEntry> members_;
    absl::flat_hash_map<std::uint64_t, std::uint32_t> places_;
    std::vector<std::uint32_t> unfiltered_;
    std::vector<std::uint32_t> filtered_;
    FilterIndex index_;
  };

  // A part, without those that are struck off: empty if none is.
  struct LivePart {
    std::shared_ptr<const Part> part;
    std::vector<bool> is_struck_off;
    std::size_t live = 0;

    bool IsLive(std::size_t place) const { return is_struck_off.empty() || !is_struck_off[place]; }
  };

  // Calls visit(subscribed) for each whose filter lets the message through.
  template <typename Visit>
  void ForEachMatch(const FilterInput& message, Visit visit) const {
    for (const LivePart& live : parts_) {
      const SubscriptionEntry* const members = live.part->members().data();
      const bool all_are_live = live.is_struck_off.empty();
      live.part->ForEachMatch(
          message, [&](std::uint32_t place) __attribute__((always_inline)) {
            if (all_are_live || !live.is_struck_off[place]) visit(members[place]);
          });
    }
  }

  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const LivePart& live : parts_) {
      for (std::size_t place = 0; place < live.part->members().size(); ++place) {
        if (live.IsLive(place)) visit(live.part->members()[place]);
      }
    }
  }

  // Null if it is not there.
  const SubscriptionEntry* Find(std::uint64_t number) const {
    for (const LivePart& live : parts_) {
      const std::optional<std::size_t> place = live.part->PlaceOf(number);
      if (place && live.IsLive(*place)) return &live.part->members()[*place];
    }
    return nullptr;
  }

  const FilterCounts& filters() const { return filters_; }

 private:
  friend class SubscriptionSet;

  static constexpr std::size_t kSmall = 32;  // so many are one part, however they came

  void Add(SubscriptionEntry one) {
    filters_.Count(one.filter, 1);
    std::vector<SubscriptionEntry> members;
    members.push_back(std::move(one));
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

  // None if it is not there.
  std::optional<SubscriptionEntry> Remove(std::uint64_t number) {
    for (auto live = parts_.begin(); live != parts_.end(); ++live) {
      const std::optional<std::size_t> place = live->part->PlaceOf(number);
      if (!place || !live->IsLive(*place)) continue;
      const std::vector<SubscriptionEntry>& members = live->part->members();
      SubscriptionEntry removed = members[*place];
      filters_.Count(removed.filter, -1);
      if (live->is_struck_off.empty()) live->is_struck_off.resize(members.size());
      live->is_struck_off[*place] = true;
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
    for (std::size_t place = 0; place < live.part->members().size(); ++place) {
      if (live.IsLive(place)) members.push_back(live.part->members()[place]);
    }
    return members;
  }

  std::vector<LivePart> parts_;
  FilterCounts filters_;
  std::atomic<std::int64_t> readers_{1};  // and one for the set, while it is the current one
};

class SubscriptionSet {
 public:
  SubscriptionSet() = default;
  SubscriptionSet(const SubscriptionSet&) = delete;
  SubscriptionSet& operator=(const SubscriptionSet&) = delete;
  ~SubscriptionSet() { ReleaseReference(current_.load(std::memory_order_acquire)); }

  // The subscriptions as they were when it looked, once, for as long as it lives. User code may run meanwhile.
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
      const RcuReadGuard section;  // pairs with the RcuSynchronize() in Replace()
      snapshot_ = set.current_.load(std::memory_order_acquire);
      snapshot_->readers_.fetch_add(1, std::memory_order_relaxed);
      return *snapshot_;
    }

    const SubscriptionSnapshot* operator->() const { return snapshot_; }

   private:
    SubscriptionSnapshot* snapshot_ = nullptr;
  };

  // One thread at a time changes the set.
  void Add(SubscriptionEntry one) {
    Replace([&](SubscriptionSnapshot& next) { next.Add(std::move(one)); });
  }

  std::optional<SubscriptionEntry> Remove(std::uint64_t number) {
    std::optional<SubscriptionEntry> removed;
    Replace([&](SubscriptionSnapshot& next) { removed = next.Remove(number); });
    return removed;
  }

  // False: it is not there.
  bool SetFilter(std::uint64_t number, FilterPolicy filter) {
    bool found = false;
    Replace([&](SubscriptionSnapshot& next) {
      if (std::optional<SubscriptionEntry> one = next.Remove(number)) {
        found = true;
        next.Add({std::move(one->core), std::move(filter)});
      }
    });
    return found;
  }

 private:
  template <typename Change>
  void Replace(Change change) {
    SubscriptionSnapshot* const former = current_.load(std::memory_order_relaxed);  // only we change it
    auto* const next = new SubscriptionSnapshot;
    next->parts_ = former->parts_;
    next->filters_ = former->filters_;
    change(*next);
    current_.store(next, std::memory_order_release);  // pairs with Reader
    RcuSynchronize();
    ReleaseReference(former);
  }

  // Acquire and release: what other readers did with it comes before its end.
  static void ReleaseReference(SubscriptionSnapshot* snapshot) {
    if (snapshot->readers_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete snapshot;
  }

  std::atomic<SubscriptionSnapshot*> current_{new SubscriptionSnapshot};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_SET_H_
