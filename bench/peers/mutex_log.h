// The log that one writes by hand: for each shard a vector that grows behind a mutex, and a condition variable to wait
// for records. Readers add up in place, with the mutex held.
#ifndef DECOUPLE_BENCH_PEERS_MUTEX_LOG_H_
#define DECOUPLE_BENCH_PEERS_MUTEX_LOG_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

class MutexLogPeer {
  struct Entry {
    std::string key;
    std::chrono::steady_clock::time_point arrival;
    std::uint64_t number;
  };
  struct Shard {
    std::mutex mutex;
    std::condition_variable more;
    std::vector<Entry> entries;
  };

 public:
  static constexpr const char* kName = "mutex_log";

  // A shard that has `kept` records drops them all before the next one.
  MutexLogPeer(std::size_t shards, std::size_t kept) : shards_(shards), kept_(kept) {}

  void Put(std::string_view key, std::uint64_t number) {
    Shard& shard = shards_[std::hash<std::string_view>()(key) % shards_.size()];
    const auto now = std::chrono::steady_clock::now();
    {
      const std::lock_guard lock(shard.mutex);
      if (shard.entries.size() >= kept_) shard.entries.clear();
      shard.entries.push_back({std::string(key), now, number});
    }
    shard.more.notify_all();
  }

  class Reader {
   public:
    Reader(MutexLogPeer& peer, std::size_t shard) : shard_(peer.shards_[shard]) {}

    std::size_t Read(std::size_t most, std::uint64_t& sum) {
      const std::lock_guard lock(shard_.mutex);
      return ReadLocked(most, sum);
    }
    std::size_t Await(std::size_t most, std::uint64_t& sum) {
      std::unique_lock lock(shard_.mutex);
      shard_.more.wait(lock, [&] { return position_ < shard_.entries.size(); });
      return ReadLocked(most, sum);
    }

   private:
    std::size_t ReadLocked(std::size_t most, std::uint64_t& sum) {
      const std::size_t end = std::min(position_ + most, shard_.entries.size());
      const std::size_t count = end - position_;
      std::uint64_t here = 0;
      for (; position_ < end; ++position_) here += shard_.entries[position_].number;
      sum += here;
      return count;
    }

    Shard& shard_;
    std::size_t position_ = 0;
  };

 private:
  std::vector<Shard> shards_;
  const std::size_t kept_;
};

#endif  // DECOUPLE_BENCH_PEERS_MUTEX_LOG_H_
