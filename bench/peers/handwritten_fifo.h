// What one writes in half an hour: a mutex, a map of groups, and a line of those that can be received. It keeps the
// order and one message of a group in flight, but knows no timeouts, no duplicates and no limits.
#ifndef DECOUPLE_BENCH_PEERS_HANDWRITTEN_FIFO_H_
#define DECOUPLE_BENCH_PEERS_HANDWRITTEN_FIFO_H_

#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>

class HandwrittenFifoPeer {
 public:
  static constexpr const char* kName = "handwritten";

  void Send(const std::string& group, std::size_t number) {
    const std::lock_guard lock(mutex_);
    std::deque<std::size_t>& messages = groups_[group];
    messages.push_back(number);
    if (messages.size() == 1) redelivery_lane_.push_back(group);
  }

  // Receives one and deletes it; returns how many were there.
  std::size_t Receive() {
    std::string group;
    {
      const std::lock_guard lock(mutex_);
      if (redelivery_lane_.empty()) return 0;
      group = std::move(redelivery_lane_.front());  // in flight: not in the line
      redelivery_lane_.pop_front();
      last_ = groups_.find(group)->second.front();
    }
    const std::lock_guard lock(mutex_);
    const auto found = groups_.find(group);
    found->second.pop_front();
    if (found->second.empty()) {
      groups_.erase(found);
    } else {
      redelivery_lane_.push_back(group);
    }
    return 1;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::deque<std::size_t>> groups_;
  std::deque<std::string> redelivery_lane_;
  std::size_t last_ = 0;
};

#endif  // DECOUPLE_BENCH_PEERS_HANDWRITTEN_FIFO_H_
