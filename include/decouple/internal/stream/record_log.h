// A shard's log: records are appended, numbered from 0, and read in that order any number of times, until they are
// trimmed from the front.
//
// Design: an appender takes a ticket, which is the record's number, and writes the record into the segment that covers
// that number. Taking a ticket is one fetch_add of a counter that all appenders share; publishing the record is a store
// (record_segment.h). A reader stops at the first record that is not ready, so a record is never seen before those in
// front of it. Segments double in size up to kLargest, so the segment of a record follows from its number alone.
//
// Threading: all public members may be called from any thread. The mutex serializes making and trimming segments.
// Appenders take it once a segment, readers only when they meet expired records. Readers and appenders find segments
// without it, inside an RCU read section.
//
// Invariants:
//   (1) first() and next() only grow, and first() <= next().
//   (2) A segment leaves the directory only when all of its records are ready, so a thread that holds a ticket may use
//       the ticket's segment until it has published the record, also outside a read section.
//   (3) The directory's segments are consecutive, in their numbers and in the records that they cover.

#ifndef DECOUPLE_INTERNAL_STREAM_RECORD_LOG_H_
#define DECOUPLE_INTERNAL_STREAM_RECORD_LOG_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/stream/record_segment.h"
#include "decouple/internal/stream/segment_directory.h"

namespace decouple::inline v0_1::internal {

inline constexpr std::uint64_t kUnbounded = std::numeric_limits<std::uint64_t>::max();

// Consecutive records of one segment, with a reference to it.
template <typename T>
struct RecordRun {
  SegmentReference<T> segment;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

template <typename T>
using RecordRuns = absl::InlinedVector<RecordRun<T>, 2>;

template <typename T>
class RecordLog {
 public:
  using Segment = RecordSegment<T>;
  using Ready = typename Segment::Ready;

  static constexpr std::uint32_t kSmallest = 64;
  // A segment takes a quarter of a megabyte, unless the bodies are too large for that.
  static constexpr std::uint32_t kLargest = static_cast<std::uint32_t>(std::clamp<std::size_t>(
      std::bit_floor((std::size_t{256} << 10) / (sizeof(typename Segment::Body) + Segment::overhead())), kSmallest,
      4096));

  RecordLog() = default;
  RecordLog(const RecordLog&) = delete;
  RecordLog& operator=(const RecordLog&) = delete;
  ~RecordLog() {
    while (!directory_.empty()) directory_.RemoveFirst()->RemoveReference();
    for (Segment* const spare : spares_) spare->Destroy();
  }

  // The oldest record that is retained, and the next one to be appended.
  std::uint64_t first() const { return first_.load(std::memory_order_acquire); }
  std::uint64_t next() const { return next_.load(std::memory_order_acquire); }

  // ---- appending ----------------------------------------------------------------------------------------------------

  // Returns the number of a record that the caller must now write and publish. Relaxed: a ticket publishes nothing.
  // Requires: the caller is in a read section, in which it has seen that the shard is open.
  std::uint64_t TakeTicket() {
    const std::uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
    DECOUPLE_ASSERT(first() <= number);  // it is not ready, so it cannot have been trimmed
    return number;
  }

  // Null if the directory does not have the record's segment: the holder of the record's ticket then calls
  // MakeSegment(). Requires: the caller is in a read section; for a ticket, in the one in which it was taken.
  Segment* FindSegment(std::uint64_t number) const { return directory_.Find(RangeOf(number).segment); }

  // Returns the segment of a record, and makes it and those before it where they do not exist yet.
  // Requires: the caller holds the record's ticket.
  Segment* MakeSegment(std::uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_) {
    const std::uint64_t wanted = RangeOf(number).segment;
    const MutexLock lock(mutex_);
    DECOUPLE_ASSERT(directory_.begin() <= wanted);
    while (directory_.end() <= wanted) {
      const SegmentRange next = RangeNumbered(directory_.end());
      Segment* segment = nullptr;
      if (!spares_.empty() && spares_.back()->capacity() == next.capacity) {
        segment = spares_.back();
        spares_.pop_back();
      } else {
        const bool has_many = directory_.end() - directory_.begin() > kHugePagesAbove;
        segment = Segment::Create(next.capacity, has_many ? PageSpan::FromHugePages : PageSpan::Separate);
      }
      DECOUPLE_ASSERT(directory_.empty() || directory_.Get(directory_.end() - 1)->end() == next.first);
      segment->Begin(next.segment, next.first);
      directory_.Add(segment);
    }
    return directory_.Get(wanted);
  }

  // ---- reading ------------------------------------------------------------------------------------------------------

  struct ReadExtent {
    std::uint64_t begin = 0;  // the first record read; records before it have been trimmed
    std::uint64_t end = 0;    // one past the last
    std::uint64_t bytes = 0;
    // When the record at `end` arrived, if has_next: it is ready, too.
    std::int64_t next_arrival = std::numeric_limits<std::int64_t>::max();
    bool has_next = false;
  };

