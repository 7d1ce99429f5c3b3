// Pieces of memory for what may come in large numbers at once: a retry queue, the records of a stream.
//
// The first touch of a page is a fault of a microsecond and more, every hundred messages or so. A huge page, of two
// megabytes, is one fault, and one entry where the processor looks up addresses: to fill a queue with a million
// messages took 13 ns each instead of 20, and to drain it, too, 33 in all instead of 42. So pieces of one size, of
// whatever queue, lie side by side in blocks of that size, for which huge pages are asked for; where there are none,
// blocks are of ordinary pages.
//
// A block goes back to the system when its last piece is given back, but for one of each size: a retry queue that moves on
// gives up a block at its front each time that it begins one at its back, and need not ask the system for either.
// Pieces are taken from blocks that have some before a new one is begun.

#ifndef DECOUPLE_INTERNAL_MEMORY_HUGE_PAGE_POOL_H_
#define DECOUPLE_INTERNAL_MEMORY_HUGE_PAGE_POOL_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

#include "decouple/internal/memory/page_allocator.h"

namespace decouple::internal {

// All pieces of one size. Threads may take and give back at the same time; who does both once in thousands of messages
// waits for nobody.
class HugePagePool {
 public:
  // Those of that size; they are never destroyed, as queues may be when the process ends. Null: it is too small or too
  // large for it, or there are no pages to be had.
  static HugePagePool* Of(std::size_t bytes, std::size_t alignment) {
    if (!IsMapped(bytes, alignment) || CountOf(bytes) < kFewest) return nullptr;
    static auto& mutex = *new std::mutex;
    static auto& by_size = *new std::map<std::size_t, HugePagePool>;
    const std::lock_guard lock(mutex);
    return &by_size.try_emplace(bytes, bytes).first->second;
  }

  explicit HugePagePool(std::size_t bytes) : size_(RoundUp(bytes)), count_(CountOf(bytes)) {}
  HugePagePool(const HugePagePool&) = delete;
  HugePagePool& operator=(const HugePagePool&) = delete;

  // Holds anything.
  void* Take() {
    const std::lock_guard lock(mutex_);
    if (with_free_ == nullptr) Link(spare_ != nullptr ? *std::exchange(spare_, nullptr) : NewBlock());
    Block& block = *with_free_;
    const auto place = static_cast<std::size_t>(std::countr_zero(block.free));
    block.free &= block.free - 1;
    if (block.free == 0) Unlink(block);
    return block.memory + place * size_;
  }

  void Give(void* piece) {
    auto* const begin = static_cast<std::byte*>(piece);
    std::byte* unneeded = nullptr;
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::prev(blocks_.upper_bound(begin));
      Block& block = found->second;
      if (block.free == 0) Link(block);
      block.free |= 1U << (static_cast<std::size_t>(begin - block.memory) / size_);
      if (block.free != All()) return;
      Unlink(block);
      if (spare_ == nullptr) {
        spare_ = &block;
        return;
      }
      unneeded = block.memory;
      blocks_.erase(found);
    }
    FreeHugePage(unneeded);
  }

 private:
  struct Block {
    std::byte* memory;
    std::uint32_t free;  // a bit a piece
    Block* previous = nullptr;
    Block* next = nullptr;
  };

  // With fewer the rest of the block may be a large part of it.
  static constexpr std::size_t kFewest = 6;
  static_assert(kHugePage / kSmallestMapped <= 32, "a bit a piece");

  static constexpr std::size_t RoundUp(std::size_t bytes) {
    return (bytes + kPageAlignment - 1) / kPageAlignment * kPageAlignment;
  }
  static constexpr std::size_t CountOf(std::size_t bytes) { return kHugePage / RoundUp(bytes); }
  std::uint32_t All() const { return ~std::uint32_t{0} >> (32 - count_); }

  Block& NewBlock() {
    auto* const memory = static_cast<std::byte*>(AllocateHugePage());
    return blocks_.try_emplace(memory, Block{memory, All()}).first->second;
  }

  void Link(Block& block) {
    block.previous = nullptr;
    block.next = with_free_;
    if (with_free_ != nullptr) with_free_->previous = &block;
    with_free_ = &block;
  }
  void Unlink(Block& block) {
    (block.previous == nullptr ? with_free_ : block.previous->next) = block.next;
    if (block.next != nullptr) block.next->previous = block.previous;
  }

  const std::size_t size_;
  const std::size_t count_;  // in a block
  std::mutex mutex_;
  // All below: under the mutex. What is known of a block is not in it: a piece need not be touched for having been
  // taken.
  std::map<std::byte*, Block, std::less<>> blocks_;  // by where they begin
  Block* with_free_ = nullptr;                       // those that have a free piece
  Block* spare_ = nullptr;                           // all of which is free
};

// A piece, and how it goes back. Whoever has it sees to that.
class PageSpan {
 public:
  PageSpan() = default;

  // For one of few.
  static PageSpan Separate(std::size_t bytes, std::size_t alignment) {
    return {AllocatePages(bytes, alignment), bytes, alignment, nullptr};
  }
  // For one of so many of that size that two megabytes are no matter. Holds anything.
  static PageSpan FromHugePages(std::size_t bytes, std::size_t alignment) {
    HugePagePool* const from = HugePagePool::Of(bytes, alignment);
    if (from == nullptr) return Separate(bytes, alignment);
    return {from->Take(), bytes, alignment, from};
  }

  void Free() const {
    if (from_ != nullptr) {
      from_->Give(memory_);
    } else {
      FreePages(memory_, bytes_, alignment_);
    }
  }

  std::byte* memory() const { return static_cast<std::byte*>(memory_); }

 private:
  PageSpan(void* memory, std::size_t bytes, std::size_t alignment, HugePagePool* from)
      : memory_(memory), bytes_(bytes), alignment_(alignment), from_(from) {}

  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t alignment_ = 0;
  HugePagePool* from_ = nullptr;  // null: it was alone
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MEMORY_HUGE_PAGE_POOL_H_
