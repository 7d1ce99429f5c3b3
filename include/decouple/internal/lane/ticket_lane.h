// A lane: an unbounded queue of slots in the order of tickets. Senders take tickets at the tail and publish their
// slots; receivers move the head past published slots.
//
//   TicketLane<Slot> lane(layout);                                  // Slot: what every slot begins with
//
//   const auto first = lane.TakeTickets(n);                         // sender
//   auto place = lane.PlaceOf(first + i, cursor);                   // the slot for the message
//   …write the message…;
//   if (!lane.Publish(*place.slot, first + i, ready)) …             // skipped: no receiver will claim this slot
//
//   auto run = lane.Claim(cursor, 10, gate, wants);                 // receiver: the taken slots are now its own
//   run.ForEachTaken([](Slot& slot, SlotState word) { … });         // to be given another word, with one store each
//
// Invariants. head ≤ tail, and both only grow. The slot of ticket t has been passed if t < head; only the thread that
// moved the head past it takes it out of kReady.
//
// Publishing is a plain store: the slot's cache line is most likely in another core's cache, and the sender does not
// wait for it, as it would with an exchange.
//
// Skipping. A sender that stalls between TakeTickets() and Publish() does not block receivers: a receiver that has
// waited long enough moves the head past the ticket and notes the ticket as skipped; the sender finds the note after it
// has published, and makes its message visible in another way. The fence rule (asymmetric_fence.h) pairs the two.
// Sender: store word; light fence; load skipped_end. Receiver: store skipped_end; heavy fence; load word. At least one
// sees the other, so the sender never misses that its ticket was skipped.
//
// Contention. Two threads that come to the tail, or to the head, at the same time are separated by a compare-exchange;
// the one that fails backs off (BackOff()).
//
// Segments (lane_segments.h). A segment with a slot that only the caller can finish, one of an unpublished ticket or a
// claimed one, stays where it is, so a thread may remember what it found there (LaneCursor). A sender in the middle of
// a segment installs the next one; the receiver that claims the last slot of a round of segments tries to retire some.
// So senders and receivers wait for each other only to grow, and where a sender has stalled.

#ifndef DECOUPLE_INTERNAL_LANE_TICKET_LANE_H_
#define DECOUPLE_INTERNAL_LANE_TICKET_LANE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/lane_cursor.h"
#include "decouple/internal/lane/lane_segments.h"
#include "decouple/internal/lane/retired_segments.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"

namespace decouple::inline v0_1::internal {

template <typename Slot>
class TicketLane {
 public:
  using Pool = SegmentPool<Slot>;
  using Segment = typename Pool::Segment;
  using Chunk = typename Pool::Chunk;

  using Cursor = LaneCursor<Slot>;
  using Run = ClaimedRun<Slot>;

  struct Place {
    Segment* segment;
    Slot* slot;
  };

  static constexpr std::uint64_t OrdinalOf(std::uint64_t ticket) { return LaneSegments<Slot>::OrdinalOf(ticket); }

  explicit TicketLane(const SlotLayout& layout) : segments_(head_, layout) {}
  TicketLane(const TicketLane&) = delete;
  TicketLane& operator=(const TicketLane&) = delete;

  std::uint64_t head() const { return head_.load(std::memory_order_seq_cst); }  // see EarliestDeadline for the order
  std::uint64_t tail() const { return tail_.load(std::memory_order_acquire); }

  // The ticket of `slot`. Requires: `segment` is in use and stays so meanwhile.
  static std::uint64_t TicketOf(const Segment& segment, const Slot& slot) {
    DECOUPLE_ASSERT(segment.ordinal.load(std::memory_order_relaxed) != 0);
    return (segment.ordinal.load(std::memory_order_relaxed) - 1) * kSlotsPerSegment + segment.PlaceOf(slot);
  }

  // Takes `n` consecutive tickets and returns the first. Each of them must be published.
  [[gnu::always_inline]] std::uint64_t TakeTickets(std::uint32_t n) {
    // Relaxed, both: the publication of the slot orders what follows.
    std::uint64_t ticket = tail_.load(std::memory_order_relaxed);
    if (tail_.compare_exchange_strong(ticket, ticket + n, std::memory_order_relaxed)) [[likely]]
      return ticket;
    return TakeTicketsSlow(n);
  }

