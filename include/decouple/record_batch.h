// What a read of a stream returns: records, in the order in which they were put, without copying them.
//
//   for (const auto& record : iterator.Next(100).value()) Handle(record.partition_key(), record.body());
//
// A batch keeps the memory of its records alive for as long as it lives, even after the stream has gone; records refer
// to the batch. A batch that is kept for long may keep the memory of some thousand expired records.
//
// A batch must be used by one thread at a time; its records are immutable and may be read by any thread.

#ifndef DECOUPLE_RECORD_BATCH_H_
#define DECOUPLE_RECORD_BATCH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/stream/record_log.h"
#include "decouple/internal/stream/record_segment.h"
#include "decouple/message.h"
#include "decouple/publication.h"
#include "decouple/sequence_number.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1 {

namespace internal {
template <typename T>
class ShardCore;
template <typename T>
class ShardReader;
}  // namespace internal

template <typename T>
class RecordBatch;
template <typename T>
class KeyIterator;

// A view of one record. Valid as long as its batch.
template <typename T>
class Record {
  using Segment = internal::RecordSegment<T>;

 public:
  const T& body() const { return *body_; }
  std::string_view partition_key() const { return segment_->key(at_); }
  SequenceNumber sequence_number() const {
    return internal::Access::Make<SequenceNumber>(base_.value() + segment_->first() + at_,
                                                  internal::Access::Origin(base_));
  }
  // When it was put. The order of records that several threads put at the same time may differ from that of their
  // times.
  absl::Time approximate_arrival_timestamp() const { return absl::FromUnixNanos(segment_->arrival(at_)); }
  // The size of body and key together.
  std::size_t bytes() const { return segment_->bytes(at_); }

  // What was published with it on a topic that feeds the stream; null if it was put directly.
  const Publication* publication() const {
    return segment_->IsShared(at_) ? segment_->shared(at_).publication() : nullptr;
  }

 private:
  friend struct internal::Access;
  friend class RecordBatch<T>;

  Record() = default;
  Record(Segment& segment, std::uint32_t at, SequenceNumber base)
      : body_(std::addressof(segment.body(at))), at_(at), segment_(&segment), base_(base) {}

  // A reference to the body, owned by the caller.
  internal::BodyReference Share() const { return internal::BodyReference(new internal::RecordBody<T>(*segment_, at_)); }

  const T* body_ = nullptr;
  std::uint32_t at_ = 0;
  Segment* segment_ = nullptr;
  SequenceNumber base_;  // of the shard's first record
};

// The records of one read, possibly none. Copies hold the same memory.
template <typename T>
class RecordBatch {
  using Run = internal::RecordRun<T>;

 public:
  class const_iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Record<T>;
    using difference_type = std::ptrdiff_t;
    using pointer = const Record<T>*;
    using reference = const Record<T>&;

    const_iterator() = default;

    const Record<T>& operator*() const { return record_; }
    const Record<T>* operator->() const { return &record_; }
    const_iterator& operator++() {
      ++record_.at_;
      record_.body_ = Behind(record_.body_);
      __builtin_prefetch(reinterpret_cast<const std::byte*>(record_.body_) + ahead_);
      if (record_.body_ == stop_) [[unlikely]]
        *this = Continued(*this);
      return *this;
    }
    const_iterator operator++(int) {
      const_iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const const_iterator& other) const { return record_.body_ == other.record_.body_; }

   private:
    friend class RecordBatch;

    const_iterator(const Run* run, const Run* last, SequenceNumber base) : last_(last), base_(base) { Enter(run); }

    // How far ahead an iterator prefetches: records may have left the caches, and a loop with little work per record
    // does not run far enough ahead to keep memory busy (exp. 27). Runs shorter than kLong are most likely the tip of
    // the shard, where a prefetch would take cache lines from the threads that put.
    static constexpr std::size_t kAhead = 4096;
    static constexpr std::size_t kLong = 4 * kAhead;

