// The FIFO queue that does what ours does in this cycle, written by hand in an afternoon: a mutex, a map of groups, a line
// of those that can be received, a hash map of what is in flight with a priority queue of deadlines, and what was sent
// in the last five minutes, by its deduplication id. It knows no limits, no dead letters and no delays.
#ifndef DECOUPLE_BENCH_PEERS_HANDWRITTEN_RELIABLE_FIFO_H_
#define DECOUPLE_BENCH_PEERS_HANDWRITTEN_RELIABLE_FIFO_H_

#include <benchmark/benchmark.h>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

class HandwrittenReliableFifoPeer {
  using Clock = std::chrono::steady_clock;

 public:
  static constexpr const char* kName = "handwritten_reliable";

  // `number` is never given twice.
  void Send(const std::string& group, std::size_t number) {
    char id[20];
    const auto end = std::to_chars(id, id + sizeof(id), number).ptr;
    Send(group, std::string(id, end), number);
  }

  // Receives one and deletes it; returns how many were there.
  std::size_t Receive() {
    const auto lease = Lease();
    if (!lease) return 0;
    benchmark::DoNotOptimize(lease->second);
    Delete(lease->first);
    return 1;
  }

 private:
  struct Group {
    std::deque<std::size_t> messages;
  };
  using Groups = std::unordered_map<std::string, Group>;
  using OneGroup = Groups::value_type;  // where it is stays the same

  struct Deadline {
    Clock::time_point at;
    std::uint64_t receipt;
    friend bool operator<(const Deadline& a, const Deadline& b) { return a.at > b.at; }
  };
  using Ids = std::unordered_set<std::string>;
  struct Sent {
    Clock::time_point at;
    Ids::const_iterator id;
  };

  void Send(const std::string& group, std::string id, std::size_t number) {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    for (; !sent_.empty() && sent_.front().at + std::chrono::minutes(5) <= now; sent_.pop_front()) {
      ids_.erase(sent_.front().id);
    }
    const auto [place, is_new] = ids_.insert(std::move(id));
    if (!is_new) return;
    sent_.push_back({now, place});
    OneGroup& into = *groups_.try_emplace(group).first;
    into.second.messages.push_back(number);
    if (into.second.messages.size() == 1) line_.push_back(&into);
  }

  std::optional<std::pair<std::uint64_t, std::size_t>> Lease() {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    for (; !deadlines_.empty() && deadlines_.top().at <= now; deadlines_.pop()) {
      const auto late = in_flight_.find(deadlines_.top().receipt);
      if (late == in_flight_.end()) continue;  // it was deleted
      line_.push_front(late->second);
      in_flight_.erase(late);
    }
    if (line_.empty()) return std::nullopt;
    OneGroup* const group = line_.front();  // in flight: not in the line
    line_.pop_front();
    const std::uint64_t receipt = ++last_receipt_;
    deadlines_.push({now + std::chrono::seconds(30), receipt});
    in_flight_.emplace(receipt, group);
    // What was deleted stays among the deadlines: they are thinned out when most are of no use.
    if (deadlines_.size() > 2 * in_flight_.size() + 1'000) ForgetDeleted();
    return std::pair(receipt, group->second.messages.front());
  }

  void Delete(std::uint64_t receipt) {
    const std::lock_guard lock(mutex_);
    const auto found = in_flight_.find(receipt);
    if (found == in_flight_.end()) return;
    OneGroup* const group = found->second;
    in_flight_.erase(found);
    group->second.messages.pop_front();
    if (group->second.messages.empty()) {
      groups_.erase(groups_.find(group->first));
    } else {
      line_.push_back(group);
    }
  }

  void ForgetDeleted() {
    std::vector<Deadline> left;
    for (; !deadlines_.empty(); deadlines_.pop()) {
      if (in_flight_.contains(deadlines_.top().receipt)) left.push_back(deadlines_.top());
    }
    deadlines_ = std::priority_queue<Deadline>(std::less<Deadline>(), std::move(left));
  }

  std::mutex mutex_;
  Groups groups_;
  std::deque<OneGroup*> line_;
  std::uint64_t last_receipt_ = 0;
  std::unordered_map<std::uint64_t, OneGroup*> in_flight_;
  std::priority_queue<Deadline> deadlines_;
  Ids ids_;
  std::deque<Sent> sent_;
};

#endif  // DECOUPLE_BENCH_PEERS_HANDWRITTEN_RELIABLE_FIFO_H_
