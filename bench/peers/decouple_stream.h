// A stream whose records are numbers.
#ifndef DECOUPLE_BENCH_PEERS_DECOUPLE_STREAM_H_
#define DECOUPLE_BENCH_PEERS_DECOUPLE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "absl/time/time.h"
#include "decouple/stream.h"

// `hash`: how partition keys are hashed.
template <decouple::PartitionHash hash>
class DecoupleStreamOf {
 public:
  DecoupleStreamOf(std::size_t shards, std::size_t kept_per_shard)
      : stream_(decouple::Stream<std::uint64_t>::Create(
                    {.shards = shards, .retained_bytes_per_shard = kept_per_shard * 16, .partition_hash = hash})
                    .value()) {}

  void Put(std::string_view key, std::uint64_t number) {
    if (!stream_.Put(key, number).ok()) std::abort();
  }

  // Reads one shard's records from the oldest on.
  class Reader {
   public:
    Reader(DecoupleStreamOf& peer, std::size_t shard)
        : iterator_(peer.stream_.Iterate(decouple::ShardId(shard), decouple::TrimHorizon{}).value()) {}

    // Adds up the records that are there, at most `most`. Returns their number.
    std::size_t Read(std::size_t most, std::uint64_t& sum) { return Add(iterator_.Next(most).value(), sum); }
    // Same as Read(), but waits for a record.
    std::size_t Await(std::size_t most, std::uint64_t& sum) {
      return Add(iterator_.Next(most, {.wait = absl::InfiniteDuration()}).value(), sum);
    }

   private:
    static std::size_t Add(const decouple::RecordBatch<std::uint64_t>& batch, std::uint64_t& sum) {
      std::uint64_t here = 0;
      for (const auto& record : batch) here += record.body();
      sum += here;
      return batch.size();
    }

    decouple::ShardIterator<std::uint64_t> iterator_;
  };

 private:
  decouple::Stream<std::uint64_t> stream_;
};

class DecoupleStreamPeer : public DecoupleStreamOf<decouple::PartitionHash::kMd5> {
 public:
  static constexpr const char* kName = "decouple";
  using DecoupleStreamOf::DecoupleStreamOf;
};

class DecoupleFastHashPeer : public DecoupleStreamOf<decouple::PartitionHash::kFast> {
 public:
  static constexpr const char* kName = "decouple_fast_hash";
  using DecoupleStreamOf::DecoupleStreamOf;
};

#endif  // DECOUPLE_BENCH_PEERS_DECOUPLE_STREAM_H_
