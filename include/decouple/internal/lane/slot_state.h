// The state of one slot in one 64-bit word, so that every transition is one store or one compare-exchange.
//
//   63            32 31          9  8 … 4   3 … 0
//   | receive count | generation  | marks | phase |
//
// The generation is the low 23 bits of the ordinal of the segment that the slot belongs to at the time: a word that was
// seen before the slot was reused never matches. Receive count and generation together are what a receipt names.
//
//   phase          what it means; which threads take a slot out of it, and to which phase
//
//   kDone          The slot is free, or its message is over.
//                    The sender that holds the ticket publishes: kReady, kRequeued, kDelayed, kBusy; in a FIFO queue
//                    also kVisibleAgain. The segment pool, once in 2^23 reuses, only to change the generation: kDone.
//   kReady         The message waits for the lane's head.
//                    The receiver that moved the head past it, and no other thread, so a plain store does: kInFlight;
//                    kDeleted if the message has expired or is purged; kDone for an entry of the redelivery lane. If
//                    the head had passed the ticket before (it was skipped), its sender: kBusy, or kDone to publish
//                    elsewhere.
//   kRequeued      The slot holds no message, but names one that is to be received at this point of the lane.
//                    The same threads as for kReady, but always to kDone.
//   kDelayed       The message is hidden until its delay is over.
//                    Any thread: kBusy.
//   kInFlight      The message is leased to a receiver.
//                    Any thread: kBusy. The delivery that deletes the message: kDeleted, by a plain store where only
//                    the holder may change the word (delete_bias.h), else by a compare-exchange.
//   kVisibleAgain  The message is visible, and is found through the redelivery lane, its tenant or its group.
//                    Any thread: kBusy. The delivery that deletes the message: kDeleted, by a compare-exchange.
//   kBusy          The lock bit: one thread owns the slot for a few instructions, others wait.
//                    The owner: kDelayed, kInFlight, kVisibleAgain, kDeleted; kDone if the message has moved away.
//   kDeleted       The message is over, but deliveries still show its body.
//                    The last of these deliveries: kDone.
//
// In kDone, kInFlight, kVisibleAgain and kDeleted a word may also change its marks alone. IsTransition() at the end of
// the file is this table.
//
// A slot is passed on by a release store or exchange of its word and taken over by an acquire load or exchange of it;
// that pair publishes everything else in the slot.

#ifndef DECOUPLE_INTERNAL_LANE_SLOT_STATE_H_
#define DECOUPLE_INTERNAL_LANE_SLOT_STATE_H_

#include <cstdint>
#include <initializer_list>

namespace decouple::inline v0_1::internal {

enum class Phase : std::uint32_t {
  kDone,
  kReady,
  kRequeued,
  kDelayed,
  kInFlight,
  kVisibleAgain,
  kBusy,
  kDeleted,
};

class SlotState {
 public:
  // A delivery refers to the body, which must stay.
  static constexpr std::uint32_t kReferenced = 1U << 4;
  // More than one delivery refers to it; the store counts the others in a table (extra_references.h).
  static constexpr std::uint32_t kMoreReferences = 1U << 5;
  // The redelivery lane, a requeued slot, a tenant or a group names the slot, once: it must not be reused before that
  // name is gone.
  static constexpr std::uint32_t kQueued = 1U << 6;
  // The message has metadata (attributes, a group, …) in its segment's table.
  static constexpr std::uint32_t kHasMetadata = 1U << 7;
  // The slot holds no body, but a reference to a shared one (shared_body.h).
  static constexpr std::uint32_t kShared = 1U << 8;

  constexpr SlotState() = default;
  constexpr explicit SlotState(std::uint64_t bits) : bits_(bits) {}
  // `generation` may be a whole ordinal.
  constexpr SlotState(Phase phase, std::uint64_t generation, std::uint32_t marks = 0, std::uint32_t receive_count = 0)
      : bits_(static_cast<std::uint64_t>(phase) | marks | (generation & kGenerationMask) << kGenerationShift |
              std::uint64_t{receive_count} << 32) {}

