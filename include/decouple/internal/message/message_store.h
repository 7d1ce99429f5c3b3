// The messages of a queue, with what the holders of messages do: how a received message is deleted, and how the release
// of its last reference ends it. All other changes of a message's state: message_state.h.
//
// Only the holders of references keep the body of a deleted message, and only the release of the last one frees its
// slot.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STORE_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/queue_counters.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class MessageStore : public MessageState<T> {
  using State = MessageState<T>;

 public:
  using typename State::LocalState;
  using typename State::Message;

  using State::BytesOf, State::DestroyContent, State::FreeLast, State::IsLastReference, State::TryReleasePlain;

  using State::State;

  // ---- deletion by the holder of a delivery; each requires that the caller has a reference --------------------------

  // Deletes the message in the usual case: its word is still `received`, as the receive made it, with no marks but
  // kReferenced and kShared. Returns false, and does nothing, in every other case; then RemoveReferenced() decides.
  [[gnu::always_inline]] bool TryRemovePlain(const RcuReadGuard& section, Message message, SlotState received) {
    return this->bias().IsGiven(section) && TryRemovePlainBiased(message, received);
  }
  // Same as TryRemovePlain(), for a caller that has asked IsGiven() in the read section that it is in.
  [[gnu::always_inline]] static bool TryRemovePlainBiased(Message message, SlotState received) {
    if (!received.IsPlainInFlight()) [[unlikely]]
      return false;
    std::atomic<std::uint64_t>& word = message.slot->word;
    if (word.load(std::memory_order_relaxed) != received.bits()) [[unlikely]]  // it was due at some time
      return false;
    // Release: pairs with the acquire in IsLastReference().
    word.store(received.DeletedPlain().bits(), std::memory_order_release);
    return true;
  }

  // Counts `n` removals by TryRemovePlain(); `bytes` is the sum of their bodies. Requires: `local` is from
  // CachedLocal() or RecentLocal(), so that a light fence is a compiler barrier.
  [[gnu::always_inline]] void CountPlainRemovals(LocalState& local, std::size_t n, std::size_t bytes) {
    local.counts.deleted.Add(n);
    local.counts.removed_bytes.Add(bytes);
    CompilerFence();
    this->AnnounceRemovalAfterFence();
  }

  // Deletes the message if it is in flight by that receive, whatever its marks. Returns false, and does nothing, if it
  // is not, or if another thread has locked the slot or changes its word just now.
  bool TryRemoveInFlight(LocalState& local, Message message, std::uint32_t receive) {
    // Acquire: pairs with the last store of the word, for the metadata.
    std::uint64_t seen = message.slot->word.load(std::memory_order_acquire);
    const SlotState word(seen);
    if (word.phase() != Phase::kInFlight || word.receive_count() != receive) return false;
    if (!message.slot->word.compare_exchange_strong(seen, word.With(Phase::kDeleted).bits(), std::memory_order_acq_rel,
                                                    std::memory_order_relaxed)) {
      return false;
    }
    CountRemoval(local, message, word, &LocalQueueCounts::deleted, BytesOf(message, word));
    return true;
  }

  // The general case: deletes the message if `receive` was its last receive, in flight or visible again; waits while
  // another thread has locked the slot. Returns false if the message was received again or has been removed.
  bool RemoveReferenced(LocalState& local, Message message, std::uint32_t receive) {
    for (;;) {
      // Acquire: pairs with the last store of the word, for the metadata.
      std::uint64_t seen = message.slot->word.load(std::memory_order_acquire);
      const SlotState word(seen);
      DECOUPLE_ASSERT(word.Has(SlotState::kReferenced));
      if (word.receive_count() != receive) return false;
      if (word.phase() == Phase::kBusy) {
        Relax();
      } else if (word.phase() != Phase::kInFlight && word.phase() != Phase::kVisibleAgain) {
        return false;
      } else if (message.slot->word.compare_exchange_strong(seen, word.With(Phase::kDeleted).bits(),
                                                            std::memory_order_acq_rel, std::memory_order_relaxed)) {
        CountRemoval(local, message, word, &LocalQueueCounts::deleted, BytesOf(message, word));
        return true;
      }
    }
  }

  // ---- the end of a reference ---------------------------------------------------------------------------------------

  // Releases a reference of the caller's.
  [[gnu::always_inline]] void ReleaseReference(Message message) {
    if (!TryReleasePlain(message)) [[unlikely]]
      ReleaseReferenceSlow(message);
  }

  // The general case of ReleaseReference(): there are other references, the message lives on or has metadata, or its
  // slot is queued for redelivery, and so is freed only after that.
  [[gnu::noinline]] void ReleaseReferenceSlow(Message message) {
    const SlotState last_seen(message.slot->word.load(std::memory_order_acquire));
    DECOUPLE_ASSERT(last_seen.Has(SlotState::kReferenced));
    if (IsLastReference(last_seen)) {
      DestroyContent(message, last_seen);
      FreeLast(message, last_seen);
      return;
    }
    std::atomic<std::uint64_t>& atomic_word = message.slot->word;
    for (;;) {
      std::uint64_t seen = atomic_word.load(std::memory_order_acquire);
      const SlotState word(seen);
      DECOUPLE_ASSERT(word.Has(SlotState::kReferenced));
      if (word.phase() == Phase::kBusy) {
        Relax();
      } else if (word.Has(SlotState::kMoreReferences)) {
        if (extra_references_.TryRemove(message.slot, atomic_word)) return;
      } else if (word.phase() == Phase::kDeleted) {
        DestroyContent(message, word);
        // Only kQueued may change meanwhile. If it is set, the slot is freed when the redelivery lane has let go of it.
        while (!atomic_word.compare_exchange_weak(
            seen,
            SlotState(Phase::kDone, word.generation(), SlotState(seen).Has(SlotState::kQueued) ? SlotState::kQueued : 0)
                .bits(),
            std::memory_order_acq_rel, std::memory_order_relaxed)) {
        }
        return;
      } else if (atomic_word.compare_exchange_strong(seen, word.Without(SlotState::kReferenced).bits(),
                                                     std::memory_order_acq_rel, std::memory_order_relaxed)) {
        return;
      }
    }
  }

 private:
  using State::CountRemoval, State::extra_references_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STORE_H_
