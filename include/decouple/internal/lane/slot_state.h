// The state of one slot, in one 64-bit word, so that every transition is one store or one compare-exchange.
//
//   63            32 31          9  8 … 4   3 … 0
//   | receive count | generation  | marks | phase |
//
// The generation is the low 23 bits of the ordinal of the segment that the slot belongs to at the time, so a look with
// an old idea of what is here never matches. Receive count and generation together are what a receipt names.
//
//   phase        who leaves it, and to what
//   kDone        free or over. The sender that holds the ticket: kReady, kRequeued, kDelayed, kBusy
//   kReady       the one receiver that moved the head past it: kInFlight, or kDone when it expired. Nobody else, so a
//                plain store does. If the head had passed it before, its sender: kBusy and then kVisibleAgain, or kDone
//   kRequeued     the same; the slot holds no message, but names the one that takes this place in the line
//   kDelayed     anybody, through kBusy, when the delay is over: kVisibleAgain
//   kInFlight    anybody with the right receipt, or anybody when it is due, through kBusy: kVisibleAgain, kInFlight, kDeleted.
//                By the delivery itself: kDeleted at once; where nothing else is to be said of the message, and only
//                its holder may change it, by a store (delete_bias.h)
//   kVisibleAgain      visible again, and named by a line elsewhere: as kInFlight
//   kBusy        one thread owns the slot for a few instructions; others wait
//   kDeleted     over, but a delivery still shows the body: that delivery, when it goes: kDone
//
// A slot is handed on by a release store or exchange of this word and taken over by an acquire load or exchange; that
// pair publishes everything else in the slot.

#ifndef DECOUPLE_INTERNAL_LANE_SLOT_STATE_H_
#define DECOUPLE_INTERNAL_LANE_SLOT_STATE_H_

#include <cstdint>

namespace decouple::internal {

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
  // A delivery refers to the slot: its body must stay.
  static constexpr std::uint32_t kReferenced = 1U << 4;
  // More than one delivery does; the others are counted in a table of the store's.
  static constexpr std::uint32_t kMoreReferences = 1U << 5;
  // A line names the slot, once: it must not be used anew before that line has let go of it.
  static constexpr std::uint32_t kQueued = 1U << 6;
  // The message has metadata (attributes, a group, …) in its segment's table.
  static constexpr std::uint32_t kHasMetadata = 1U << 7;
  // The slot holds no body, but a hold on one that others share (shared_body.h).
  static constexpr std::uint32_t kShared = 1U << 8;

  constexpr SlotState() = default;
  constexpr explicit SlotState(std::uint64_t bits) : bits_(bits) {}
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
  // In the phase and of the generation of `plain`, and nothing else to be said of it but where its body is.
  constexpr bool IsPlain(std::uint64_t plain) const { return (bits_ & ~std::uint64_t{kShared}) == plain; }
  // In flight and held by one delivery, and nothing else to be said of it but where its body is.
  constexpr bool IsPlainInFlight() const {
    return (bits_ & kAllButShared) == (static_cast<std::uint64_t>(Phase::kInFlight) | kReferenced);
  }
  // From there to deleted, by one addition.
  constexpr SlotState DeletedPlain() const {
    constexpr auto kChange = static_cast<std::uint64_t>(Phase::kDeleted) - static_cast<std::uint64_t>(Phase::kInFlight);
    return SlotState(bits_ + kChange);
  }
  // The same, but deleted: only that delivery is left of it.
  constexpr bool IsPlainDeleted() const {
    return (bits_ & kAllButShared) == (static_cast<std::uint64_t>(Phase::kDeleted) | kReferenced);
  }

  // Over, and neither a delivery nor a line refers to it: free for another message.
  constexpr bool IsFree(std::uint64_t ordinal) const { return bits_ == SlotState(Phase::kDone, ordinal).bits_; }
  // Nobody but the one who moves the head past the slot takes it out of this phase.
  constexpr bool IsForClaimant() const { return phase() == Phase::kReady || phase() == Phase::kRequeued; }

  constexpr SlotState With(Phase phase) const {
    return SlotState((bits_ & ~0xFULL) | static_cast<std::uint64_t>(phase));
  }
  constexpr SlotState With(std::uint32_t marks) const { return SlotState(bits_ | marks); }
  constexpr SlotState Without(std::uint32_t marks) const { return SlotState(bits_ & ~std::uint64_t{marks}); }
  // Of a ready message that was never received: to in flight, held, by one addition.
  constexpr SlotState ReceivedFirst() const {
    constexpr auto kChange = static_cast<std::uint64_t>(Phase::kInFlight) - static_cast<std::uint64_t>(Phase::kReady);
    return SlotState(bits_ + (kChange | kReferenced | 1ULL << 32));
  }
  // Counts stop at the largest.
  constexpr SlotState ReceivedOnceMore() const {
    return receive_count() == UINT32_MAX ? *this : SlotState(bits_ + (1ULL << 32));
  }

  // The last receive never was.
  constexpr SlotState ReceivedOnceLess() const { return SlotState(bits_ - (1ULL << 32)); }

  friend constexpr bool operator==(SlotState, SlotState) = default;

  static constexpr std::uint64_t kGenerationMask = 0x7FFFFF;

 private:
  static constexpr int kGenerationShift = 9;
  static constexpr std::uint64_t kAllButShared = ((1ULL << kGenerationShift) - 1) & ~std::uint64_t{kShared};

  std::uint64_t bits_ = 0;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LANE_SLOT_STATE_H_
