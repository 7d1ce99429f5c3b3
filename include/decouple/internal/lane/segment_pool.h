// Segments, runs of 64 slots, and the pool that they come from.
//
// Chunks. Segments are allocated in chunks that double in size up to 64 segments, so a queue that never held much stays
// small, and a large backlog goes back to the system in large blocks. A chunk keeps the earliest deadline of each of
// its segments side by side, and the earliest of those, for searches across many segments.
//
// Cold fields (Slot::ColdFields, the lease times) live in a parallel array. So a message that waits is that much
// smaller, and a receiver writes to cache lines that the sender does not have. A full-sized chunk acquires the array
// from a cache on the first lease, and releases it when all of its slots are free: a backlog that is drained goes
// through few pages (exp. 10).
//
// Threading. Take(), Put(), HasFree(), segments() and ForEachInUse() are called under the lane's structure mutex;
// ColdFieldsToWrite() by a thread that has claimed or locked the slot. Any other thread only reads: it finds a chunk by
// its number inside a read section, and chunks are freed after RcuSynchronize().

#ifndef DECOUPLE_INTERNAL_LANE_SEGMENT_POOL_H_
#define DECOUPLE_INTERNAL_LANE_SEGMENT_POOL_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/thread_registry.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/earliest_deadline.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/memory/block_cache.h"
#include "decouple/internal/memory/huge_page_pool.h"

namespace decouple::inline v0_1::internal {

inline constexpr std::uint32_t kSlotsPerSegment = 64;

// Process-wide cap on cached free chunks; beyond it chunks are unmapped immediately.
inline constexpr std::int64_t kWarmBytes = std::int64_t{32} << 20;
inline std::atomic<std::int64_t>& WarmBytesKept() { return Process().warm_bytes; }

template <typename Slot>
class SegmentPool;

// How the slots of a lane lie in memory. It is known at run time: the lane's code is compiled once, whatever the slots
// hold behind what all of them begin with (Slot).
struct SlotLayout {
  std::uint32_t stride = 0;      // bytes from one slot to the next, a multiple of `alignment`
  std::uint32_t alignment = 0;   // of a slot, a power of two
  bool has_cold_fields = false;  // whether cold fields are ever written in this lane

  // Slots lie behind the segment's own fields.
  constexpr std::uint32_t first_slot_offset() const {
    return std::max(static_cast<std::uint32_t>(kCacheLine), alignment);
  }
  constexpr std::size_t segment_alignment() const { return first_slot_offset(); }
  constexpr std::size_t segment_bytes() const { return first_slot_offset() + std::size_t{kSlotsPerSegment} * stride; }
};

// The layout of slots that are objects of type Slot, with nothing behind them.
template <typename Slot>
constexpr SlotLayout LayoutOf() {
  return {.stride = sizeof(Slot),
          .alignment = alignof(Slot),
          .has_cold_fields = !std::is_empty_v<typename Slot::ColdFields>};
}

// The slot at `index` behind `first`. Where the stride is a constant, so is the multiplication.
template <typename Slot>
[[gnu::always_inline]] inline Slot* SlotAt(Slot* first, std::uint64_t index, std::uint32_t stride) {
  return reinterpret_cast<Slot*>(reinterpret_cast<std::byte*>(first) + index * stride);
}

template <typename Slot>
struct SegmentChunk;

// The head of a segment; its slots lie behind it.
template <typename Slot>
struct LaneSegment {
  using ColdFields = typename Slot::ColdFields;

  LaneSegment(SegmentChunk<Slot>* of, std::uint32_t place_in_chunk, const SlotLayout& layout)
      : chunk(of),
        stride(layout.stride),
        place(static_cast<std::uint8_t>(place_in_chunk)),
        first_slot_shift_(static_cast<std::uint8_t>(std::countr_zero(layout.first_slot_offset()))),
        inverse_stride_((std::uint64_t{1} << kInverseShift) / layout.stride + 1) {
    static_assert(sizeof(LaneSegment) <= kCacheLine, "slots begin behind the first cache line of a segment");
    for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) ::new (static_cast<void*>(&slot(i))) Slot;
  }
  LaneSegment(const LaneSegment&) = delete;
  LaneSegment& operator=(const LaneSegment&) = delete;