  constexpr std::uint64_t bits() const { return bits_; }
  constexpr Phase phase() const { return static_cast<Phase>(bits_ & 0xF); }
  constexpr std::uint64_t generation() const { return (bits_ >> kGenerationShift) & kGenerationMask; }
  constexpr std::uint32_t receive_count() const { return static_cast<std::uint32_t>(bits_ >> 32); }
  constexpr bool Has(std::uint32_t marks) const { return (bits_ & marks) != 0; }

  constexpr bool IsOf(std::uint64_t ordinal) const { return generation() == (ordinal & kGenerationMask); }
  constexpr bool Is(Phase phase, std::uint64_t ordinal) const {
    return (bits_ & (kGenerationMask << kGenerationShift | 0xF)) == SlotState(phase, ordinal).bits_;
  }
  // Equals the word `plain`, except perhaps for kShared.
  constexpr bool IsPlain(std::uint64_t plain) const { return (bits_ & ~std::uint64_t{kShared}) == plain; }
  // In flight, with one reference and no other mark except perhaps kShared.
  constexpr bool IsPlainInFlight() const {
    return (bits_ & kAllButShared) == (static_cast<std::uint64_t>(Phase::kInFlight) | kReferenced);
  }
  // From IsPlainInFlight() to kDeleted, by one addition.
  constexpr SlotState DeletedPlain() const {
    constexpr auto kChange = static_cast<std::uint64_t>(Phase::kDeleted) - static_cast<std::uint64_t>(Phase::kInFlight);
    return SlotState(bits_ + kChange);
  }
  // Deleted, with one reference and no other mark except perhaps kShared: one delivery is all that is left.
  constexpr bool IsPlainDeleted() const {
    return (bits_ & kAllButShared) == (static_cast<std::uint64_t>(Phase::kDeleted) | kReferenced);
  }

  // Free for another message: over, and nothing refers to the slot.
  constexpr bool IsFree(std::uint64_t ordinal) const { return bits_ == SlotState(Phase::kDone, ordinal).bits_; }
  // Only the thread that moves the head past the slot takes it out of its phase.
  constexpr bool IsForClaimant() const { return phase() == Phase::kReady || phase() == Phase::kRequeued; }

  constexpr SlotState With(Phase phase) const {
    return SlotState((bits_ & ~0xFULL) | static_cast<std::uint64_t>(phase));
  }
  constexpr SlotState With(std::uint32_t marks) const { return SlotState(bits_ | marks); }
  constexpr SlotState Without(std::uint32_t marks) const { return SlotState(bits_ & ~std::uint64_t{marks}); }
  // From kReady to kInFlight with one receive and one reference, by one addition.
  constexpr SlotState ReceivedFirst() const {
    constexpr auto kChange = static_cast<std::uint64_t>(Phase::kInFlight) - static_cast<std::uint64_t>(Phase::kReady);
    return SlotState(bits_ + (kChange | kReferenced | 1ULL << 32));
  }
  // The count stops at its largest value.
  constexpr SlotState ReceivedOnceMore() const {
    return receive_count() == UINT32_MAX ? *this : SlotState(bits_ + (1ULL << 32));
  }
  // Takes the last receive back.
  constexpr SlotState ReceivedOnceLess() const { return SlotState(bits_ - (1ULL << 32)); }

  friend constexpr bool operator==(SlotState, SlotState) = default;

  static constexpr std::uint64_t kGenerationMask = 0x7FFFFF;

 private:
  static constexpr int kGenerationShift = 9;
  static constexpr std::uint64_t kAllButShared = ((1ULL << kGenerationShift) - 1) & ~std::uint64_t{kShared};

