// The reliable queue that one writes in an afternoon: a mutex, a deque of what is ready, a hash map of what is in
// flight, and a priority queue of deadlines. It gives a message again when its time is up, and knows nothing else.
#ifndef DECOUPLE_BENCH_PEERS_HANDWRITTEN_H_
#define DECOUPLE_BENCH_PEERS_HANDWRITTEN_H_

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

#include "peers/shared_end.h"

template <typename Body>
class HandwrittenPeer {
  using Clock = std::chrono::steady_clock;

 public:
  static constexpr const char* kName = "handwritten";

  void Send(const Body& body) {
    const std::lock_guard lock(mutex_);
    ready_.push_back({++last_id_, body});
  }

  // Receives one and deletes it.
  std::size_t Receive() {
    const auto lease = Lease();
    if (!lease) return 0;
    benchmark::DoNotOptimize(lease->second);
    Delete(lease->first);
    return 1;
  }

  using Sender = SharedEnd<HandwrittenPeer, Body>;
  using Receiver = SharedEnd<HandwrittenPeer, Body>;

 private:
  struct Message {
    std::uint64_t id;
    Body body{};
  };
  struct Deadline {
    Clock::time_point at;
    std::uint64_t id;
    friend bool operator<(const Deadline& a, const Deadline& b) { return a.at > b.at; }
  };

  std::optional<std::pair<std::uint64_t, Body>> Lease() {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    for (; !deadlines_.empty() && deadlines_.top().at <= now; deadlines_.pop()) {
      const auto late = in_flight_.find(deadlines_.top().id);
      if (late == in_flight_.end()) continue;  // it was deleted
      ready_.push_back({late->first, std::move(late->second)});
      in_flight_.erase(late);
    }
    if (ready_.empty()) return std::nullopt;
    Message message = std::move(ready_.front());
    ready_.pop_front();
    deadlines_.push({now + std::chrono::seconds(30), message.id});
    in_flight_.emplace(message.id, message.body);
    // What was deleted stays among the deadlines: they are thinned out when most are of no use.
    if (deadlines_.size() > 2 * in_flight_.size() + 1'000) ForgetDeleted();
    return std::pair(message.id, std::move(message.body));
  }

  void Delete(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    in_flight_.erase(id);
  }

  void ForgetDeleted() {
    std::vector<Deadline> left;
    for (; !deadlines_.empty(); deadlines_.pop()) {
      if (in_flight_.contains(deadlines_.top().id)) left.push_back(deadlines_.top());
    }
    deadlines_ = std::priority_queue<Deadline>(std::less<Deadline>(), std::move(left));
  }

  std::mutex mutex_;
  std::uint64_t last_id_ = 0;
  std::deque<Message> ready_;
  std::unordered_map<std::uint64_t, Body> in_flight_;
  std::priority_queue<Deadline> deadlines_;
};

#endif  // DECOUPLE_BENCH_PEERS_HANDWRITTEN_H_
