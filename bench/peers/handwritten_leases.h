// The messages in flight of a queue that one writes in an afternoon: a hash map, and a priority queue of deadlines. The
// queue's mutex guards it.
#ifndef DECOUPLE_BENCH_PEERS_HANDWRITTEN_LEASES_H_
#define DECOUPLE_BENCH_PEERS_HANDWRITTEN_LEASES_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

template <typename Leased>
class HandwrittenLeases {
 public:
  using Clock = std::chrono::steady_clock;

  void Add(std::uint64_t id, const Leased& leased, Clock::time_point now) {
    deadlines_.push({now + std::chrono::seconds(30), id});
    in_flight_.emplace(id, leased);
    // Deadlines of deleted messages stay, and are removed together once most are of no use.
    if (deadlines_.size() > 2 * in_flight_.size() + 1'000) ForgetDeleted();
  }

  // None: the visibility timeout has ended.
  std::optional<Leased> Take(std::uint64_t id) {
    const auto found = in_flight_.find(id);
    if (found == in_flight_.end()) return std::nullopt;
    Leased leased = std::move(found->second);
    in_flight_.erase(found);
    return leased;
  }
  void Remove(std::uint64_t id) { in_flight_.erase(id); }

  // Removes those whose visibility timeout has ended and calls give_back(id, leased) for each.
  template <typename GiveBack>
  void TakeLate(Clock::time_point now, GiveBack give_back) {
    for (; !deadlines_.empty() && deadlines_.top().at <= now; deadlines_.pop()) {
      const auto late = in_flight_.find(deadlines_.top().id);
      if (late == in_flight_.end()) continue;  // it was deleted
      give_back(late->first, std::move(late->second));
      in_flight_.erase(late);
    }
  }

 private:
  struct Deadline {
    Clock::time_point at;
    std::uint64_t id;
    friend bool operator<(const Deadline& a, const Deadline& b) { return a.at > b.at; }
  };

  void ForgetDeleted() {
    std::vector<Deadline> left;
    for (; !deadlines_.empty(); deadlines_.pop()) {
      if (in_flight_.contains(deadlines_.top().id)) left.push_back(deadlines_.top());
    }
    deadlines_ = std::priority_queue<Deadline>(std::less<Deadline>(), std::move(left));
  }

  std::unordered_map<std::uint64_t, Leased> in_flight_;
  std::priority_queue<Deadline> deadlines_;
};

#endif  // DECOUPLE_BENCH_PEERS_HANDWRITTEN_LEASES_H_
