// Receiving: which visible messages come next, and making them the receiver's for a while.
//
// First those that are visible again (the line of returned messages), then the lane in the order of sending. From the
// first message with a group on, the tenants' lines are served in between: quiet ones in the order of sending together
// with the lane, then those of noisy tenants (SQS's fair queues).

#ifndef DECOUPLE_INTERNAL_LEASING_H_
#define DECOUPLE_INTERNAL_LEASING_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "decouple/internal/handover.h"
#include "decouple/internal/in_flight_limit.h"
#include "decouple/internal/message_store.h"
#include "decouple/internal/particulars.h"
#include "decouple/internal/straggler_move.h"

namespace decouple::internal {

template <typename T>
class Leasing {
 public:
  using Store = MessageStore<T>;
  using Slot = typename Store::Slot;
  using Lane = typename Store::Lane;
  using Line = typename Store::Line;
  using Segment = typename Store::Segment;
  using Message = typename Store::Message;
  using Mine = typename Store::Mine;
  using Claimant = typename InFlightLimit<T>::Claimant;

  using Request = LeaseRequest;

  Leasing(Store& store, InFlightLimit<T>& limit, Handover<T>& handover, StragglerMove<T>& moves)
      : store_(store), limit_(limit), handover_(handover), moves_(moves) {}

  // Leases up to `request.most` messages and calls sink(message, word) for each, held. Returns false if it
  // gave none only because the limit of messages in flight is reached.
  template <typename Sink>
  bool Lease(Mine& mine, const Request& request, Sink& sink) {
    std::uint32_t missing = request.most;
    for (;;) {
      std::optional<Claimant> gated;
      FromLine(mine, request, missing, gated, sink);
      if (store_.tenants() == nullptr) [[likely]] {
        if (!gated) FromLane(mine, request, missing, gated, sink);
      } else {
        while (missing > 0 && !gated && OneFairly(mine, request, missing, gated, sink)) {
        }
      }
      if (!gated || missing == 0) [[likely]]
        return true;
      if (!limit_.OpenFor(*gated)) return missing < request.most || !IsSomethingVisible(mine, request);
    }
  }

  // Consecutive slots, one at least, that have been claimed where the thread received last. Returns how many it gave;
  // the others were past their retention.
  template <typename Sink>
  [[gnu::noinline]] std::uint32_t LeaseClaimed(Mine& mine, const Request& request, std::span<Slot> slots, Sink sink) {
    Segment* const segment = mine.view.receive_segment;
    const auto first = static_cast<std::uint32_t>(slots.data() - segment->slots);
    const auto claimed = static_cast<std::uint32_t>(slots.size());
    const typename Lane::Run run{.segment = segment,
                                 .ordinal = Lane::OrdinalOf(mine.view.receive_first),
                                 .first = first,
                                 .size = claimed,
                                 .taken = ~std::uint64_t{0} >> (kSlotsPerSegment - claimed),
                                 .ends_round = store_.lane().EndsRound(mine.view.receive_first + first + claimed)};
    std::uint32_t missing = claimed;
    LeaseRun(mine, request, run, missing, sink);
    if (run.ends_round) moves_.Tidy(mine);
    return claimed - missing;
  }

 private:
  template <typename Sink>
  void FromLine(Mine& mine, const Request& request, std::uint32_t& missing, std::optional<Claimant>& gated,
                Sink& sink) {
    Line* const line = store_.line();
    if (line == nullptr) [[likely]]
      return;
    while (missing > 0) {
      const auto run = line->Claim(mine.line_view, missing, limit_.line_gate(), WantAll());
      if (run.size == 0) {
        if (run.gated) gated = Claimant::kLine;
        return;
      }
      mine.counts.not_leased.Add(run.size - run.taken_count());
      run.ForEachTaken([&](auto& entry, SlotWord word) {
        LeaseListed(mine, request, Store::TakeEntry(entry, word), missing, sink);
      });
      if (run.ends_round) line->RetireRound();
    }
  }

  template <typename Sink>
  void FromLane(Mine& mine, const Request& request, std::uint32_t& missing, std::optional<Claimant>& gated,
                Sink& sink) {
    Lane& lane = store_.lane();
    while (missing > 0) {
      const auto run = lane.Claim(mine.view, missing, limit_.lane_gate(), WantAll());
      if (run.size == 0) {
        if (run.gated) gated = Claimant::kLane;
        return;
      }
      mine.counts.not_leased.Add(run.size - run.taken_count());
      if (run.taken != 0) LeaseRun(mine, request, run, missing, sink);
      if (run.ends_round) moves_.Tidy(mine);
    }
  }