  // The slot for the message of `ticket`. Requires: the caller has taken the ticket, and either has not published it or
  // found it skipped.
  [[gnu::always_inline]] Place PlaceOf(std::uint64_t ticket, Cursor& cursor) {
    if (Slot* const slot = CachedPlaceOf(ticket, cursor, stride())) [[likely]]
      return {cursor.send_segment, slot};
    return PlaceOfSlow(ticket, cursor);
  }

  // Same as PlaceOf() if the cursor is there already, else null. The word of a plain message there is
  // cursor.send_word(). `stride` is stride(), here and below; a caller that knows it as a constant saves the
  // multiplication.
  [[gnu::always_inline]] static Slot* CachedPlaceOf(std::uint64_t ticket, const Cursor& cursor, std::uint32_t stride) {
    const std::uint64_t after = ticket - cursor.send_first;
    DECOUPLE_ASSERT(after >= kHalf - 1 || Carries(*cursor.send_segment, ticket));
    return after < kHalf - 1 ? SlotAt(cursor.send_slots, after, stride) : nullptr;
  }

  // Publishes what the caller wrote into the slot of its ticket. False: the ticket was skipped, so no receiver will
  // claim the slot; it still belongs to the caller, which has to give it another word.
  [[gnu::always_inline]] bool Publish(Slot& slot, std::uint64_t ticket, SlotState published) {
    DECOUPLE_ASSERT(published.IsOf(OrdinalOf(ticket)));
    PublishOnly(slot, published);
    return !WasSkipped(ticket);
  }

  // The parts of Publish(), for a sender that needs one fence for several purposes: PublishOnly(), a light fence,
  // MaybeSkipped(), and if that is true WasSkipped().
  [[gnu::always_inline]] static void PublishOnly(Slot& slot, SlotState published) {
    DECOUPLE_ASSERT(IsTransition(SlotState(slot.word.load(std::memory_order_relaxed)), published));
    // Release: pairs with the acquire in the claims, and publishes the message.
    slot.word.store(published.bits(), std::memory_order_release);
  }
  [[gnu::always_inline]] bool MaybeSkipped(std::uint64_t ticket) const {
    return ticket < skipped_end_.load(std::memory_order_relaxed);
  }

  // Whether a published ticket was skipped. Called once, by its sender, as the answer removes the note.
  [[gnu::always_inline]] bool WasSkipped(std::uint64_t ticket) {
    LightFence();  // after the publication; pairs with the heavy fence in TrySkip()
    return MaybeSkipped(ticket) && TryTakeSkipNote(ticket);
  }

  // PublishOnly() for consecutive tickets: write(slot, ready) writes the message and returns its word, which is `ready`
  // with marks. One light fence is enough for all; after it the caller asks MaybeSkipped(first).
  template <typename Write>
  [[gnu::always_inline]] void PublishRunOnly(std::uint64_t first, std::uint32_t n, Cursor& cursor, std::uint32_t stride,
                                             Write write) {
    DECOUPLE_ASSERT(stride == this->stride());
    const std::uint64_t end = first + n;
    for (std::uint64_t ticket = first; ticket != end;) {
      Slot* slot = PlaceOf(ticket, cursor).slot;
      const SlotState ready = cursor.send_word();
      // Up to the middle or the end of the segment, from where PlaceOf() takes its slow path.
      const std::uint64_t half = (ticket | (kHalf - 1)) + 1;
      for (const std::uint64_t stop = std::min(half, end); ticket != stop; ++ticket, slot = SlotAt(slot, 1, stride)) {
        PublishOnly(*slot, write(*slot, ready));
      }
    }
  }

  // WasSkipped() for consecutive tickets, after the caller's light fence: calls visit(place) for each that was skipped.
  template <typename Visit>
  void ForEachSkipped(std::uint64_t first, std::uint32_t n, Cursor& cursor, Visit visit) {
    if (!MaybeSkipped(first)) return;
    for (std::uint64_t ticket = first; ticket != first + n; ++ticket) {
      if (TryTakeSkipNote(ticket)) visit(PlaceOf(ticket, cursor));
    }
  }

