// A line of slots in the order of tickets: senders take tickets at the tail and publish, receivers move the head.
//
//   const auto first = lane.TakeTickets(n);                       // the sender
//   auto place = lane.PlaceOf(first + i, cursor);                   // where the message goes
//   …write the message…;
//   if (!lane.Publish(*place.slot, first + i, ready)) …           // skipped: nobody waits here any more
//
//   auto run = lane.Claim(cursor, 10, gate, wants);                 // the receiver: some slots are now its own
//   run.ForEachTaken([](Slot& slot, SlotState word) { … });        // to flip, each with one store
//
// head ≤ tail, both only grow. Slot `t` for t < head has been passed; whoever moved the head past it is the only one to
// take it out of kReady.
//
// MessageWriter is a plain store, as the line of the slot is most likely in another core's cache: the sender does not wait
// for it, as it would with an exchange.
//
// A sender that stalls between its ticket and its publication holds nobody up: a receiver that has waited long enough
// notes its ticket as skipped and moves on; the sender looks for its ticket there after it has published, and lists its
// message elsewhere. One writes the word and then reads the notes, the other writes a note and then reads the word,
// with a light and a heavy fence between (rcu.h): so the sender never misses the note of a ticket that was
// passed.
//
// Two threads that come for the tail, or for the head, at the same time make it out by a compare-exchange: who comes
// second first leaves it to the other for a while (BackOff).
//
// Segments. Ticket t lives in the segment of ordinal t / 64 + 1 (lane_segments.h). A segment that holds a slot which only
// the caller can finish (an unpublished ticket, a claimed slot) stays where it is, so what a thread has found it may
// remember (Cursor). The sender that passes the middle of a segment sees to it that the next one is there, and who claims
// the last slot of a round of segments tries to retire some: so senders and receivers do not wait for each other here,
// except to grow, and where a sender has stalled.

#ifndef DECOUPLE_INTERNAL_LANE_TICKET_LANE_H_
#define DECOUPLE_INTERNAL_LANE_TICKET_LANE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/lane_cursor.h"
#include "decouple/internal/lane/lane_segments.h"
#include "decouple/internal/lane/retired_segments.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"

namespace decouple::internal {

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

  TicketLane() = default;
  TicketLane(const TicketLane&) = delete;
  TicketLane& operator=(const TicketLane&) = delete;

  std::uint64_t head() const { return head_.load(std::memory_order_seq_cst); }  // see EarliestDeadline for the order
  std::uint64_t tail() const { return tail_.load(std::memory_order_acquire); }

  // Where `slot` of `segment`, which is in use and stays so meanwhile, is in the line.
  static std::uint64_t TicketOf(const Segment& segment, const Slot& slot) {
    return (segment.ordinal.load(std::memory_order_relaxed) - 1) * kSlotsPerSegment +
           static_cast<std::uint64_t>(&slot - segment.slots);
  }

  // The first of `n` consecutive tickets. Each must be published.
  [[gnu::always_inline]] std::uint64_t TakeTickets(std::uint32_t n) {
    // Relaxed, both: this orders nothing, what is published is the slot.
    std::uint64_t ticket = tail_.load(std::memory_order_relaxed);
    if (tail_.compare_exchange_strong(ticket, ticket + n, std::memory_order_relaxed)) [[likely]]
      return ticket;
    return TakeTicketsLater(n);
  }

  // Where the message of the caller's own ticket goes.
  [[gnu::always_inline]] Place PlaceOf(std::uint64_t ticket, Cursor& cursor) {
    if (Slot* const slot = KnownPlaceOf(ticket, cursor)) [[likely]]
      return {cursor.send_segment, slot};
    return LookAround(ticket, cursor);
  }

  // The same if it is where the thread sent last, else null. Cursor::send_word() is for there.
  [[gnu::always_inline]] static Slot* KnownPlaceOf(std::uint64_t ticket, const Cursor& cursor) {
    const std::uint64_t after = ticket - cursor.send_first;
    return after < kHalf - 1 ? cursor.send_slots + after : nullptr;
  }

  // Publishes what the caller wrote into the slot of its own ticket. False: it was skipped, so nobody will claim it; it
  // is the caller's, to give it any other word.
  [[gnu::always_inline]] bool Publish(Slot& slot, std::uint64_t ticket, SlotState published) {
    slot.word.store(published.bits(), std::memory_order_release);
    return !WasSkipped(ticket);
  }

