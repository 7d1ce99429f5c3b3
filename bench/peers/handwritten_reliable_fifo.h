// The FIFO queue that does what ours does in this cycle, written by hand in an afternoon: a mutex, a map of groups, a
// deque of the groups that can be received from, a hash map of the messages in flight with a priority queue of
// deadlines, and a set of the deduplication ids of the last five minutes. It has no limits, no dead letters and no
// delays.
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
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "peers/handwritten_leases.h"

class HandwrittenReliableFifoPeer {
  using Clock = std::chrono::steady_clock;

 public:
  static constexpr const char* kName = "handwritten_reliable";

  // Requires: each `number` is sent once.
  void Send(const std::string& group, std::size_t number) {
    char id[20];
    const auto end = std::to_chars(id, id + sizeof(id), number).ptr;
    Send(group, std::string(id, end), number);
  }

  // Receives one message and deletes it; returns the number received.
  std::size_t Receive() {
    const auto lease = Lease();
    if (!lease) return 0;
    benchmark::DoNotOptimize(lease->second);
    Delete(lease->first);
    return 1;
  }

 private:
  using Groups = std::unordered_map<std::string, std::deque<std::size_t>>;
  using Group = Groups::value_type;  // its address is stable

  struct Sent {
    Clock::time_point at;
    const std::string* id;
  };

  void Send(const std::string& group, std::string id, std::size_t number) {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    for (; !sent_.empty() && sent_.front().at + std::chrono::minutes(5) <= now; sent_.pop_front()) {
      ids_.erase(ids_.find(*sent_.front().id));
    }
    const auto [entry, is_new] = ids_.insert(std::move(id));
    if (!is_new) return;
    sent_.push_back({now, &*entry});
    Group& into = *groups_.try_emplace(group).first;
    into.second.push_back(number);
    if (into.second.size() == 1) ready_groups_.push_back(&into);
  }

  std::optional<std::pair<std::uint64_t, std::size_t>> Lease() {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    leases_.TakeLate(now, [this](std::uint64_t, Group* group) { ready_groups_.push_front(group); });
    if (ready_groups_.empty()) return std::nullopt;
    Group* const group = ready_groups_.front();  // not ready while its message is in flight
    ready_groups_.pop_front();
    const std::uint64_t receipt = ++last_receipt_;
    leases_.Add(receipt, group, now);
    return std::pair(receipt, group->second.front());
  }

  void Delete(std::uint64_t receipt) {
    const std::lock_guard lock(mutex_);
    const std::optional<Group*> leased = leases_.Take(receipt);
    if (!leased) return;
    Group* const group = *leased;
    group->second.pop_front();
    if (group->second.empty()) {
      groups_.erase(groups_.find(group->first));
    } else {
      ready_groups_.push_back(group);
    }
  }

  std::mutex mutex_;
  Groups groups_;
  std::deque<Group*> ready_groups_;
  std::uint64_t last_receipt_ = 0;
  HandwrittenLeases<Group*> leases_;
  std::unordered_set<std::string> ids_;
  std::deque<Sent> sent_;
};

#endif  // DECOUPLE_BENCH_PEERS_HANDWRITTEN_RELIABLE_FIFO_H_
