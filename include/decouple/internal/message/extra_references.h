// Counts the references to a body beyond the first. That there is one reference is a mark in the slot's word
// (kReferenced); that there are more is another mark (kMoreReferences), and how many is counted here. That is rare: it
// takes a message that was received again while a delivery of an earlier receive lives on.
//
// Invariant: a word has kMoreReferences exactly if the slot has an entry here, with a count of at least one; only while
// the slot is locked may the entry come before the mark.

#ifndef DECOUPLE_INTERNAL_MESSAGE_EXTRA_REFERENCES_H_
#define DECOUPLE_INTERNAL_MESSAGE_EXTRA_REFERENCES_H_

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mix.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/prefetching_set.h"
#include "decouple/internal/lane/slot_state.h"

namespace decouple::inline v0_1::internal {

class ExtraReferences {
 public:
  // Adds a reference to the body of a slot that the caller has locked; `slot` is its address, `word` its word. Returns
  // the word that says so.
  SlotState Add(const void* slot, SlotState word) ABSL_LOCKS_EXCLUDED(mutex_) {
    DECOUPLE_ASSERT(word.Has(SlotState::kReferenced) || !word.Has(SlotState::kMoreReferences));
    if (!word.Has(SlotState::kReferenced)) [[likely]]
      return word.With(SlotState::kReferenced);
    const MutexLock lock(mutex_);
    const auto is_of_slot = [&](const Further& other) { return other.slot == slot; };
    ++further_.FindOrInsert({slot, 0}, HashOf(slot), is_of_slot).value.references;
    return word.With(SlotState::kMoreReferences);
  }

  // Removes a reference to the body of a slot whose word was seen to have kMoreReferences. Returns false if it does not
  // have it any more, or if another thread has locked the slot; then the caller looks at the word again.
  bool TryRemove(const void* slot, std::atomic<std::uint64_t>& atomic_word) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::uint64_t seen = atomic_word.load(std::memory_order_acquire);
    const SlotState word(seen);
    if (!word.Has(SlotState::kMoreReferences)) return false;
    const auto is_of_slot = [&](const Further& other) { return other.slot == slot; };
    Further* const further = further_.Find(HashOf(slot), is_of_slot);
    DECOUPLE_ASSERT(further != nullptr && further->references > 0);
    if (further->references > 1) {
      --further->references;
      return true;
    }
    // The thread that has locked the slot may be about to add a reference here: it goes first. Release and acquire:
    // what others did to the word stays ordered.
    if (word.phase() == Phase::kBusy ||
        !atomic_word.compare_exchange_strong(seen, word.Without(SlotState::kMoreReferences).bits(),
                                             std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return false;
    }
    further_.Erase({slot, 0}, HashOf(slot));
    return true;
  }

 private:
  struct Further {
    const void* slot = nullptr;
    std::uint32_t references = 0;  // beyond the first

    friend bool operator==(const Further& a, const Further& b) { return a.slot == b.slot; }
  };

  static std::uint32_t HashOf(const void* slot) {
    return static_cast<std::uint32_t>(Mix(reinterpret_cast<std::uintptr_t>(slot)));
  }

  Mutex mutex_;
  // By slot. Allocates nothing in the steady state, as a receipt that deletes what a delivery still shows adds one.
  PrefetchingSet<Further> further_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_EXTRA_REFERENCES_H_