  // The two halves of Publish(), for who has one fence for several things: he publishes, passes a light fence, and if
  // the ticket may have been skipped, asks.
  [[gnu::always_inline]] static void PublishOnly(Slot& slot, SlotState published) {
    slot.word.store(published.bits(), std::memory_order_release);
  }
  [[gnu::always_inline]] bool MaybeSkipped(std::uint64_t ticket) const {
    return ticket < skipped_end_.load(std::memory_order_relaxed);
  }

  // Asked once by the sender that has published it.
  [[gnu::always_inline]] bool WasSkipped(std::uint64_t ticket) {
    LightFence();  // after the publication; pairs with the heavy one in TrySkip()
    return MaybeSkipped(ticket) && TakeSkipMark(ticket);
  }

  // PublishOnly() for consecutive tickets: write(slot, ready) writes each and returns its word, which is `ready` and
  // marks. One fence does for all, after which the caller asks whether some may have been skipped from `first` on.
  template <typename Write>
  [[gnu::always_inline]] void PublishRunOnly(std::uint64_t first, std::uint32_t n, Cursor& cursor, Write write) {
    const std::uint64_t end = first + n;
    for (std::uint64_t ticket = first; ticket != end;) {
      Slot* slot = PlaceOf(ticket, cursor).slot;
      const SlotState ready = cursor.send_word();
      // Past the middle a look around is due, too (see PlaceOf).
      const std::uint64_t half = (ticket | (kHalf - 1)) + 1;
      for (const std::uint64_t stop = std::min(half, end); ticket != stop; ++ticket, ++slot) {
        PublishOnly(*slot, write(*slot, ready));
      }
    }
  }

  // Asked once by the sender of a run, after the fence: calls visit(place) for what was skipped.
  template <typename Visit>
  void ForEachSkipped(std::uint64_t first, std::uint32_t n, Cursor& cursor, Visit visit) {
    if (!MaybeSkipped(first)) return;
    for (std::uint64_t ticket = first; ticket != first + n; ++ticket) {
      if (TakeSkipMark(ticket)) visit(PlaceOf(ticket, cursor));
    }
  }

  // Publishes a word that no claimant takes, and that others may own at once. Sequentially consistent: the deadline
  // that goes with it is made known before or after (EarliestDeadline). Then call ForgetSkip(), outside of any section.
  static void PublishUnclaimable(Slot& slot, SlotState published) {
    slot.word.exchange(published.bits(), std::memory_order_seq_cst);
  }
  void ForgetSkip(std::uint64_t ticket) { WasSkipped(ticket); }

  // The usual case of Claim() for one: the slot at the head, if it is ready, and in the segment where the thread
  // received last (but not that one's last: who takes it has to tidy). Returns its place there; kNoPlace leaves
  // everything as it was, and only Claim() knows why. `gate` as there.
  static constexpr std::uint64_t kNoPlace = kSlotsPerSegment;
  [[gnu::always_inline]] std::uint64_t ClaimNext(const RcuReadGuard&, const Cursor& cursor,
                                                 const std::atomic<std::uint64_t>& gate) {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    const std::uint64_t after = head - cursor.receive_first;
    if (after >= kSlotsPerSegment - 1 || head >= gate.load(std::memory_order_relaxed)) [[unlikely]]
      return kNoPlace;
    const Slot& slot = cursor.receive_segment->slots[after];
    // Acquire: pairs with the sender's publication, for the caller who reads the message.
    if (!SlotState(slot.word.load(std::memory_order_acquire)).IsPlain(cursor.receive_ready)) [[unlikely]]
      return kNoPlace;
    // Sequentially consistent, as in Claim().
    return head_.compare_exchange_strong(head, head + 1, std::memory_order_seq_cst) ? after : kNoPlace;
  }

