// The reliable queue that one writes in an afternoon: a mutex, a deque of the messages that are ready, a hash map of
// those in flight, and a priority queue of deadlines. It redelivers a message when its visibility timeout ends, and has
// no other features.
#ifndef DECOUPLE_BENCH_PEERS_HANDWRITTEN_H_
#define DECOUPLE_BENCH_PEERS_HANDWRITTEN_H_

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "peers/handwritten_leases.h"
#include "peers/shared_end.h"

template <typename Body>
class HandwrittenPeer {
  using Clock = typename HandwrittenLeases<Body>::Clock;

 public:
  static constexpr const char* kName = "handwritten";

  void Send(const Body& body) {
    const std::lock_guard lock(mutex_);
    ready_.push_back({++last_id_, body});
  }

  // Receives one message and deletes it; returns the number received.
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

  std::optional<std::pair<std::uint64_t, Body>> Lease() {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    leases_.TakeLate(now, [this](std::uint64_t id, Body&& body) { ready_.push_back({id, std::move(body)}); });
    if (ready_.empty()) return std::nullopt;
    Message message = std::move(ready_.front());
    ready_.pop_front();
    leases_.Add(message.id, message.body, now);
    return std::pair(message.id, std::move(message.body));
  }

  void Delete(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    leases_.Remove(id);
  }

  std::mutex mutex_;
  std::uint64_t last_id_ = 0;
  std::deque<Message> ready_;
  HandwrittenLeases<Body> leases_;
};

#endif  // DECOUPLE_BENCH_PEERS_HANDWRITTEN_H_
