// The fast paths of receives from a standard queue, one message and several, and how the messages of the general
// receive become deliveries. Everything else is StandardReceiver's and Receive's.

#ifndef DECOUPLE_INTERNAL_QUEUE_FAST_RECEIVE_H_
#define DECOUPLE_INTERNAL_QUEUE_FAST_RECEIVE_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "decouple/delivery.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/compaction.h"
#include "decouple/internal/queue/held_message.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/internal/queue/standard_kind.h"
#include "decouple/internal/queue/standard_receiver.h"
#include "decouple/internal/queue/timeouts.h"
#include "decouple/queue_kind.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

// The rest of a receive of one message, which has claimed the slot of a ready one in the segment where its thread
// received last. If that was past its retention, nothing is received.
[[gnu::noinline]] inline void ReceiveClaimed(QueueState& q, LocalQueueState& local, MessageSlot& slot,
                                             ReceivedMessages& received) {
  local.cursor.receive_segment->ColdFieldsToWrite(slot);
  local.cursor.FetchColdFields();
  const std::int64_t now = q.store.Now();
  const LeaseRequest request{1, now, SaturatingAdd(now, q.config.visibility_timeout())};
  if (StandardReceiver(q).LeaseClaimed(local, request, slot, 1, received) == 0) return;
  if (q.store.earliest().get() <= now) Timeouts<StandardKind>(q).RunSome(local, now);
}

template <typename T>
struct FastReceive {
  // One message, without options. Every rare case is a tail call, as in FastSend.
  [[gnu::noinline]] static ReceiveResult<T> Receive(QueueBase& queue) {
    QueueState& q = queue.state();
    LocalQueueState* const local = q.store.CachedLocal<T>();
    if (local == nullptr) [[unlikely]]
      return AfterCacheMiss(queue);
    if (q.store.has_detours()) [[unlikely]]
      return Slow(queue, kOne);
    std::uint64_t place = MessageLane::kNoPlace;
    {
      const RcuReadGuard section(local->record, MembarrierAvailable());
      place = q.store.lane().ClaimNext(section, local->cursor, q.limit.lane_gate(), kStride);
    }
    if (place == MessageLane::kNoPlace) [[unlikely]]
      return Slow(queue, kOne);
    MessageSlot* const slot = SlotAt(local->cursor.receive_slots, place, kStride);
    // Read the clock after the claim: only in this order the read overlaps with the work up to the next atomic
    // instruction (exp. 22).
    std::int64_t now = 0;
    if (!q.store.TryNow(now)) [[unlikely]]
      return Claimed(queue, *local, slot);
    const std::int64_t visible_at = SaturatingAdd(now, q.config.visibility_timeout());
    // Rare: the first lease of the segment, a lease that ends before all others of it, a timeout that has passed, or a
    // message whose retention may end before its lease.
    LeaseTimes* const times = local->cursor.receive_cold_fields;
    if (times == nullptr || visible_at < local->cursor.receive_earliest->get() || q.store.earliest().get() <= now ||
        MessageStore::IsAgeing(*slot, visible_at, q.store.retention())) [[unlikely]]
      return Claimed(queue, *local, slot);
    local->counts.received.Add(1);
    const SlotState received = LeaseReady(*slot, times[place], now, visible_at);
    return Access::Make<ReceiveResult<T>>(std::in_place,
                                          HeldMessage{{local->cursor.receive_segment, slot}, &queue, received});
  }

  // With options.
  static ReceiveResult<T> Receive(QueueBase& queue, const ReceiveOptions& options) {
    if (!queue.state().checks.IsPlain(options)) [[unlikely]]
      return Slow(queue, options);
    return options.max_messages == 1 ? Receive(queue) : Several(queue, options);
  }

  // From a queue of either kind.
  static ReceiveResult<T> ReceiveFromAny(QueueBase& queue, const ReceiveOptions& options) {
    return queue.kind() == QueueKind::kStandard ? Receive(queue, options) : Slow(queue, options);
  }

  // The general path, of either kind of queue.
  [[gnu::noinline]] static ReceiveResult<T> Slow(QueueBase& queue, const ReceiveOptions& options) {
    ReceivedMessages received;
    if (absl::Status status = queue.Receive(options, received); !status.ok())
      return ReceiveResult<T>(std::move(status));
    return DeliveriesOf(queue, received);
  }

 private:
  static constexpr std::uint32_t kStride = BodyLayout<T>::kStride;
  static constexpr ReceiveOptions kOne{};

  // Each delivery takes over a reference.
  static ReceiveResult<T> DeliveriesOf(QueueBase& queue, const ReceivedMessages& received) {
    ReceiveResult<T> result;
    for (const auto& [message, word] : received) result->Add({message, &queue, word});
    return result;
  }

  // This thread's cached state belongs to another queue. Look it up, then try again.
  [[gnu::noinline]] static ReceiveResult<T> AfterCacheMiss(QueueBase& queue) {
    queue.state().store.local<T>();
    return queue.state().store.CachedLocal<T>() != nullptr ? Receive(queue) : Slow(queue, kOne);
  }