  // Publishes a word that claims pass over, and after which other threads may lock the slot at once. Sequentially
  // consistent, for the deadline that goes with it (EarliestDeadline). The caller has to call ForgetSkip() afterwards,
  // outside of any read section.
  static void PublishUnclaimable(Slot& slot, SlotState published) {
    DECOUPLE_ASSERT(!published.IsForClaimant());
    [[maybe_unused]] const SlotState before(slot.word.exchange(published.bits(), std::memory_order_seq_cst));
    DECOUPLE_ASSERT(IsTransition(before, published));
  }
  // Removes the note if the ticket was skipped, which makes no difference to an unclaimable slot.
  void ForgetSkip(std::uint64_t ticket) { WasSkipped(ticket); }

  // Fast path of Claim() for one slot: the slot at the head if it holds a plain ready message and is in the cursor's
  // segment, but not the last one there, whose claimant has to retire segments. Returns the slot's index in the
  // segment. kNoPlace: nothing was claimed, for a reason that only Claim() finds out. `gate` as in Claim().
  static constexpr std::uint64_t kNoPlace = kSlotsPerSegment;
  [[gnu::always_inline]] std::uint64_t ClaimNext(const RcuReadGuard&, const Cursor& cursor,
                                                 const std::atomic<std::uint64_t>& gate, std::uint32_t stride) {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    const std::uint64_t after = head - cursor.receive_first;
    if (after >= kSlotsPerSegment - 1 || head >= gate.load(std::memory_order_relaxed)) [[unlikely]]
      return kNoPlace;
    const Slot& slot = *SlotAt(cursor.receive_slots, after, stride);
    // Acquire: pairs with the release in PublishOnly(), for the caller, which reads the message.
    if (!SlotState(slot.word.load(std::memory_order_acquire)).IsPlain(cursor.receive_ready)) [[unlikely]]
      return kNoPlace;
    DECOUPLE_ASSERT(head < tail());
    // Sequentially consistent, as in Claim().
    return head_.compare_exchange_strong(head, head + 1, std::memory_order_seq_cst) ? after : kNoPlace;
  }

  // Fast path of Claim(): up to `most` slots at the head that are in one segment and hold plain ready messages. None:
  // nothing was claimed, for a reason that only Claim() finds out. `gate` as in Claim().
  struct Claimed {
    std::uint32_t place = 0;  // the index of the first slot in the cursor's segment
    std::uint32_t count = 0;
  };
  [[gnu::always_inline]] Claimed ClaimReady(const RcuReadGuard& section, Cursor& cursor, std::uint32_t most,
                                            const std::atomic<std::uint64_t>& gate, std::uint32_t stride) {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    if (head - cursor.receive_first >= kSlotsPerSegment && !FollowHead(section, head, cursor)) [[unlikely]]
      return {};
    if (head + most > gate.load(std::memory_order_relaxed)) [[unlikely]]  // ordered by the read section
      return {};
    const std::uint64_t ready = cursor.receive_ready;
    const auto place = static_cast<std::uint32_t>(head - cursor.receive_first);
    const std::uint32_t most_here = std::min(most, kSlotsPerSegment - place);
    Slot* slot = SlotAt(cursor.receive_slots, place, stride);
    std::uint32_t count = 0;
    // Acquire: pairs with the release in PublishOnly(), for the caller, which reads the message.
    while (count != most_here && SlotState(slot->word.load(std::memory_order_acquire)).IsPlain(ready)) {
      ++count;
      slot = SlotAt(slot, 1, stride);
    }
    DECOUPLE_ASSERT(count == 0 || head + count <= tail());
    // Sequentially consistent, as in Claim().
    if (count == 0 || !head_.compare_exchange_strong(head, head + count, std::memory_order_seq_cst)) return {};
    return {place, count};
  }

