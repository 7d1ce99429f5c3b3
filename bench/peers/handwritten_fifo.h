// The FIFO queue that one writes in half an hour: a mutex, a map of groups, and a deque of the groups that can be
// received from. It keeps the order and one message of a group in flight, but has no timeouts, no deduplication and no
// limits.
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
    if (messages.size() == 1) ready_groups_.push_back(group);
  }

  // Receives one message and deletes it; returns the number received.
  std::size_t Receive() {
    std::string group;
    {
      const std::lock_guard lock(mutex_);
      if (ready_groups_.empty()) return 0;
      group = std::move(ready_groups_.front());  // not ready while its message is in flight
      ready_groups_.pop_front();
      last_ = groups_.find(group)->second.front();
    }
    const std::lock_guard lock(mutex_);
    const auto found = groups_.find(group);
    found->second.pop_front();
    if (found->second.empty()) {
      groups_.erase(found);
    } else {
      ready_groups_.push_back(group);
    }
    return 1;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::deque<std::size_t>> groups_;
  std::deque<std::string> ready_groups_;
  std::size_t last_ = 0;
};

#endif  // DECOUPLE_BENCH_PEERS_HANDWRITTEN_FIFO_H_
