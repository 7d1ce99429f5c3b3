// Segments: runs of 64 slots, and where they come from. They are allocated in chunks that double in size up to 64
// segments, so a queue that never held much is small and a large retry queue goes back to the system in large pieces.
//
// A chunk also keeps what one looks for across many segments in one place: the earliest deadline of each of its
// segments side by side, and the earliest of those.
//
// What a slot needs only for a part of its life (Slot::ColdFields: integers, written before they are read) lies apart: a
// message that waits is that much smaller, and when it is received the receiver writes to cache lines that its sender
// does not have. A full-sized chunk borrows the memory for it when the first of its slots needs it, and gives it back
// when all of them are free: a retry queue that is drained goes through few pages (28 ns for a message in and out of a new
// queue, not 34).
//
// Threading: Take(), Put() and Release() are called under the lane's structure mutex; ColdFieldsToWrite() by whoever has
// the slot. Everybody else reads: a chunk is found by its number inside a RcuReadGuard, and freed only after
// RcuSynchronize().

#ifndef DECOUPLE_INTERNAL_LANE_SEGMENT_POOL_H_
#define DECOUPLE_INTERNAL_LANE_SEGMENT_POOL_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/earliest_deadline.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/memory/block_cache.h"
#include "decouple/internal/memory/huge_page_pool.h"

namespace decouple::internal {

inline constexpr std::uint32_t kSlotsPerSegment = 64;

// Free chunks that all queues of the process together keep for the next spike; what is above goes back at once.
inline constexpr std::int64_t kWarmBytes = std::int64_t{32} << 20;
inline std::atomic<std::int64_t>& WarmBytesKept() {
  static constinit std::atomic<std::int64_t> kept{0};
  return kept;
}

template <typename Slot>
class SegmentPool {
 public:
  static constexpr std::uint32_t kFullSize = 64;  // of a chunk, in segments
  using ColdFields = typename Slot::ColdFields;
  struct Chunk;

  struct Segment {
    // Which run of 64 tickets lives here; 0 while none does. Set and cleared under the structure mutex.
    std::atomic<std::uint64_t> ordinal{0};
    std::uint64_t last_ordinal = 0;      // under the structure mutex: what its slots' words still carry
    std::uint32_t first_unfinished = 0;  // under the structure mutex: all slots before it are free again
    std::uint32_t place = 0;             // in its chunk
    Chunk* chunk = nullptr;
    Segment* next_passed = nullptr;  // under the structure mutex
    typename Slot::SegmentData data;
    Slot slots[kSlotsPerSegment];

    EarliestDeadline& earliest() { return chunk->earliest_of[place]; }
    // Whether there is memory cold fields the slots yet. Of a slot that somebody has: who has written there finds it so.
    bool HasColdFields() const { return chunk->cold_fields() != nullptr; }
    // Where there is.
    ColdFields& ColdFieldsOf(const Slot& slot) const { return ColdFieldsAt(static_cast<std::size_t>(&slot - slots)); }
    ColdFields& ColdFieldsAt(std::size_t place_of_slot) const {
      return chunk->cold_fields()[PlaceInChunk(place_of_slot)];
    }
    // To write there, whether there is memory yet or not.
    ColdFields& ColdFieldsToWrite(const Slot& slot) const {
      if (!HasColdFields()) [[unlikely]]
        chunk->AcquireColdFields();
      return ColdFieldsOf(slot);
    }
    // For who looks at slots that are not his: null if whoever had the slot is through with it.
    ColdFields* FindColdFieldsOf(const Slot& slot) const {
      ColdFields* const all = chunk->cold_fields();
      return all == nullptr ? nullptr : all + PlaceInChunk(static_cast<std::size_t>(&slot - slots));
    }
    std::uint32_t number() const { return chunk->number * kSlotsPerSegment + place; }

   private:
    std::size_t PlaceInChunk(std::size_t place_of_slot) const {
      return std::size_t{place} * kSlotsPerSegment + place_of_slot;
    }
  };

  struct Chunk {
    std::uint32_t number = 0;
    std::uint32_t size = 0;           // segments
    std::uint64_t free_segments = 0;  // under the structure mutex: a bit a segment
    std::int64_t warm_bytes = 0;      // under the structure mutex: what it counts as kept, while all are free
    EarliestDeadline earliest;
    EarliestDeadline earliest_of[kFullSize];
    PageSpan memory;  // the segments'
    Segment* segments = nullptr;

    // Of all slots; null: not yet. Acquire: pairs with the release in SetColdFields(), as others had the memory before.
    ColdFields* cold_fields() const { return cold_fields_.load(std::memory_order_acquire); }

    // By one who has a slot.
    [[gnu::noinline]] void AcquireColdFields() {
      const std::lock_guard lock(borrowing_);
      if (cold_fields() == nullptr) SetColdFields(lender_->Acquire());
    }

    bool IsFree() const { return std::popcount(free_segments) == static_cast<int>(size); }
    std::int64_t bytes() const {
      const std::size_t cold_bytes = cold_fields() == nullptr ? 0 : size * kColdBytes;
      return static_cast<std::int64_t>(size * sizeof(Segment) + cold_bytes + sizeof(Chunk));
    }

