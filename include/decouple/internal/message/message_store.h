// The messages of a queue, for those who hold one: how a message that was received is deleted, and how the last one who
// lets go of it ends it. What else happens to messages is a layer below (message_state.h).
//
// Nobody but its holders keeps a deleted message's body, and nobody but the last of them frees its slot.

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STORE_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/queue_counters.h"

namespace decouple::internal {

template <typename T>
class MessageStore : public MessageState<T> {
  using Transitions = MessageState<T>;

 public:
  using typename Transitions::LocalState;
  using typename Transitions::Message;

  using Transitions::BytesOf;
  using Transitions::DestroyContent;
  using Transitions::FreeLast;
  using Transitions::IsLastReference;
  using Transitions::TryReleaseBare;
  using Transitions::TryReleasePlain;

  using Transitions::Transitions;

  // The holder of a delivery deletes it, in the usual case: it is in flight as it was when he received it, by the word
  // `received`, and nothing else is to be said of it. False: look again by RemoveReferenced().
  [[gnu::always_inline]] bool TryRemovePlain(const RcuReadGuard& section, Message message, SlotState received) {
    return this->bias().IsGiven(section) && TryRemovePlainBiased(message, received);
  }
  // The same for who has asked whether the bias is given.
  [[gnu::always_inline]] static bool TryRemovePlainBiased(Message message, SlotState received) {
    if (!received.IsPlainInFlight()) [[unlikely]]
      return false;
    std::atomic<std::uint64_t>& word = message.slot->word;
    if (word.load(std::memory_order_relaxed) != received.bits()) [[unlikely]]  // it was due once
      return false;
    word.store(received.DeletedPlain().bits(), std::memory_order_release);
    return true;
  }

  // So many of these; `bytes` of all their bodies.
  [[gnu::always_inline]] void CountPlainRemovals(LocalState& known, std::size_t n, std::size_t bytes) {
    known.counts.deleted.Add(n);
    known.counts.removed_bytes.Add(bytes);
    CompilerFence();
    this->AnnounceRemovalAfterFence();
  }

  // The same while it is in flight, whatever else is to be said of it. False: it may not be, or another thread is at
  // it.
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

  // The general case: no other thread can do more than wait for kBusy meanwhile. False: `receive` is not the last
  // receive, or the message is gone.
  bool RemoveReferenced(LocalState& local, Message message, std::uint32_t receive) {
    for (;;) {
      // Acquire: pairs with the last store of the word, for the metadata.
      std::uint64_t seen = message.slot->word.load(std::memory_order_acquire);
      const SlotState word(seen);
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

  // The caller holds the body no more.
  [[gnu::always_inline]] void ReleaseReference(Message message) {
    if (!TryReleasePlain(message)) [[unlikely]]
      ReleaseReferenceSlow(message);
  }

  // The general case of ReleaseReference(): others hold the body too, the message lives on, or a line names its slot.
  [[gnu::noinline]] void ReleaseReferenceSlow(Message message) {
    const SlotState last_seen(message.slot->word.load(std::memory_order_acquire));
    if (IsLastReference(last_seen)) {
      DestroyContent(message, last_seen);
      FreeLast(message, last_seen);
      return;
    }
    std::atomic<std::uint64_t>& atomic_word = message.slot->word;
    for (;;) {
      std::uint64_t seen = atomic_word.load(std::memory_order_acquire);
      const SlotState word(seen);
      if (word.phase() == Phase::kBusy) {
        Relax();
      } else if (word.Has(SlotState::kMoreReferences)) {
        if (extra_references_.TryRemove(message.slot, atomic_word)) return;
      } else if (word.phase() == Phase::kDeleted) {
        DestroyContent(message, word);
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
  using Transitions::CountRemoval;
  using Transitions::extra_references_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STORE_H_