  // Adds references to the records from `from` on, up to `max_records` and `max_bytes`, but to one at least if one is
  // ready. Records that arrived at `cutoff` or before have expired: they are trimmed instead.
  // Requires: the caller is in no read section.
  ReadExtent Read(std::uint64_t from, std::uint64_t max_records, std::uint64_t max_bytes, std::int64_t cutoff,
                  RecordRuns<T>& runs) {
    DECOUPLE_ASSERT(from <= next());
    bool is_trimmed = false;
    for (;;) {
      {
        const RcuReadGuard section;
        ReadExtent extent;
        extent.begin = extent.end = std::max(from, first());
        Segment* const segment = FindSegment(extent.end);
        // At the tip each load of the record's size takes the cache line from the appenders, so load it only once.
        const Ready ready = segment == nullptr ? Ready() : CountReady(*segment, extent.end, max_records);
        if (ready.records == 0) {
          if (first() > extent.end) continue;  // trimmed meanwhile
          return extent;
        }
        // Records behind one that has not expired are read, even if they have: nothing is trimmed out of order.
        if (is_trimmed || segment->arrival(At(*segment, extent.end)) > cutoff) {
          Collect(segment, ready, max_records, max_bytes, extent, runs);
          DECOUPLE_ASSERT(extent.begin <= extent.end && extent.end <= next());
          return extent;
        }
      }
      Trim(cutoff, kUnbounded, false);
      is_trimmed = true;
    }
  }

  // Returns the first record that arrived at `time` or later, or the next one to be appended if there is none.
  // O(log segments), and a scan of one segment.
  std::uint64_t FindTime(std::int64_t time) const {
    std::uint64_t begin = RangeOf(first()).segment;
    std::uint64_t end = RangeOf(next()).segment;  // the record's segment is this or an earlier one
    while (begin < end) {
      const std::uint64_t middle = begin + (end - begin) / 2;
      const RcuReadGuard section;
      const Segment* const segment = directory_.Find(middle);
      const SegmentRange range = RangeNumbered(middle);
      // Null: it was trimmed meanwhile, or the holders of its tickets have not made it yet.
      const bool is_before =
          segment == nullptr ? range.first + range.capacity <= first() : segment->LatestArrival() < time;
      if (is_before) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    const RcuReadGuard section;
    std::uint64_t number = std::max(RangeNumbered(begin).first, first());
    const Segment* const segment = directory_.Find(begin);
    while (segment != nullptr && number < segment->end() && segment->IsReady(At(*segment, number)) &&
           segment->arrival(At(*segment, number)) < time) {
      ++number;
    }
    return number;
  }

  // ---- trimming -----------------------------------------------------------------------------------------------------

  // Trims records that arrived at `cutoff` or before, and the oldest segments while all together have more than
  // `max_bytes`. `is_ended`: nothing will be appended any more. Destroys the bodies that no reader refers to.
  // Requires: the caller is in no read section.
  void Trim(std::int64_t cutoff, std::uint64_t max_bytes, bool is_ended) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<Segment*> removed;
    {
      const MutexLock lock(mutex_);
      CountFull(max_bytes);
      while (!directory_.empty()) {
        Segment& oldest = *directory_.First();
        const bool is_beyond_max = oldest.number() < counted_ && full_bytes_ > max_bytes;
        if (oldest.LatestArrival() > cutoff && !is_beyond_max) break;
        if (oldest.number() < counted_) {
          DECOUPLE_ASSERT(full_bytes_ >= BytesOf(oldest));
          full_bytes_ -= BytesOf(oldest);
        }
        AdvanceFirst(oldest.end());  // before RemoveFirst(): Read() tells a trimmed record from one to come by first()
        removed.push_back(directory_.RemoveFirst());
      }
      TrimOldest(cutoff);
      if (is_ended && first() == next()) {
        while (!directory_.empty()) removed.push_back(directory_.RemoveFirst());
      }
    }
    if (!removed.empty()) ReleaseSegments(removed);
  }

 private:
  // Which records a segment covers.
  struct SegmentRange {
    std::uint64_t segment;
    std::uint64_t first;
    std::uint32_t capacity;
  };

  static constexpr std::uint64_t kDoublings = static_cast<std::uint64_t>(std::countr_zero(kLargest / kSmallest));
  // How many records the segments cover together that are smaller than the largest.
  static constexpr std::uint64_t kInSmaller = kLargest - kSmallest;
  // A shard that has more segments than this (a megabyte or two) takes further ones from huge pages.
  static constexpr std::uint64_t kHugePagesAbove = 16;
  static constexpr std::size_t kSpares = 2;

  static constexpr SegmentRange RangeNumbered(std::uint64_t segment) {
    if (segment < kDoublings) {
      return {segment, kSmallest * ((std::uint64_t{1} << segment) - 1), kSmallest << segment};
    }
    return {segment, kInSmaller + (segment - kDoublings) * kLargest, kLargest};
  }

  // The range that covers the record with this number.
  static constexpr SegmentRange RangeOf(std::uint64_t number) {
    if (number >= kInSmaller) [[likely]]
      return RangeNumbered(kDoublings + (number - kInSmaller) / kLargest);
    const std::uint64_t bits =
        std::bit_width(number / kSmallest + 1);  // bit_width() returns an int, or its argument's type
    return RangeNumbered(bits - 1);
  }