   private:
    friend class SegmentPool;

    void SetColdFields(const PageSpan& piece) {
      cold_memory_ = piece;
      cold_fields_.store(reinterpret_cast<ColdFields*>(piece.memory()), std::memory_order_release);
    }

    BlockCache* lender_ = nullptr;  // null: it has its own
    std::mutex borrowing_;
    std::atomic<ColdFields*> cold_fields_{nullptr};
    PageSpan cold_memory_;
  };

  SegmentPool() = default;
  SegmentPool(const SegmentPool&) = delete;
  SegmentPool& operator=(const SegmentPool&) = delete;

  ~SegmentPool() {
    for (Chunk* chunk : chunks_) {
      if (chunk == nullptr) continue;
      if (chunk->IsFree()) WarmBytesKept().fetch_sub(chunk->warm_bytes, std::memory_order_relaxed);
      Free(chunk);
    }
  }

  // A segment for `ordinal`, all of whose slots are free and carry another generation than that.
  Segment* Take(std::uint64_t ordinal) {
    if (with_free_.empty()) NewChunk();
    Chunk* const chunk = with_free_.back();
    if (chunk->IsFree()) WarmBytesKept().fetch_sub(chunk->warm_bytes, std::memory_order_relaxed);
    Segment* const segment = &chunk->segments[std::countr_zero(chunk->free_segments)];
    chunk->free_segments &= chunk->free_segments - 1;
    if (chunk->free_segments == 0) with_free_.pop_back();
    if (((segment->last_ordinal ^ ordinal) & SlotState::kGenerationMask) == 0) {
      // Once in 2^24 uses of a segment. Nobody writes to free slots but us; the ordinal's release publishes the words.
      for (Slot& slot : segment->slots) {
        slot.word.store(SlotState(Phase::kDone, ordinal - 1).bits(), std::memory_order_relaxed);
      }
    }
    segment->last_ordinal = ordinal;
    return segment;
  }

  // Returns a chunk that is no longer needed, or null. The caller frees it, outside of the mutex, through Release().
  [[nodiscard]] Chunk* Put(Segment* segment) {
    Chunk* const chunk = segment->chunk;
    segment->earliest().TakeAway();
    if (chunk->free_segments == 0) with_free_.push_back(chunk);
    chunk->free_segments |= 1ULL << segment->place;
    if (!chunk->IsFree()) return nullptr;
    // Nobody has a slot of it; who still looks at one finds nothing cold fields it, or what is another chunk's.
    if (chunk->lender_ != nullptr && chunk->cold_fields() != nullptr && lender_.TryRelease(chunk->cold_memory_)) {
      chunk->SetColdFields(PageSpan());
    }
    const std::int64_t kept = KeepWarm(*chunk);
    if (kept <= kWarmBytes || with_free_.size() == 1) return nullptr;
    with_free_.erase(std::find(with_free_.begin(), with_free_.end(), chunk));
    WarmBytesKept().fetch_sub(chunk->warm_bytes, std::memory_order_relaxed);
    chunks_[chunk->number] = nullptr;
    unused_numbers_.push_back(chunk->number);
    // Release: pairs with the acquire in Find(); nothing is published, but readers must not see it later than this.
    table_.load(std::memory_order_relaxed)->chunks[chunk->number].store(nullptr, std::memory_order_release);
    segments_ -= chunk->size;
    return chunk;
  }

  // Waits until nobody can look at `chunk` any more and frees it. Outside of any RcuReadGuard and of the mutex.
  static void Release(Chunk* chunk) {
    RcuSynchronize();
    Free(chunk);
  }

  // Under the mutex, both: whether Take() takes no memory, and how many there are in all.
  bool HasFree() const { return !with_free_.empty(); }
  std::uint32_t segments() const { return segments_; }

  // In a RcuReadGuard. Null if there is none of that number.
  Segment* Find(std::uint32_t segment_number) const {
    Chunk* const chunk = FindChunk(segment_number / kSlotsPerSegment);
    const std::uint32_t place = segment_number % kSlotsPerSegment;
    return chunk != nullptr && place < chunk->size ? &chunk->segments[place] : nullptr;
  }

  // In a RcuReadGuard. Null if there is none of that number.
  Chunk* FindChunk(std::uint32_t number) const {
    const Table* const table = table_.load(std::memory_order_acquire);  // pairs with the release in NewChunk()
    if (table == nullptr || number >= table->size) return nullptr;
    return table->chunks[number].load(std::memory_order_acquire);
  }

  // No chunk has this number or a higher one.
  std::uint32_t chunk_numbers_end() const {
    const Table* const table = table_.load(std::memory_order_acquire);
    return table == nullptr ? 0 : table->size;
  }