    // The bodies of a run are contiguous, so an iterator moves one pointer until it reaches `stop_`. In a segment where
    // some bodies are shared, and so stored elsewhere, `stop_` is behind each single record.
    static const T* Behind(const T* body) {
      return reinterpret_cast<const T*>(reinterpret_cast<const std::byte*>(body) +
                                        sizeof(typename internal::RecordSegment<T>::Body));
    }

    void Enter(const Run* run) {
      run_ = run;
      if (run == last_) {
        record_ = Record<T>();
        return;
      }
      record_ = Record<T>(*run->segment, run->begin, base_);
      ahead_ = (run->end - run->begin) * sizeof(typename internal::RecordSegment<T>::Body) < kLong ? 0 : kAhead;
      stop_ = run->segment->has_shared() ? Behind(record_.body_)
                                         : reinterpret_cast<const T*>(run->segment->bodies() + run->end);
    }

    // Takes and returns a copy, so that the address of the loop's iterator never escapes and it stays in registers
    // (exp. 28).
    static const_iterator Continued(const_iterator stopped) {
      Record<T>& record = stopped.record_;
      if (record.at_ == stopped.run_->end) {
        stopped.Enter(stopped.run_ + 1);
      } else {
        record.body_ = std::addressof(stopped.run_->segment->body(record.at_));
        stopped.stop_ = Behind(record.body_);
      }
      return stopped;
    }

    Record<T> record_;
    const T* stop_ = nullptr;
    std::size_t ahead_ = 0;
    const Run* run_ = nullptr;
    const Run* last_ = nullptr;
    SequenceNumber base_;
  };
  using iterator = const_iterator;
  using value_type = Record<T>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;

  const_iterator begin() const { return const_iterator(runs_.data(), runs_.data() + runs_.size(), base_); }
  const_iterator end() const { return const_iterator(runs_.data() + runs_.size(), runs_.data() + runs_.size(), base_); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Record<T> front() const { return *begin(); }
  Record<T> back() const { return {*runs_.back().segment, runs_.back().end - 1, base_}; }
  // O(runs of records that lie side by side): records / 4 096, and in a KeyIterator's batch one for each change of key.
  Record<T> operator[](std::size_t i) const {
    for (const Run& run : runs_) {
      if (i < run.end - run.begin) return {*run.segment, run.begin + static_cast<std::uint32_t>(i), base_};
      i -= run.end - run.begin;
    }
    return {};
  }

  // The size of all records together.
  std::size_t bytes() const { return bytes_; }
  ShardId shard_id() const { return shard_id_; }
  // How long the next record of the shard has been waiting, at least 1; 0 if there is none: the reader is at the tip.
  std::int64_t millis_behind_latest() const { return millis_behind_latest_; }
  // Whether these were the last records: the shard is closed and has been read to its end.
  bool shard_ended() const { return shard_ended_; }
  // After the end of the shard: the shards that continue it; none if the stream was closed.
  const std::vector<Shard>& child_shards() const { return child_shards_; }

 private:
  friend class internal::ShardCore<T>;
  friend class internal::ShardReader<T>;
  friend class KeyIterator<T>;

  // Leaves out all but the first `n` records. `millis_behind_latest`: how long the first that is left out has been
  // waiting. Requires: 0 < n < size().
  void KeepFirst(std::size_t n, std::int64_t millis_behind_latest) {
    size_ = n;
    millis_behind_latest_ = millis_behind_latest;
    bytes_ = 0;
    auto run = runs_.begin();
    for (;; ++run) {
      run->end = static_cast<std::uint32_t>(std::min<std::size_t>(run->end, run->begin + n));
      for (std::uint32_t at = run->begin; at < run->end; ++at) bytes_ += run->segment->bytes(at);
      n -= run->end - run->begin;
      if (n == 0) break;
    }
    runs_.erase(run + 1, runs_.end());
    shard_ended_ = false;
    child_shards_.clear();
  }

  internal::RecordRuns<T> runs_;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  ShardId shard_id_;
  SequenceNumber base_;
  std::int64_t millis_behind_latest_ = 0;
  bool shard_ended_ = false;
  std::vector<Shard> child_shards_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_RECORD_BATCH_H_