  static std::uint32_t At(const Segment& segment, std::uint64_t number) {
    DECOUPLE_ASSERT(segment.first() <= number && number < segment.end());
    return static_cast<std::uint32_t>(number - segment.first());
  }

  static Ready CountReady(const Segment& segment, std::uint64_t number, std::uint64_t max_records) {
    return segment.CountReady(At(segment, number),
                              static_cast<std::uint32_t>(std::min<std::uint64_t>(max_records, segment.capacity())));
  }

  // Adds runs from extent.end on. Requires: the caller is in a read section, in which it has seen that `segment` has
  // `ready` records there.
  void Collect(Segment* segment, Ready ready, std::uint64_t max_records, std::uint64_t max_bytes, ReadExtent& extent,
               RecordRuns<T>& runs) const {
    for (;;) {
      const std::uint32_t begin = At(*segment, extent.end);
      std::uint32_t end = begin + ready.records;
      std::uint64_t bytes = ready.bytes;
      while (end > begin && extent.bytes + bytes > max_bytes && (end > begin + 1 || extent.bytes > 0)) {
        bytes -= segment->bytes(--end);
      }
      if (end > begin) {
        segment->AddReference();
        runs.push_back({SegmentReference<T>(segment), begin, end});
        extent.end += end - begin;
        extent.bytes += bytes;
        max_records -= end - begin;
      }
      const bool is_limited = end < begin + ready.records || max_records == 0;
      if (!is_limited && extent.end < segment->end()) return;  // the tip
      segment = FindSegment(extent.end);
      if (segment == nullptr) return;
      ready = CountReady(*segment, extent.end, is_limited ? 1 : max_records);
      if (ready.records == 0) return;
      if (is_limited) break;
    }
    extent.has_next = true;
    extent.next_arrival = segment->arrival(At(*segment, extent.end));
    if (runs.size() > 1) PrefetchBehind(segment->number(), runs.size());
  }

  // A reader that gets several segments at once most likely goes on like that: what it loads first of each of the next
  // ones is prefetched, to be in the cache when the reader has finished these (exp. 30).
  void PrefetchBehind(std::uint64_t number, std::size_t segments) const {
    for (; segments > 0; --segments) {
      if (const Segment* const segment = directory_.Guess(++number)) Segment::Prefetch(segment, kLargest);
    }
  }

  // Requires: the segment is full.
  static std::uint64_t BytesOf(const Segment& segment) { return segment.CountReady(0, segment.capacity()).bytes; }

  // Adds up the bytes of the full segments, unless there is no bound to compare them with.
  void CountFull(std::uint64_t max_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (max_bytes == kUnbounded) return;
    counted_ = std::max(counted_, directory_.begin());
    for (; counted_ < directory_.end() && directory_.Get(counted_)->IsFull(); ++counted_) {
      const Segment& segment = *directory_.Get(counted_);
      full_bytes_ += BytesOf(segment);
    }
  }

  // Trims the expired records at the front of the segment that stays.
  void TrimOldest(std::int64_t cutoff) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (directory_.empty()) return;
    const Segment& oldest = *directory_.First();
    std::uint64_t number = std::max(first(), oldest.first());
    while (number < oldest.end() && oldest.IsReady(At(oldest, number)) &&
           oldest.arrival(At(oldest, number)) <= cutoff) {
      ++number;
    }
    AdvanceFirst(number);
  }

  void AdvanceFirst(std::uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    DECOUPLE_ASSERT(first_.load(std::memory_order_relaxed) <= number);
    first_.store(number, std::memory_order_release);  // pairs with first()
  }

  // Gives up the log's references to segments that were removed from the directory, and keeps some of them for reuse.
  void ReleaseSegments(const std::vector<Segment*>& removed) ABSL_LOCKS_EXCLUDED(mutex_) {
    RcuSynchronize();
    for (Segment* const segment : removed) {
      if (!segment->ReleaseReference()) continue;  // the last reader's reference destroys it
      if (segment->capacity() != kLargest) {
        segment->Destroy();
        continue;
      }
      segment->Clear();
      const MutexLock lock(mutex_);
      if (spares_.size() < kSpares) {
        spares_.push_back(segment);
      } else {
        segment->Destroy();  // cheap, and runs no user code: its bodies have been destroyed
      }
    }
  }

  // Each append writes next_. All threads read first_ and the directory, so they stand on another cache line.
  alignas(kCacheLine) std::atomic<std::uint64_t> next_{0};
  alignas(kCacheLine) std::atomic<std::uint64_t> first_{0};
  // Not guarded as a whole: Find() and Guess() are called in read sections, all the rest under the mutex.
  SegmentDirectory<Segment> directory_;
  Mutex mutex_;
  std::vector<Segment*> spares_ ABSL_GUARDED_BY(mutex_);  // cleared, of the largest size
  std::uint64_t counted_ ABSL_GUARDED_BY(mutex_) = 0;     // the first segment that is not included in full_bytes_
  std::uint64_t full_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_RECORD_LOG_H_