  // Moves the head past consecutive slots of one segment. Takes up to `most` of those that are for the claimant
  // (kReady, kRequeued) and passes the others; stops before the first one for the claimant that wants(slot, word)
  // rejects. An empty run: there is nothing to take.
  //
  // `wants` must only read. It may be asked about a slot that another thread claims meanwhile, and is then asked again.
  //
  // Takes nothing from the ticket `gate` on. The gate is read inside the claim's read section: once a thread has
  // lowered it and called RcuSynchronize(), no claim goes by its old value.
  template <typename Wants>
  Run Claim(Cursor& cursor, std::uint32_t most, const std::atomic<std::uint64_t>& gate, Wants wants) {
    Run run;  // the one object that all returns name, so it is built in place
    for (int spins_left = kSpinsBeforeSkip;;) {
      std::uint64_t head = 0;
      run.size = 0;
      run.taken = 0;
      run.gated = false;
      {
        const RcuReadGuard section;  // until the claim succeeds, other threads may pass and retire the segment
        head = head_.load(std::memory_order_acquire);
        run.ordinal = OrdinalOf(head);
        run.first = static_cast<std::uint32_t>(head % kSlotsPerSegment);
        if (head - cursor.receive_first >= kSlotsPerSegment) [[unlikely]]
          FollowHead(section, head, cursor);
        run.segment = cursor.receive_segment;
        const std::uint64_t open_until = gate.load(std::memory_order_relaxed);  // ordered by the read section
        bool stopped = false;
        for (std::uint32_t missing = most;
             run.segment != nullptr && missing > 0 && run.first + run.size < kSlotsPerSegment; ++run.size) {
          // Acquire: pairs with the release in PublishOnly(), for `wants` and for the caller, which read the message.
          const SlotState word(run.slot(run.size).word.load(std::memory_order_acquire));
          if (!word.IsOf(run.ordinal)) break;
          if (!word.IsForClaimant()) continue;
          stopped = !wants(run.slot(run.size), word);
          run.gated = !stopped && head + run.size >= open_until;
          if (stopped || run.gated) break;
          run.taken |= 1ULL << run.size;
          --missing;
        }
        if (run.size != 0) {
          run.gated = false;
          run.ends_round = EndsRound(head + run.size);
          DECOUPLE_ASSERT(head + run.size <= tail());
          // Sequentially consistent: the claim announces that these slots are about to be in flight (EarliestDeadline).
          if (head_.compare_exchange_strong(head, head + run.size, std::memory_order_seq_cst)) {
            DECOUPLE_ASSERT(run.taken == 0 || Carries(*run.segment, head));
            return run;
          }
        } else if (stopped || run.gated) {
          return run;
        }
      }
      if (run.size != 0) {
        BackOff();
        continue;
      }
      // The slot at the head is not published: its ticket is not taken, or its sender is still at work, or it stalls.
      const std::uint64_t tail = this->tail();
      if (tail <= head) return run;
      if (spins_left-- > 0) {
        Relax();
        continue;
      }
      // A ticket without any behind it is not skipped: its message counts as sent only when the send returns.
      if (tail == head + 1 || run.segment == nullptr) return run;
      if (TrySkip(head)) {
        run.size = 1;
        run.ends_round = EndsRound(head + 1);
        return run;
      }
    }
  }

  // Whether the lane is empty, or was a moment ago.
  bool LooksEmpty() const { return head_.load(std::memory_order_relaxed) >= tail(); }

  // See LaneSegments.
  [[gnu::always_inline]] bool EndsRound(std::uint64_t end) const { return segments_.EndsRound(end); }
  SparseSegments ReclaimRound() { return segments_.ReclaimRound(); }
  SparseSegments TryReclaim(std::uint32_t most) { return segments_.TryReclaim(most); }

  // The slot of `ticket` if it is still in the segment of that number, else null. Requires: inside a read section.
  Place FindByNumber(std::uint32_t segment_number, std::uint64_t ticket) const {
    Segment* const segment = segments_.FindByNumber(segment_number, OrdinalOf(ticket));
    return segment == nullptr ? Place{} : Place{segment, &segment->slot(ticket % kSlotsPerSegment)};
  }

  const Pool& pool() const { return segments_.pool(); }
  Pool& pool() { return segments_.pool(); }

  // In bytes from one slot to the next.
  std::uint32_t stride() const { return pool().layout().stride; }

 private:
  // About 2 µs: longer than writing a message takes, shorter than a time slice.
  static constexpr int kSpinsBeforeSkip = 50;
  static constexpr int kBackOffSteps = 1'500;  // less than half a microsecond
  static constexpr std::uint64_t kHalf = kSlotsPerSegment / 2;