  template <typename Sink>
  void LeaseRun(Mine& mine, const Request& request, const typename Lane::Run& run, std::uint32_t& missing, Sink& sink) {
    // One deadline for the whole run, before any word is stored. What is no message may only make it too early.
    std::int64_t deadline = request.visible_at;
    run.ForEachTaken([&](const Slot& slot, SlotWord) {
      const std::int64_t end = store_.RetentionEnd(slot);
      if (end > request.now) deadline = std::min(deadline, end);
    });
    store_.LowerDeadline(*run.segment, deadline);

    std::uint32_t leased = 0;
    run.ForEachTaken([&](Slot& slot, SlotWord word) {
      const Message message{run.segment, &slot};
      if (word.phase() == Phase::kForward) [[unlikely]] {
        LeaseListed(mine, request, Store::TakeForward({run.segment, &slot}, word), missing, sink);
      } else if (store_.RetentionEnd(slot) <= request.now) [[unlikely]] {
        handover_.RemoveExpired(mine, message, word);
      } else {
        sink(message, Store::LeaseReady(slot, message.TimesToWrite(), request.now, request.visible_at));
        ++leased;
      }
    });
    mine.counts.received.Add(leased);
    missing -= leased;
  }

  // One message of a queue that has groups. False: there is none, or a gate is closed.
  template <typename Sink>
  bool OneFairly(Mine& mine, const Request& request, std::uint32_t& missing, std::optional<Claimant>& gated,
                 Sink& sink) {
    TenantLines& tenants = *store_.tenants();
    const std::int64_t in_flight = store_.Sums().in_flight();
    const auto may_take = [&] {
      if (limit_.ClaimSingle(1) != 0) return true;
      gated = Claimant::kSingle;
      return false;
    };
    const auto lease = [&](const std::optional<LinePlace>& place) {
      if (!place) return false;
      LeaseListed(mine, request, {static_cast<Segment*>(place->segment), static_cast<Slot*>(place->slot)}, missing,
                  sink);
      return true;
    };
    PassWhatIsListed(mine);
    if (lease(tenants.NextQuiet(store_.lane().head(), in_flight, request.now, may_take))) return true;
    if (gated) return false;
    std::uint32_t one = 1;
    FromLane(mine, request, one, gated, sink);
    missing -= 1 - one;
    if (one == 0) return true;
    if (gated) return false;
    constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();
    if (lease(tenants.NextQuiet(kAny, in_flight, request.now, may_take))) return true;
    return !gated && lease(tenants.NextNoisy(in_flight, request.now, may_take));
  }

  // Moves the head to the next message that is no tenant's, so that its place says how old that one is.
  void PassWhatIsListed(Mine& mine) {
    for (;;) {
      const auto run = store_.lane().Claim(mine.view, kSlotsPerSegment, kOpenGate, WantNone);
      if (run.size == 0) return;
      mine.counts.not_leased.Add(run.size);
      if (run.ends_round) moves_.Tidy(mine);
    }
  }

  static bool WantNone(const Slot&, SlotWord) { return false; }

  // Whether the limit keeps us from anything: a gate is closed to what only seems to be there, too.
  bool IsSomethingVisible(Mine& mine, const Request& request) {
    bool found = false;
    for (Line* const line = store_.line(); line != nullptr && !found;) {
      const auto run = line->Claim(mine.line_view, 1, kOpenGate, WantAll());
      if (run.size == 0) break;
      mine.counts.not_leased.Add(run.size);
      run.ForEachTaken([&](auto& entry, SlotWord word) { found = IsListedStill(mine, Store::TakeEntry(entry, word)); });
      if (run.ends_round) line->RetireRound();
    }
    while (!found) {
      bool saw_ready = false;
      const auto run = store_.lane().Claim(mine.view, 1, kOpenGate, [&](const Slot& slot, SlotWord word) {
        saw_ready = word.phase() == Phase::kReady && store_.RetentionEnd(slot) > request.now;
        return !saw_ready;
      });
      if (run.size == 0) {
        found = saw_ready;
        break;
      }
      mine.counts.not_leased.Add(run.size - run.taken_count());
      run.ForEachTaken([&](Slot& slot, SlotWord word) {
        if (word.phase() == Phase::kReady) {
          handover_.RemoveExpired(mine, {run.segment, &slot}, word);
        } else {
          mine.counts.not_leased.Add(1);
          found = IsListedStill(mine, Store::TakeForward({run.segment, &slot}, word));
        }
      });
      if (run.ends_round) moves_.Tidy(mine);
    }
    return found || (store_.tenants() != nullptr && store_.tenants()->IsAnyWaiting());
  }

  // Of a message that a line named until now; if it is visible a line names it again.
  bool IsListedStill(Mine& mine, Message message) {
    SlotWord before;
    if (!store_.TakeFromLine(message, before)) return false;
    store_.MakeVisible(mine, message, before);
    store_.visible().Notify(1);
    return true;
  }

  // A message that a line named until now.
  template <typename Sink>
  void LeaseListed(Mine& mine, const Request& request, Message message, std::uint32_t& missing, Sink& sink) {
    SlotWord before;
    if (store_.TakeFromLine(message, before)) {
      if (handover_.Give(mine, request, message, before, sink)) --missing;
    } else {
      mine.counts.not_leased.Add(1);
    }
  }

  Store& store_;
  InFlightLimit<T>& limit_;
  Handover<T>& handover_;
  StragglerMove<T>& moves_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LEASING_H_