  // Which run of 64 tickets is here; 0 while the segment is free. Written under the structure mutex.
  std::atomic<std::uint64_t> ordinal{0};
  std::uint64_t last_ordinal = 0;  // under the structure mutex: the words of unused slots carry its generation
  SegmentChunk<Slot>* const chunk;
  LaneSegment* next_retired = nullptr;  // under the structure mutex (retired_segments.h)
  typename Slot::SegmentData data;
  const std::uint32_t stride;         // as in SlotLayout
  const std::uint8_t place;           // in its chunk
  std::uint8_t first_unfinished = 0;  // under the structure mutex: all slots before it are free again

  Slot& slot(std::uint64_t i) const { return *SlotAt(first_slot(), i, stride); }
  Slot* first_slot() const {
    auto* const bytes = const_cast<std::byte*>(reinterpret_cast<const std::byte*>(this));
    return reinterpret_cast<Slot*>(bytes + (std::size_t{1} << first_slot_shift_));
  }
  // The index of a slot of this segment. A multiplication, where a division would take as long as a send; exact, as the
  // offset is a multiple of the stride.
  std::uint32_t PlaceOf(const Slot& slot) const {
    const auto offset = static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(&slot) -
                                                   reinterpret_cast<const std::byte*>(first_slot()));
    DECOUPLE_ASSERT(offset < std::uint64_t{kSlotsPerSegment} * stride && offset % stride == 0);
    return static_cast<std::uint32_t>(offset * inverse_stride_ >> kInverseShift);
  }

  EarliestDeadline& earliest() const { return chunk->earliest_of[place]; }
  // Whether the chunk has memory for cold fields yet. It has as long as a slot is in use whose cold fields were
  // written.
  bool HasColdFields() const { return chunk->cold_fields() != nullptr; }
  // Requires: HasColdFields().
  ColdFields& ColdFieldsOf(const Slot& slot) const { return ColdFieldsAt(PlaceOf(slot)); }
  ColdFields& ColdFieldsAt(std::size_t place_of_slot) const {
    DECOUPLE_ASSERT(HasColdFields());
    return chunk->cold_fields()[PlaceInChunk(place_of_slot)];
  }
  // Acquires the memory first if there is none.
  ColdFields& ColdFieldsToWrite(const Slot& slot) const {
    if (!HasColdFields()) [[unlikely]]
      chunk->AcquireColdFields();
    return ColdFieldsOf(slot);
  }
  // For a thread that reads a slot without owning it: null if the slot is no longer in use.
  ColdFields* FindColdFieldsAt(std::size_t place_of_slot) const {
    ColdFields* const all = chunk->cold_fields();
    return all == nullptr ? nullptr : all + PlaceInChunk(place_of_slot);
  }
  std::uint32_t number() const { return chunk->number * kSlotsPerSegment + place; }

 private:
  // 64 strides times the inverse fit into 64 bits, and the error of the inverse stays below one.
  static constexpr int kInverseShift = 56;

  std::size_t PlaceInChunk(std::size_t place_of_slot) const {
    return std::size_t{place} * kSlotsPerSegment + place_of_slot;
  }

  const std::uint8_t first_slot_shift_;  // the first slot is 1 << so many bytes behind the segment's begin
  const std::uint64_t inverse_stride_;
};

template <typename Slot>
struct SegmentChunk {
  using ColdFields = typename Slot::ColdFields;
  using Segment = LaneSegment<Slot>;

  static constexpr std::uint32_t kFullSize = 64;  // in segments

  explicit SegmentChunk(const SlotLayout& of_slots) : layout(of_slots) {}