  // Contention back-off: after a failed CAS spin ~0.5 µs without touching the cache line, so the winner keeps it
  // exclusive for some twenty messages. Plain steps: with Relax() for as long it is slower than without back-off
  // (exp. 12).
  [[gnu::always_inline]] static void BackOff() {
    for (int step = 0; step < kBackOffSteps; ++step) std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  // Inlined: a call would make every send save registers (exp. 13).
  [[gnu::always_inline]] std::uint64_t TakeTicketsSlow(std::uint32_t n) {
    BackOff();
    return tail_.fetch_add(n, std::memory_order_relaxed);
  }

  // Moves the head past the unpublished slot there and notes its ticket as skipped. False: the slot has been published,
  // or the head has moved.
  [[gnu::noinline]] bool TrySkip(std::uint64_t head) ABSL_LOCKS_EXCLUDED(skip_mutex_) {
    DECOUPLE_ASSERT(head < tail());
    const MutexLock lock(skip_mutex_);
    if (head_.load(std::memory_order_relaxed) != head) return false;
    skipped_end_.store(head + 1, std::memory_order_relaxed);
    HeavyFence();                // pairs with the light fence in WasSkipped()
    const RcuReadGuard section;  // once the head has moved, the segment may be freed
    const Segment* const segment = segments_.Find(section, OrdinalOf(head));
    if (segment == nullptr) return false;
    const SlotState word(segment->slot(head % kSlotsPerSegment).word.load(std::memory_order_acquire));
    if (word.IsOf(OrdinalOf(head))) return false;
    std::uint64_t expected = head;
    if (!head_.compare_exchange_strong(expected, head + 1, std::memory_order_seq_cst)) return false;
    skipped_.push_back(head);
    return true;
  }

  // Removes the note that `ticket` was skipped; false if there is none.
  [[gnu::noinline]] bool TryTakeSkipNote(std::uint64_t ticket) ABSL_LOCKS_EXCLUDED(skip_mutex_) {
    const MutexLock lock(skip_mutex_);
    const auto note = std::find(skipped_.begin(), skipped_.end(), ticket);
    if (note == skipped_.end()) return false;
    skipped_.erase(note);
    return true;
  }

  // Whether the segment is that of `ticket`. Requires: inside a read section, or the caller keeps the segment in use.
  static bool Carries(const Segment& segment, std::uint64_t ticket) {
    return segment.ordinal.load(std::memory_order_relaxed) == OrdinalOf(ticket);
  }

  // Moves the cursor to the segment of the head. False: there is none yet.
  [[gnu::noinline]] bool FollowHead(const RcuReadGuard& section, std::uint64_t head, Cursor& cursor) const {
    const std::uint64_t ordinal = OrdinalOf(head);
    cursor.receive_segment = segments_.Find(section, ordinal);
    cursor.receive_first = cursor.receive_segment == nullptr ? kNowhereInLane : head - head % kSlotsPerSegment;
    cursor.receive_ready = SlotState(Phase::kReady, ordinal).bits();
    if (cursor.receive_segment == nullptr) return false;
    cursor.receive_slots = cursor.receive_segment->first_slot();
    cursor.FetchColdFields();
    return true;
  }

  // Slow path of PlaceOf(), twice a segment: finds the segment, and in its middle installs the next one ahead of need.
  [[gnu::noinline]] Place PlaceOfSlow(std::uint64_t ticket, Cursor& cursor) {
    const std::uint64_t ordinal = OrdinalOf(ticket);
    const std::uint64_t place = ticket % kSlotsPerSegment;
    if (OrdinalOf(cursor.send_first) != ordinal) cursor.send_segment = segments_.FindOrInstall(ordinal);
    DECOUPLE_ASSERT(Carries(*cursor.send_segment, ticket));
    cursor.send_first = (ticket & ~(kHalf - 1)) + 1;
    cursor.send_slots = &cursor.send_segment->slot((place & ~(kHalf - 1)) + 1);
    cursor.send_ready = SlotState(Phase::kReady, ordinal).bits();
    if (place == kHalf) segments_.InstallAhead(ordinal + 1);
    return {cursor.send_segment, &cursor.send_segment->slot(place)};
  }

  alignas(kCacheLine) std::atomic<std::uint64_t> head_{0};
  alignas(kCacheLine) std::atomic<std::uint64_t> tail_{0};
  // Tickets from here on have not been skipped; of earlier ones the notes tell. Rarely written, and read by senders
  // alone, which have the cache line of the tail.
  std::atomic<std::uint64_t> skipped_end_{0};
  LaneSegments<Slot> segments_;

  Mutex skip_mutex_;
  // The notes: skipped tickets whose senders have yet to find out.
  std::vector<std::uint64_t> skipped_ ABSL_GUARDED_BY(skip_mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_LANE_TICKET_LANE_H_