  // Under the structure mutex: every segment that is in use.
  template <typename Visit>
  void ForEachInUse(Visit visit) {
    for (Chunk* chunk : chunks_) {
      if (chunk == nullptr) continue;
      for (std::uint32_t i = 0; i < chunk->size; ++i) {
        if ((chunk->free_segments >> i & 1) == 0) visit(chunk->segments[i]);
      }
    }
  }

 private:
  static constexpr std::size_t kAlignment = std::max(alignof(Segment), kCacheLine);
  static constexpr bool kHasColdFields = !std::is_empty_v<ColdFields>;
  static constexpr std::size_t kColdBytes = kHasColdFields ? kSlotsPerSegment * sizeof(ColdFields) : 0;  // of a segment
  static constexpr std::size_t kColdBytesOfChunk = std::size_t{kFullSize} * kColdBytes;  // of a full-sized chunk

  // With so many segments, another chunk is one of many: half a megabyte or more.
  static constexpr std::uint32_t kManySegments = 512;

  // Grown by copying; the old ones stay until the end, as together they are smaller than the newest.
  struct Table {
    explicit Table(std::uint32_t n) : size(n), chunks(new std::atomic<Chunk*>[n]()) {}
    const std::uint32_t size;
    const std::unique_ptr<std::atomic<Chunk*>[]> chunks;
  };

  void NewChunk() {
    const auto size = std::clamp(segments_, std::uint32_t{2}, kFullSize);
    auto* const chunk = new Chunk;
    chunk->size = size;
    const auto allocate = segments_ < kManySegments ? PageSpan::Separate : PageSpan::FromHugePages;
    chunk->memory = allocate(size * sizeof(Segment), kAlignment);
    chunk->segments = reinterpret_cast<Segment*>(chunk->memory.memory());
    std::uninitialized_default_construct_n(chunk->segments, size);
    for (std::uint32_t i = 0; i < size; ++i) {
      chunk->segments[i].place = i;
      chunk->segments[i].chunk = chunk;
    }
    if (size == kFullSize) {
      chunk->lender_ = &lender_;
    } else if constexpr (kHasColdFields) {
      chunk->SetColdFields(PageSpan::Separate(size * kColdBytes, kCacheLine));
    }
    chunk->free_segments = ~0ULL >> (kFullSize - size);
    KeepWarm(*chunk);
    segments_ += size;
    if (unused_numbers_.empty()) {
      chunk->number = static_cast<std::uint32_t>(chunks_.size());
      chunks_.push_back(chunk);
    } else {
      chunk->number = unused_numbers_.back();
      unused_numbers_.pop_back();
      chunks_[chunk->number] = chunk;
    }
    if (tables_.empty() || tables_.back()->size <= chunk->number) {
      auto grown = std::make_unique<Table>(std::max<std::uint32_t>(4, (chunk->number + 1) * 2));
      for (std::size_t i = 0; i < chunks_.size(); ++i) grown->chunks[i].store(chunks_[i], std::memory_order_relaxed);
      table_.store(grown.get(), std::memory_order_release);  // publishes the table's entries and their chunks
      tables_.push_back(std::move(grown));
    } else {
      tables_.back()->chunks[chunk->number].store(chunk, std::memory_order_release);  // publishes the chunk
    }
    with_free_.push_back(chunk);
  }

  // Counts what the chunk keeps while it is free. What its segments have elsewhere stays as long as there is little, else
  // it goes, of a large chunk. (What FIFO messages have cold fields them was made anew for each chunk that had been free: an
  // eighth of a send, receive and delete with 100 000 groups.) Returns how much all keep.
  static std::int64_t KeepWarm(Chunk& chunk) {
    chunk.warm_bytes = chunk.bytes();
    if constexpr (requires(Segment & segment) { segment.data.Free(); }) {
      const std::span segments(chunk.segments, chunk.size);
      std::int64_t elsewhere = 0;
      for (const Segment& segment : segments) elsewhere += segment.data.bytes();
      const std::int64_t with_all = WarmBytesKept().load(std::memory_order_relaxed) + chunk.warm_bytes + elsewhere;
      if (with_all <= kWarmBytes / 2) {
        chunk.warm_bytes += elsewhere;
      } else if (chunk.size == kFullSize) {
        for (Segment& segment : segments) segment.data.Free();
      }
    }
    return WarmBytesKept().fetch_add(chunk.warm_bytes, std::memory_order_relaxed) + chunk.warm_bytes;
  }

  static void Free(Chunk* chunk) {
    std::destroy_n(chunk->segments, chunk->size);
    chunk->memory.Free();
    if (chunk->cold_fields() != nullptr) chunk->cold_memory_.Free();
    delete chunk;
  }

  std::atomic<Table*> table_{nullptr};
  BlockCache lender_{kColdBytesOfChunk, kCacheLine};
  // All below: under the structure mutex.
  std::vector<Chunk*> chunks_;  // by number
  std::vector<std::uint32_t> unused_numbers_;
  std::vector<std::unique_ptr<Table>> tables_;
  std::vector<Chunk*> with_free_;  // the chunks that have a free segment; the next one comes from the last of these
  std::uint32_t segments_ = 0;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LANE_SEGMENT_POOL_H_