  // The usual case of Claim(): up to `most` slots at the head, in one segment, all of them ready. None leaves
  // everything as it was, and only Claim() knows why. `gate` as there.
  struct Claimed {
    std::uint32_t place = 0;  // of the first, in the cursor's segment
    std::uint32_t count = 0;
  };
  [[gnu::always_inline]] Claimed ClaimReady(const RcuReadGuard& section, Cursor& cursor, std::uint32_t most,
                                            const std::atomic<std::uint64_t>& gate) {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    if (head - cursor.receive_first >= kSlotsPerSegment && !Follow(section, head, cursor)) [[unlikely]]
      return {};
    if (head + most > gate.load(std::memory_order_relaxed)) [[unlikely]]  // ordered by the section
      return {};
    const std::uint64_t ready = cursor.receive_ready;
    const auto place = static_cast<std::uint32_t>(head - cursor.receive_first);
    const Slot* const first = cursor.receive_segment->slots + place;
    const Slot* const most_end = first + std::min(most, kSlotsPerSegment - place);
    const Slot* end = first;
    // Acquire: pairs with the sender's publication, for the caller who reads the message.
    while (end != most_end && SlotState(end->word.load(std::memory_order_acquire)).IsPlain(ready)) ++end;
    const auto count = static_cast<std::uint32_t>(end - first);
    // Sequentially consistent, as in Claim().
    if (count == 0 || !head_.compare_exchange_strong(head, head + count, std::memory_order_seq_cst)) return {};
    return {place, count};
  }

  // Moves the head past consecutive slots: up to `most` that are for the claimant (kReady, kRequeued) are taken, the
  // others passed, up to the first for the claimant that wants(slot, word) does not want. An empty run: there is
  // nothing. `wants` only looks; it may look at a slot that somebody else claims at the same time, and is then asked
  // again. Nothing is taken from `gate` on, which is read within the RcuReadGuard of the claim: lower it, RcuSynchronize(),
  // and no claim goes by its old value.
  template <typename Wants>
  Run Claim(Cursor& cursor, std::uint32_t most, const std::atomic<std::uint64_t>& gate, Wants wants) {
    Run run;  // built where the caller wants it
    for (int patience = kSpinsBeforeSkip;;) {
      std::uint64_t head = 0;
      run.size = 0;
      run.taken = 0;
      run.gated = false;
      {
        const RcuReadGuard section;  // until the claim succeeds, others may pass and retire the segment
        head = head_.load(std::memory_order_acquire);
        run.ordinal = OrdinalOf(head);
        run.first = static_cast<std::uint32_t>(head % kSlotsPerSegment);
        if (head - cursor.receive_first >= kSlotsPerSegment) [[unlikely]]
          Follow(section, head, cursor);
        run.segment = cursor.receive_segment;
        const std::uint64_t open_until = gate.load(std::memory_order_relaxed);  // ordered by the section
        bool stopped = false;
        for (std::uint32_t missing = most;
             run.segment != nullptr && missing > 0 && run.first + run.size < kSlotsPerSegment; ++run.size) {
          // Acquire: pairs with the sender's publication, for `wants` and for the caller who reads the message.
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
          // Sequentially consistent: the claim announces that these slots are about to be in flight (EarliestDeadline).
          if (head_.compare_exchange_strong(head, head + run.size, std::memory_order_seq_cst)) return run;
        } else if (stopped || run.gated) {
          return run;
        }
      }
      if (run.size != 0) {
        BackOff();
        continue;
      }
      // The first slot is not published: nothing was sent, or its sender is at work, or it stalls.
      const std::uint64_t tail = this->tail();
      if (tail <= head) return run;
      if (patience-- > 0) {
        Relax();
        continue;
      }
      if (tail == head + 1 || run.segment == nullptr)
        return run;  // nothing behind it: not sent before the send returns
      if (TrySkip(head)) {
        run.size = 1;
        run.ends_round = EndsRound(head + 1);
        return run;
      }
    }
  }

  // Nothing is in line, or was a moment ago.
  bool LooksEmpty() const { return head_.load(std::memory_order_relaxed) >= tail(); }

  // As LaneSegments has them.
  [[gnu::always_inline]] bool EndsRound(std::uint64_t end) const { return segments_.EndsRound(end); }
  SparseSegments RetireRound() { return segments_.RetireRound(); }
  SparseSegments TryRetire(std::uint32_t most) { return segments_.TryRetire(most); }

  // Inside a RcuReadGuard: the slot of `ticket` in the segment of that number; null when it is long gone.
  Place FindByNumber(std::uint32_t segment_number, std::uint64_t ticket) const {
    Segment* const segment = segments_.FindByNumber(segment_number, OrdinalOf(ticket));
    return segment == nullptr ? Place{} : Place{segment, &segment->slots[ticket % kSlotsPerSegment]};
  }

  const Pool& pool() const { return segments_.pool(); }
  Pool& pool() { return segments_.pool(); }