  std::uint64_t bits_ = 0;
};

// Whether a word may go from one phase to the other; the same phase twice: whether its marks alone may change. Follows
// the table at the top of this file.
constexpr bool IsTransition(Phase before, Phase after) {
  switch (before) {
    case Phase::kDone:
      return after == Phase::kDone || after == Phase::kReady || after == Phase::kRequeued || after == Phase::kDelayed ||
             after == Phase::kVisibleAgain || after == Phase::kBusy;
    case Phase::kReady:
      return after == Phase::kInFlight || after == Phase::kDeleted || after == Phase::kDone || after == Phase::kBusy;
    case Phase::kRequeued:
      return after == Phase::kDone;
    case Phase::kDelayed:
      return after == Phase::kBusy;
    case Phase::kInFlight:
      return after == Phase::kInFlight || after == Phase::kBusy || after == Phase::kDeleted;
    case Phase::kVisibleAgain:
      return after == Phase::kVisibleAgain || after == Phase::kBusy || after == Phase::kDeleted;
    case Phase::kBusy:
      return after == Phase::kDelayed || after == Phase::kInFlight || after == Phase::kVisibleAgain ||
             after == Phase::kDeleted || after == Phase::kDone;
    case Phase::kDeleted:
      return after == Phase::kDeleted || after == Phase::kDone;
  }
  return false;
}

// Whether a word may have its marks and receive count in its phase:
//   - further references need a first one;
//   - a message that was never received has no references and no receive count, and is named by nothing but the lane;
//   - a deleted message has a reference, as the last one to go takes it to kDone;
//   - a slot that holds no message has no marks but kQueued, where something still names it.
constexpr bool IsConsistent(SlotState word) {
  constexpr std::uint32_t kReferences = SlotState::kReferenced | SlotState::kMoreReferences;
  constexpr std::uint32_t kOfMessage = SlotState::kHasMetadata | SlotState::kShared;
  if (word.Has(SlotState::kMoreReferences) && !word.Has(SlotState::kReferenced)) return false;
  switch (word.phase()) {
    case Phase::kDone:
      return !word.Has(kReferences | kOfMessage) && word.receive_count() == 0;
    case Phase::kRequeued:
      return !word.Has(kReferences | kOfMessage | SlotState::kQueued) && word.receive_count() == 0;
    case Phase::kReady:
    case Phase::kDelayed:
      return !word.Has(kReferences | SlotState::kQueued) && word.receive_count() == 0;
    case Phase::kDeleted:
      return word.Has(SlotState::kReferenced);
    case Phase::kInFlight:
    case Phase::kVisibleAgain:
    case Phase::kBusy:
      return true;
  }
  return false;
}

// Whether a slot's word may go from `before` to `after`. Beyond the phases:
//   - only a free slot (kDone without marks) changes its generation, and always does so when it is reused;
//   - the body stays shared or not; metadata never comes later, and goes only with the message or when it moves away;
//   - references come only by the receiver that claimed the slot or the thread that locked it, and go only while the
//     phase stays or the message is over;
//   - kQueued changes only under the lock, or while the phase stays;
//   - the receive count changes by one, under the lock or by the claiming receiver's first receive.
constexpr bool IsTransition(SlotState before, SlotState after) {
  if (!IsTransition(before.phase(), after.phase()) || !IsConsistent(after)) return false;
  if (before.generation() != after.generation()) return before.IsFree(before.generation());
  const bool is_same_phase = before.phase() == after.phase();
  if (before.phase() == Phase::kDone && !is_same_phase) return false;
  const bool was_locked = before.phase() == Phase::kBusy;
  const bool was_claimed = before.phase() == Phase::kReady;
  const auto came = [&](std::uint32_t mark) { return !before.Has(mark) && after.Has(mark); };
  const auto went = [&](std::uint32_t mark) { return before.Has(mark) && !after.Has(mark); };
  if (after.phase() == Phase::kDone) return !came(SlotState::kQueued);
  if (came(SlotState::kShared) || went(SlotState::kShared)) return false;
  if (came(SlotState::kHasMetadata) || (went(SlotState::kHasMetadata) && !was_locked)) return false;
  for (const std::uint32_t reference : {SlotState::kReferenced, SlotState::kMoreReferences}) {
    if (came(reference) && !was_locked && !was_claimed) return false;
    if (went(reference) && !is_same_phase) return false;
  }
  if ((came(SlotState::kQueued) || went(SlotState::kQueued)) && !was_locked && !is_same_phase) return false;
  const std::uint32_t more = after.receive_count() - before.receive_count();  // wraps around: UINT32_MAX is one less
  if (was_locked) return more == 0 || more == 1 || more == UINT32_MAX;
  if (was_claimed && after.phase() == Phase::kInFlight) return more == 1;
  return more == 0;
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_LANE_SLOT_STATE_H_