  const SlotLayout layout;
  std::uint32_t number = 0;
  std::uint32_t size = 0;           // in segments
  std::uint64_t free_segments = 0;  // under the structure mutex: one bit per segment
  std::int64_t warm_bytes = 0;      // under the structure mutex: its part of WarmBytesKept() while all are free
  EarliestDeadline earliest;
  EarliestDeadline earliest_of[kFullSize];
  PageSpan memory;  // of the segments

  Segment& segment(std::uint32_t place) const {
    return *reinterpret_cast<Segment*>(memory.memory() + place * layout.segment_bytes());
  }
  // Calls visit(segment) for each segment, in use or not.
  template <typename Visit>
  void ForEachSegment(Visit visit) const {
    for (std::uint32_t i = 0; i < size; ++i) visit(segment(i));
  }

  // The cold fields of all slots; null if there is no memory yet. Acquire: pairs with the release in SetColdFields(),
  // so earlier users of the memory are done with it.
  ColdFields* cold_fields() const { return cold_fields_.load(std::memory_order_acquire); }

  // Requires: the caller has claimed or locked a slot of the chunk.
  [[gnu::noinline]] void AcquireColdFields() ABSL_LOCKS_EXCLUDED(cold_mutex_) {
    DECOUPLE_ASSERT(layout.has_cold_fields);
    const MutexLock lock(cold_mutex_);
    if (cold_fields() == nullptr) SetColdFields(cold_cache_->Acquire());
  }

  bool IsFree() const { return std::popcount(free_segments) == static_cast<int>(size); }
  std::int64_t bytes() const {
    const std::size_t cold_bytes = cold_fields() == nullptr ? 0 : size * kColdBytes;
    return static_cast<std::int64_t>(size * layout.segment_bytes() + cold_bytes + sizeof(SegmentChunk));
  }

 private:
  friend class SegmentPool<Slot>;

  static constexpr std::size_t kColdBytes = kSlotsPerSegment * sizeof(ColdFields);  // of a segment

  void SetColdFields(const PageSpan& span) {
    cold_memory_ = span;
    cold_fields_.store(reinterpret_cast<ColdFields*>(span.memory()), std::memory_order_release);
  }

  BlockCache* cold_cache_ = nullptr;  // null: the chunk has memory of its own
  // Held to acquire memory while slots are in use. While none is, SetColdFields() is called under the structure
  // mutex.
  Mutex cold_mutex_;
  std::atomic<ColdFields*> cold_fields_{nullptr};
  PageSpan cold_memory_;
};

template <typename Slot>
class SegmentPool {
 public:
  using ColdFields = typename Slot::ColdFields;
  using Segment = LaneSegment<Slot>;
  using Chunk = SegmentChunk<Slot>;

  explicit SegmentPool(const SlotLayout& layout) : layout_(layout) {
    DECOUPLE_ASSERT(std::has_single_bit(layout.alignment));
    DECOUPLE_ASSERT(layout.stride >= sizeof(Slot) && layout.stride % layout.alignment == 0);
  }
  SegmentPool(const SegmentPool&) = delete;
  SegmentPool& operator=(const SegmentPool&) = delete;

  ~SegmentPool() {
    for (Chunk* chunk : chunks_) {
      if (chunk == nullptr) continue;
      if (chunk->IsFree()) WarmBytesKept().fetch_sub(chunk->warm_bytes, std::memory_order_relaxed);
      Free(chunk);
    }
  }