 private:
  // About 2 µs: longer than it takes to write a message, shorter than a time slice.
  static constexpr int kSpinsBeforeSkip = 50;
  static constexpr int kBackOffSteps = 1'500;  // less than half a microsecond
  static constexpr std::uint64_t kHalf = kSlotsPerSegment / 2;

  // After another thread came first to the tail, or to the head. Two that come for the same line of the cache again and
  // again spend their time on waiting for it; so one of them lets the other have it for some twenty messages, by itself.
  // (Two senders without receivers 25 -> 14 ns a message, two receivers 25 -> 17; two and two 33 -> 25-28. With Relax()
  // for as long, two senders took 40.)
  [[gnu::always_inline]] static void BackOff() {
    for (int step = 0; step < kBackOffSteps; ++step) std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  // Without a call, for which the sender would have to save registers each time (a tenth of a send).
  [[gnu::always_inline]] std::uint64_t TakeTicketsLater(std::uint32_t n) {
    BackOff();
    return tail_.fetch_add(n, std::memory_order_relaxed);
  }

  // Moves the head past the unpublished slot there, whose sender will learn of it. False: it is published by now, or
  // the head is elsewhere.
  [[gnu::noinline]] bool TrySkip(std::uint64_t head) {
    const std::lock_guard lock(skipping_);
    if (head_.load(std::memory_order_relaxed) != head) return false;
    skipped_end_.store(head + 1, std::memory_order_relaxed);
    HeavyFence();                // pairs with the light one in WasSkipped()
    const RcuReadGuard section;  // once the head is elsewhere, the segment may go
    const Segment* const segment = segments_.Find(section, OrdinalOf(head));
    if (segment == nullptr) return false;
    const SlotState word(segment->slots[head % kSlotsPerSegment].word.load(std::memory_order_acquire));
    if (word.IsOf(OrdinalOf(head))) return false;
    std::uint64_t expected = head;
    if (!head_.compare_exchange_strong(expected, head + 1, std::memory_order_seq_cst)) return false;
    skipped_.push_back(head);
    return true;
  }

  [[gnu::noinline]] bool TakeSkipMark(std::uint64_t ticket) {
    const std::lock_guard lock(skipping_);
    const auto note = std::find(skipped_.begin(), skipped_.end(), ticket);
    if (note == skipped_.end()) return false;
    skipped_.erase(note);
    return true;
  }

  // On to the segment of the head. False: there is none yet.
  [[gnu::noinline]] bool Follow(const RcuReadGuard& section, std::uint64_t head, Cursor& cursor) const {
    const std::uint64_t ordinal = OrdinalOf(head);
    cursor.receive_segment = segments_.Find(section, ordinal);
    cursor.receive_first = cursor.receive_segment == nullptr ? kNowhereInLane : head - head % kSlotsPerSegment;
    cursor.receive_ready = SlotState(Phase::kReady, ordinal).bits();
    if (cursor.receive_segment == nullptr) return false;
    cursor.FetchColdFields();
    return true;
  }

  // PlaceOf() once or twice a segment: finds it, and has the next one installed ahead of need.
  [[gnu::noinline]] Place LookAround(std::uint64_t ticket, Cursor& cursor) {
    const std::uint64_t ordinal = OrdinalOf(ticket);
    const std::uint64_t place = ticket % kSlotsPerSegment;
    if (OrdinalOf(cursor.send_first) != ordinal) cursor.send_segment = segments_.FindOrInstall(ordinal);
    cursor.send_first = (ticket & ~(kHalf - 1)) + 1;
    cursor.send_slots = cursor.send_segment->slots + (place & ~(kHalf - 1)) + 1;
    cursor.send_ready = SlotState(Phase::kReady, ordinal).bits();
    if (place == kHalf) segments_.InstallAhead(ordinal + 1);
    return {cursor.send_segment, cursor.send_segment->slots + place};
  }

  alignas(kCacheLine) std::atomic<std::uint64_t> head_{0};
  alignas(kCacheLine) std::atomic<std::uint64_t> tail_{0};
  // The ticket behind the last one that was skipped, or nearly: who has a later one need not look at the notes. Rarely
  // written, and read by senders alone, who have the line.
  std::atomic<std::uint64_t> skipped_end_{0};
  LaneSegments<Slot> segments_{head_};

  std::mutex skipping_;
  // Under the mutex: tickets whose senders have yet to learn that they were passed.
  std::vector<std::uint64_t> skipped_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LANE_TICKET_LANE_H_