  // The rest of Receive() once it has claimed its slot.
  [[gnu::noinline]] static ReceiveResult<T> Claimed(QueueBase& queue, LocalQueueState& local, MessageSlot* slot) {
    ReceivedMessages received;
    ReceiveClaimed(queue.state(), local, *slot, received);
    return received.empty() ? Slow(queue, kOne) : DeliveriesOf(queue, received);
  }

  [[gnu::noinline]] static ReceiveResult<T> Several(QueueBase& queue, const ReceiveOptions& options) {
    QueueState& q = queue.state();
    ReceiveResult<T> result;
    const auto most = static_cast<std::size_t>(options.max_messages);
    Deliveries<T>& deliveries = *result;
    q.store.local<T>();  // makes CachedLocal() hit if the thread has used another queue since
    LocalQueueState* const local = q.store.CachedLocal<T>();
    if (local != nullptr && !q.store.has_detours()) [[likely]] {
      while (deliveries.size() < most && Run(queue, *local, most - deliveries.size(), deliveries)) {
      }
    }
    if (deliveries.size() != most) [[unlikely]]
      ReceiveMore(queue, options, result);
    return result;
  }

  // Adds what else is visible now to what `result` has, or, if it has nothing, waits as the options say.
  [[gnu::noinline]] static void ReceiveMore(QueueBase& queue, const ReceiveOptions& options, ReceiveResult<T>& result) {
    ReceivedMessages received;
    for (const Delivery<T>& delivery : *result) {
      received.push_back({Access::Held(delivery).message, Access::Held(delivery).received});
    }
    absl::Status status = queue.Receive(options, received);
    if (status.ok()) {
      for (std::size_t i = result->size(); i < received.size(); ++i) {
        result->Add({received[i].message, &queue, received[i].word});
      }
    } else {
      result = ReceiveResult<T>(std::move(status));
    }
  }

  // Receives up to `most` ready messages of one segment. False: this path finds no more of them.
  [[gnu::noinline]] static bool Run(QueueBase& queue, LocalQueueState& local, std::size_t most,
                                    Deliveries<T>& deliveries) {
    QueueState& q = queue.state();
    MessageStore& store = q.store;
    MessageLane::Claimed claimed;
    {
      const RcuReadGuard section(local.record, MembarrierAvailable());
      claimed = store.lane().ClaimReady(section, local.cursor, static_cast<std::uint32_t>(most), q.limit.lane_gate(),
                                        kStride);
    }
    if (claimed.count == 0) return false;
    DECOUPLE_ASSERT(claimed.count <= most && claimed.place + claimed.count <= kSlotsPerSegment);
    const std::int64_t now = store.Now();  // after the claim: see Receive()
    const std::int64_t visible_at = SaturatingAdd(now, q.config.visibility_timeout());
    const std::int64_t retention = store.retention();
    MessageSegment* const segment = local.cursor.receive_segment;
    MessageSlot* slot = SlotAt(local.cursor.receive_slots, claimed.place, kStride);
    MessageSlot* const end = SlotAt(slot, claimed.count, kStride);
    if (local.cursor.receive_cold_fields == nullptr || visible_at < local.cursor.receive_earliest->get()) [[unlikely]]
      PrepareLeases(store, local, *slot, visible_at);  // before any word is stored
    LeaseTimes* times = local.cursor.receive_cold_fields + claimed.place;
    const auto lease_young = [&](Delivery<T>* place) {
      for (; slot != end && !MessageStore::IsAgeing(*slot, visible_at, retention); ++times, ++place) {
        const SlotState received = LeaseReady(*slot, *times, now, visible_at);
        Access::MakeAt<Delivery<T>>(place, HeldMessage{{segment, slot}, &queue, received});
        slot = SlotAt(slot, 1, kStride);
      }
      return place;
    };
    local.counts.received.Add(deliveries.AddSome(claimed.count, lease_young));
    const bool ends_segment = claimed.place + claimed.count == kSlotsPerSegment;
    if (slot != end) [[unlikely]] {
      ReceivedMessages received;
      const std::uint32_t rest = claimed.place + claimed.count - segment->PlaceOf(*slot);
      StandardReceiver(q).LeaseClaimed(local, {rest, now, visible_at}, *slot, rest, received);
      for (const auto& [message, word] : received) deliveries.Add({message, &queue, word});
    } else if (ends_segment && store.lane().EndsRound(local.cursor.receive_first + kSlotsPerSegment)) {
      Compaction<StandardKind>(q).CompactSome(local);
    }
    if (store.earliest().get() <= now) [[unlikely]]
      Timeouts<StandardKind>(q).RunSome(local, now);
    return ends_segment;
  }

  // Prepares leases that end at `visible_at` in the segment where the thread received last. Requires: the caller has
  // claimed `slot` there, which keeps the segment in use.
  [[gnu::noinline]] static void PrepareLeases(MessageStore& store, LocalQueueState& local, MessageSlot& slot,
                                              std::int64_t visible_at) {
    local.cursor.receive_segment->ColdFieldsToWrite(slot);
    local.cursor.FetchColdFields();
    store.LowerDeadline(*local.cursor.receive_segment, visible_at);
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_FAST_RECEIVE_H_
