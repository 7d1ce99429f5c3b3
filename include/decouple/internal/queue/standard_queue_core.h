// The core of a standard queue. This file holds its receives: the fast paths for one and for several messages, and the
// general path, which StandardReceiver serves. Its sends are in the base class, StandardSender.

#ifndef DECOUPLE_INTERNAL_QUEUE_STANDARD_QUEUE_CORE_H_
#define DECOUPLE_INTERNAL_QUEUE_STANDARD_QUEUE_CORE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "decouple/clock.h"
#include "decouple/delivery.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/queue/standard_receiver.h"
#include "decouple/internal/queue/standard_sender.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class StandardQueueCore final : public StandardSender<T> {
  using Base = StandardSender<T>;
  using typename Base::Lane;
  using typename Base::LocalState;
  using typename Base::Message;
  using typename Base::Store;

 public:
  StandardQueueCore(const Limits& limits, std::string name, std::uint64_t seed, Clock* clock)
      : Base(limits, std::move(name), seed, clock) {}

  // What SetAttributes() of a new queue says to the attributes that only one kind of queue has.
  static absl::Status CheckOwnOfNew(const QueueAttributes& attributes) {
    const bool has_fifo_ones = attributes.content_based_deduplication || attributes.deduplication_scope ||
                               attributes.fifo_throughput_limit || attributes.max_calls_per_second;
    if (!has_fifo_ones) return absl::OkStatus();
    return MakeError(Error::kInvalidAttributeValue,
                     "deduplication, a throughput limit or a quota of calls for a standard queue; only FIFO queues "
                     "have them");
  }

  // Fast path: one message, without options. Every rare case is a tail call, as in Send().
  [[gnu::noinline]] ReceiveResult<T> Receive() {
    LocalState* const local = store_.CachedLocal();
    if (local == nullptr) [[unlikely]]
      return ReceiveAfterCacheMiss();
    if (store_.has_detours()) [[unlikely]]
      return ReceiveSlow(kOne);
    std::uint64_t place = Lane::kNoPlace;
    {
      const RcuReadGuard section(local->record, MembarrierAvailable());
      place = store_.lane().ClaimNext(section, local->cursor, this->limit_.lane_gate());
    }
    if (place == Lane::kNoPlace) [[unlikely]]
      return ReceiveSlow(kOne);
    typename Store::Segment* const segment = local->cursor.receive_segment;
    MessageSlot<T>* const slot = segment->slots + place;
    // Read the clock after the claim: only in this order the read overlaps with the work up to the next atomic
    // instruction (exp. 22).
    std::int64_t now = 0;
    if (!store_.TryNow(now)) [[unlikely]]
      return ReceiveClaimed(*local, slot);
    const std::int64_t visible_at = SaturatingAdd(now, config_.visibility_timeout());
    // Rare: the first lease of the segment, a lease that ends before all others of it, a timeout that has passed, or a
    // message whose retention may end before its lease.
    LeaseTimes* const times = local->cursor.receive_cold_fields;
    if (times == nullptr || visible_at < local->cursor.receive_earliest->get() || store_.earliest().get() <= now ||
        Store::IsAgeing(*slot, visible_at, store_.retention())) [[unlikely]]
      return ReceiveClaimed(*local, slot);
    local->counts.received.Add(1);
    const SlotState received = Store::LeaseReady(*slot, times[place], now, visible_at);
    return Access::Make<ReceiveResult<T>>(std::in_place, this, Message{segment, slot}, received);
  }

  ReceiveResult<T> Receive(const ReceiveOptions& options) override {
    if (!checks_.IsPlain(options)) [[unlikely]]
      return ReceiveSlow(options);
    return options.max_messages == 1 ? Receive() : ReceiveSeveral(options);
  }

 private:
  using Base::checks_;
  using Base::config_;
  using Base::store_;

  static constexpr ReceiveOptions kOne{};

  // Slow path: this thread's cached state belongs to another queue. Look it up, then retry.
  [[gnu::noinline]] ReceiveResult<T> ReceiveAfterCacheMiss() {
    store_.local();
    return store_.CachedLocal() != nullptr ? Receive() : ReceiveSlow(kOne);
  }

  // Slow path of Receive() once it has claimed its slot, in the segment where the thread received last.
  [[gnu::noinline]] ReceiveResult<T> ReceiveClaimed(LocalState& local, MessageSlot<T>* slot) {
    DECOUPLE_ASSERT(SlotState(slot->word.load(std::memory_order_relaxed)).phase() == Phase::kReady);
    ReceiveResult<T> result;
    local.cursor.receive_segment->ColdFieldsToWrite(*slot);
    local.cursor.FetchColdFields();
    const std::int64_t now = store_.Now();
    const LeaseRequest request{1, now, SaturatingAdd(now, config_.visibility_timeout())};
    if (receiver_.LeaseClaimed(local, request, {slot, 1}, this->SinkTo(*result)) == 0) {
      ReceiveMore(kOne, result);
    } else if (store_.earliest().get() <= now) {
      this->RunSomeTimeouts(local, now);
    }
    return result;
  }

  [[gnu::noinline]] ReceiveResult<T> ReceiveSeveral(const ReceiveOptions& options) {
    ReceiveResult<T> result;
    const auto most = static_cast<std::size_t>(options.max_messages);
    Deliveries<T>& deliveries = *result;
    store_.local();  // makes CachedLocal() hit if the thread has used another queue since
    LocalState* const local = store_.CachedLocal();
    if (local != nullptr && !store_.has_detours()) [[likely]] {
      while (deliveries.size() < most && ReceiveRun(*local, most - deliveries.size(), deliveries)) {
      }
    }
    if (deliveries.size() != most) [[unlikely]]
      ReceiveMore(options, result);
    return result;
  }

  // Receives up to `most` ready messages of one segment. False: this path finds no more of them.
  [[gnu::noinline]] bool ReceiveRun(LocalState& local, std::size_t most, Deliveries<T>& deliveries) {
    typename Lane::Claimed claimed;
    {
      const RcuReadGuard section(local.record, MembarrierAvailable());
      claimed =
          store_.lane().ClaimReady(section, local.cursor, static_cast<std::uint32_t>(most), this->limit_.lane_gate());
    }
    if (claimed.count == 0) return false;
    DECOUPLE_ASSERT(claimed.count <= most && claimed.place + claimed.count <= kSlotsPerSegment);
    const std::int64_t now = store_.Now();  // after the claim: see Receive()
    const std::int64_t visible_at = SaturatingAdd(now, config_.visibility_timeout());
    const std::int64_t retention = store_.retention();
    typename Store::Segment* const segment = local.cursor.receive_segment;
    MessageSlot<T>* slot = segment->slots + claimed.place;
    MessageSlot<T>* const end = slot + claimed.count;
    if (local.cursor.receive_cold_fields == nullptr || visible_at < local.cursor.receive_earliest->get()) [[unlikely]]
      PrepareLeases(local, *slot, visible_at);  // before any word is stored
    LeaseTimes* times = local.cursor.receive_cold_fields + claimed.place;
    const auto lease_young = [&](Delivery<T>* place) {
      for (; slot != end && !Store::IsAgeing(*slot, visible_at, retention); ++slot, ++times, ++place) {
        Access::MakeAt<Delivery<T>>(place, this, Message{segment, slot},
                                    Store::LeaseReady(*slot, *times, now, visible_at));
      }
      return place;
    };
    local.counts.received.Add(deliveries.AddSome(claimed.count, lease_young));
    const bool ends_segment = claimed.place + claimed.count == kSlotsPerSegment;
    if (slot != end) [[unlikely]] {
      receiver_.LeaseClaimed(local, {0, now, visible_at}, {slot, end}, this->SinkTo(deliveries));
    } else if (ends_segment && store_.lane().EndsRound(local.cursor.receive_first + kSlotsPerSegment)) {
      this->compaction_.CompactSome(local);
    }
    if (store_.earliest().get() <= now) [[unlikely]]
      this->RunSomeTimeouts(local, now);
    return ends_segment;
  }

  // Prepares leases that end at `visible_at` in the segment where the thread received last. Requires: the caller has
  // claimed `slot` there, which keeps the segment in use.
  [[gnu::noinline]] void PrepareLeases(LocalState& local, MessageSlot<T>& slot, std::int64_t visible_at) {
    local.cursor.receive_segment->ColdFieldsToWrite(slot);
    local.cursor.FetchColdFields();
    store_.LowerDeadline(*local.cursor.receive_segment, visible_at);
  }

  [[gnu::noinline]] ReceiveResult<T> ReceiveSlow(const ReceiveOptions& options) {
    ReceiveResult<T> result;
    ReceiveMore(options, result);
    return result;
  }

  // The general path: adds what is visible now to what `result` has, or else waits as the options say.
  [[gnu::noinline]] void ReceiveMore(const ReceiveOptions& options, ReceiveResult<T>& result) {
    absl::Status status = checks_.CheckReceiveOptions(options);
    if (status.ok() && options.attempt_id) {
      status = MakeError(Error::kInvalidParameterValue,
                         "a receive request attempt id for a standard queue; only FIFO queues take one");
    }
    if (status.ok()) {
      Base::Receive(receiver_, options, store_.Now(), result);
    } else {
      result = ReceiveResult<T>(std::move(status));
    }
  }

  absl::Status CheckOwnAttributes(const QueueAttributes& attributes) override { return CheckOwnOfNew(attributes); }

  void ApplyOwnAttributes(const QueueAttributes&) override {}
  void ReadOwnAttributes(QueueAttributes&) const override {}
  void ForgetSends() override {}
  bool TryReceiveToMove(Deliveries<T>& delivery) override { return Base::TryReceiveToMove(receiver_, delivery); }

  StandardReceiver<T> receiver_{store_, this->limit_, this->grant_, this->compaction_};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_QUEUE_CORE_H_