  // A segment for `ordinal`. Its slots are free, and their words carry another generation than that of `ordinal`.
  Segment* Take(std::uint64_t ordinal) {
    if (with_free_.empty()) NewChunk();
    Chunk* const chunk = with_free_.back();
    DECOUPLE_ASSERT(chunk->free_segments != 0);
    if (chunk->IsFree()) WarmBytesKept().fetch_sub(chunk->warm_bytes, std::memory_order_relaxed);
    Segment* const segment = &chunk->segment(static_cast<std::uint32_t>(std::countr_zero(chunk->free_segments)));
    chunk->free_segments &= chunk->free_segments - 1;
    if (chunk->free_segments == 0) with_free_.pop_back();
    if (((segment->last_ordinal ^ ordinal) & SlotState::kGenerationMask) == 0) {
      // Once in 2^23 uses of a segment. Relaxed: no other thread writes to free slots, and the release of the ordinal
      // publishes the words.
      for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
        std::atomic<std::uint64_t>& word = segment->slot(i).word;
        const SlotState free(Phase::kDone, ordinal - 1);
        DECOUPLE_ASSERT(IsTransition(SlotState(word.load(std::memory_order_relaxed)), free));
        word.store(free.bits(), std::memory_order_relaxed);
      }
    }
    segment->last_ordinal = ordinal;
    return segment;
  }

  // Takes a segment back whose slots are all free. Returns a chunk that is no longer needed, or null. The caller passes
  // the chunk to Release() once it has left the structure mutex.
  [[nodiscard]] Chunk* Put(Segment* segment) {
    Chunk* const chunk = segment->chunk;
    DECOUPLE_ASSERT((chunk->free_segments & 1ULL << segment->place) == 0);
    segment->earliest().Exchange(kForever);
    if (chunk->free_segments == 0) with_free_.push_back(chunk);
    chunk->free_segments |= 1ULL << segment->place;
    if (!chunk->IsFree()) return nullptr;
    // No slot of the chunk is in use. A thread that still reads one finds no cold fields, or those of another chunk.
    if (chunk->cold_cache_ != nullptr && chunk->cold_fields() != nullptr &&
        cold_cache_.TryRelease(chunk->cold_memory_)) {
      chunk->SetColdFields(PageSpan());
    }
    const std::int64_t kept = KeepWarm(*chunk);
    if (kept <= kWarmBytes || with_free_.size() == 1) return nullptr;
    with_free_.erase(std::find(with_free_.begin(), with_free_.end(), chunk));
    WarmBytesKept().fetch_sub(chunk->warm_bytes, std::memory_order_relaxed);
    chunks_[chunk->number] = nullptr;
    unused_numbers_.push_back(chunk->number);
    // Once RcuSynchronize() in Release() has returned, no reader finds the chunk any more.
    table_.load(std::memory_order_relaxed)->chunks[chunk->number].store(nullptr, std::memory_order_release);
    segments_ -= chunk->size;
    return chunk;
  }

  // Waits until no reader can see the chunk any more and frees it. Requires: outside of a read section and of the
  // mutex.
  static void Release(Chunk* chunk) {
    RcuSynchronize();
    Free(chunk);
  }

  const SlotLayout& layout() const { return layout_; }

  // Whether Take() would allocate nothing, and how many segments there are in all.
  bool HasFree() const { return !with_free_.empty(); }
  std::uint32_t segments() const { return segments_; }

  // The segment of that number, or null. Requires: inside a read section.
  Segment* Find(std::uint32_t segment_number) const {
    Chunk* const chunk = FindChunk(segment_number / kSlotsPerSegment);
    const std::uint32_t place = segment_number % kSlotsPerSegment;
    return chunk != nullptr && place < chunk->size ? &chunk->segment(place) : nullptr;
  }

  // The chunk of that number, or null. Requires: inside a read section.
  Chunk* FindChunk(std::uint32_t number) const {
    DECOUPLE_ASSERT(ThreadRegistry::IsInReadSection());
    const Table* const table = table_.load(std::memory_order_acquire);  // pairs with the release in NewChunk()
    if (table == nullptr || number >= table->size) return nullptr;
    return table->chunks[number].load(std::memory_order_acquire);  // pairs with the release in NewChunk(), too
  }

  // All chunks have lower numbers than this. May be called by any thread.
  std::uint32_t chunk_numbers_end() const {
    const Table* const table = table_.load(std::memory_order_acquire);
    return table == nullptr ? 0 : table->size;
  }

  // Calls visit(segment) for every segment in use.
  template <typename Visit>
  void ForEachInUse(Visit visit) {
    for (Chunk* chunk : chunks_) {
      if (chunk == nullptr) continue;
      chunk->ForEachSegment([&](Segment& segment) {
        if ((chunk->free_segments >> segment.place & 1) == 0) visit(segment);
      });
    }
  }

 private:
  static_assert(std::is_trivial_v<ColdFields>, "cold fields lie in raw memory and are written before they are read");
  static constexpr std::uint32_t kFullSize = Chunk::kFullSize;
  static_assert(kFullSize <= 64, "one bit of `free_segments` per segment");
  static_assert(kFullSize <= kSlotsPerSegment, "LaneSegment::number() numbers so many segments per chunk");

  // With so many segments a queue takes further chunks from huge pages: they are half a megabyte or more.
  static constexpr std::uint32_t kManySegments = 512;

  // The chunks by number, for readers. A table grows by being copied; the old ones stay until the end, as together they
  // are smaller than the newest.
  struct Table {
    explicit Table(std::uint32_t n) : size(n), chunks(new std::atomic<Chunk*>[n]()) {}
    const std::uint32_t size;
    const std::unique_ptr<std::atomic<Chunk*>[]> chunks;
  };

  void NewChunk() {
    const auto size = std::clamp(segments_, std::uint32_t{2}, kFullSize);
    auto* const chunk = new Chunk(layout_);
    chunk->size = size;
    const auto allocate = segments_ < kManySegments ? PageSpan::Separate : PageSpan::FromHugePages;
    chunk->memory = allocate(size * layout_.segment_bytes(), layout_.segment_alignment());
    for (std::uint32_t i = 0; i < size; ++i) ::new (static_cast<void*>(&chunk->segment(i))) Segment(chunk, i, layout_);
    if (size == kFullSize) {
      chunk->cold_cache_ = &cold_cache_;
    } else if (layout_.has_cold_fields) {
      chunk->SetColdFields(PageSpan::Separate(size * Chunk::kColdBytes, kCacheLine));
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

  // Adds a chunk that is free to WarmBytesKept(), and returns the sum. Memory that the segments of a chunk have outside
  // of it (Slot::SegmentData, the metadata of FIFO messages) is kept while all chunks keep little, as it is costly to
  // build (exp. 11); otherwise that of a full-sized chunk is freed.
  static std::int64_t KeepWarm(Chunk& chunk) {
    chunk.warm_bytes = chunk.bytes();
    if constexpr (requires(Segment & segment) { segment.data.Free(); }) {
      std::int64_t outside = 0;
      chunk.ForEachSegment([&](const Segment& segment) { outside += segment.data.bytes(); });
      const std::int64_t with_all = WarmBytesKept().load(std::memory_order_relaxed) + chunk.warm_bytes + outside;
      if (with_all <= kWarmBytes / 2) {
        chunk.warm_bytes += outside;
      } else if (chunk.size == kFullSize) {
        chunk.ForEachSegment([](Segment& segment) { segment.data.Free(); });
      }
    }
    return WarmBytesKept().fetch_add(chunk.warm_bytes, std::memory_order_relaxed) + chunk.warm_bytes;
  }

  static void Free(Chunk* chunk) {
    chunk->ForEachSegment([](Segment& segment) { std::destroy_at(&segment); });
    chunk->memory.Free();
    if (chunk->cold_fields() != nullptr) chunk->cold_memory_.Free();
    delete chunk;
  }

  std::atomic<Table*> table_{nullptr};
  const SlotLayout layout_;
  BlockCache cold_cache_{std::size_t{kFullSize} * Chunk::kColdBytes, kCacheLine};
  // All below is used under the structure mutex.
  std::vector<Chunk*> chunks_;  // by number
  std::vector<std::uint32_t> unused_numbers_;
  std::vector<std::unique_ptr<Table>> tables_;
  std::vector<Chunk*> with_free_;  // the chunks that have a free segment; the next one comes from the last of these
  std::uint32_t segments_ = 0;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_LANE_SEGMENT_POOL_H_
