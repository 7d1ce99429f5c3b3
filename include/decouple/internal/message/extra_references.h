// Who else holds a body. One holder is a mark in the slot's word (kReferenced); that there are more is another (kMoreReferences),
// and how many is counted here: rare, as it takes a message that was received again while an old delivery lives on.

#ifndef DECOUPLE_INTERNAL_MESSAGE_EXTRA_REFERENCES_H_
#define DECOUPLE_INTERNAL_MESSAGE_EXTRA_REFERENCES_H_

#include <atomic>
#include <cstdint>
#include <mutex>

#include "absl/container/flat_hash_map.h"
#include "decouple/internal/lane/slot_state.h"

namespace decouple::internal {

class ExtraReferences {
 public:
  // One more holder of the body of a slot that the caller owns; `slot` is its address. Returns the word that says so.
  SlotState Add(const void* slot, SlotState word) {
    if (!word.Has(SlotState::kReferenced)) [[likely]]
      return word.With(SlotState::kReferenced);
    const std::lock_guard lock(mutex_);
    ++further_[slot];
    return word.With(SlotState::kMoreReferences);
  }

  // One less, of a slot whose word was seen to say kMoreReferences. False: it is not so any more, or somebody owns the
  // slot; the caller looks again.
  bool TryRemove(const void* slot, std::atomic<std::uint64_t>& atomic_word) {
    const std::lock_guard lock(mutex_);
    std::uint64_t seen = atomic_word.load(std::memory_order_acquire);
    const SlotState word(seen);
    if (!word.Has(SlotState::kMoreReferences)) return false;
    const auto further = further_.find(slot);
    if (further->second > 1) {
      --further->second;
      return true;
    }
    // Who owns the slot may be about to count itself here: let it be first. Release and acquire: what others did to the
    // word stays ordered.
    if (word.phase() == Phase::kBusy ||
        !atomic_word.compare_exchange_strong(seen, word.Without(SlotState::kMoreReferences).bits(),
                                             std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return false;
    }
    further_.erase(further);
    return true;
  }

 private:
  std::mutex mutex_;
  absl::flat_hash_map<const void*, std::uint32_t> further_;  // beyond the first, by slot
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_EXTRA_REFERENCES_H_
