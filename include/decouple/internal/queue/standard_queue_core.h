// A standard queue: how it gives messages out. How it takes them in is a layer of its own below (standard_sender.h).

#ifndef DECOUPLE_INTERNAL_QUEUE_STANDARD_QUEUE_CORE_H_
#define DECOUPLE_INTERNAL_QUEUE_STANDARD_QUEUE_CORE_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <new>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "decouple/clock.h"
#include "decouple/delivery.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/queue/standard_receiver.h"
#include "decouple/internal/queue/standard_sender.h"
#include "decouple/queue_options.h"

namespace decouple::internal {

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

  // One message, without options. Whatever is not usual is gone on with in a function of its own, as in Send().
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
    // After the claim: reading a clock takes as long as what is to be done until the next atomic instruction, and only
    // in this order does the processor do both at once (a cycle took 45 ns with the clock read first, 40 ns with this).
    std::int64_t now = 0;
    if (!store_.TryNow(now)) [[unlikely]]
      return ReceiveClaimed(*local, slot);
    const std::int64_t visible_at = SaturatingAdd(now, config_.visibility_timeout());
    // The segment's first lease, or the deadline is to be made known, something is due, or the message may come to its
    // end before its lease does.
    LeaseTimes* const beside = local->cursor.receive_cold_fields;
    if (beside == nullptr || visible_at < local->cursor.receive_earliest->get() || store_.earliest().get() <= now ||
        Store::IsAgeing(*slot, visible_at, store_.retention())) [[unlikely]]
      return ReceiveClaimed(*local, slot);
    local->counts.received.Add(1);
    const SlotState received = Store::LeaseReady(*slot, beside[place], now, visible_at);
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

  // By a thread that used another queue meanwhile.
  [[gnu::noinline]] ReceiveResult<T> ReceiveAfterCacheMiss() {
    store_.local();
    return store_.CachedLocal() != nullptr ? Receive() : ReceiveSlow(kOne);
  }

  // What is left of a receive once it has its slot.
  [[gnu::noinline]] ReceiveResult<T> ReceiveClaimed(LocalState& local, MessageSlot<T>* slot) {
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
    store_.local();  // the thread may have used another queue meanwhile
    LocalState* const local = store_.CachedLocal();
    if (local != nullptr && !store_.has_detours()) [[likely]] {
      while (deliveries.size() < most && ReceiveRun(*local, most - deliveries.size(), deliveries)) {
      }
    }
    if (deliveries.size() != most) [[unlikely]]
      ReceiveMore(options, result);
    return result;
  }

  // Ready messages of one segment. False: that is all that comes so.
  [[gnu::noinline]] bool ReceiveRun(LocalState& known, std::size_t most, Deliveries<T>& deliveries) {
    typename Lane::Claimed claimed;
    {
      const RcuReadGuard section(known.record, MembarrierAvailable());
      claimed =
          store_.lane().ClaimReady(section, known.cursor, static_cast<std::uint32_t>(most), this->limit_.lane_gate());
    }
    if (claimed.count == 0) return false;
    const std::int64_t now = store_.Now();  // after the claim: see Receive()
    const std::int64_t visible_at = SaturatingAdd(now, config_.visibility_timeout());
    const std::int64_t retention = store_.retention();
    typename Store::Segment* const segment = known.cursor.receive_segment;
    MessageSlot<T>* slot = segment->slots + claimed.place;
    MessageSlot<T>* const end = slot + claimed.count;
    if (known.cursor.receive_cold_fields == nullptr || visible_at < known.cursor.receive_earliest->get()) [[unlikely]]
      PrepareLeases(known, *slot, visible_at);  // before any word is stored
    LeaseTimes* times = known.cursor.receive_cold_fields + claimed.place;
    const auto lease_young = [&](Delivery<T>* place) {
      for (; slot != end && !Store::IsAgeing(*slot, visible_at, retention); ++slot, ++times, ++place) {
        Access::MakeAt<Delivery<T>>(place, this, Message{segment, slot},
                                    Store::LeaseReady(*slot, *times, now, visible_at));
      }
      return place;
    };
    known.counts.received.Add(deliveries.AddSome(claimed.count, lease_young));
    const bool ends_segment = claimed.place + claimed.count == kSlotsPerSegment;
    if (slot != end) [[unlikely]] {
      receiver_.LeaseClaimed(known, {0, now, visible_at}, {slot, end}, this->SinkTo(deliveries));
    } else if (ends_segment && store_.lane().EndsRound(known.cursor.receive_first + kSlotsPerSegment)) {
      this->moves_.Tidy(known);
    }
    if (store_.earliest().get() <= now) [[unlikely]]
      this->RunSomeTimeouts(known, now);
    return ends_segment;
  }

  // Leases of the segment that the thread received from last, one of whose slots is its own, are to end at `visible_at`.
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

  // What is there on top of what `result` has, or else what comes.
  [[gnu::noinline]] void ReceiveMore(const ReceiveOptions& options, ReceiveResult<T>& result) {
    absl::Status status = checks_.CheckReceiveOptions(options);
    if (status.ok() && !options.attempt_id.empty()) {
      status = MakeError(Error::kInvalidParameterValue,
                         "a receive request attempt id for a standard queue; only FIFO queues take one");
    }
    if (status.ok()) {
      Base::Receive(receiver_, options, store_.Now(), result);
    } else {
      result = ReceiveResult<T>(std::move(status));
    }
  }

  absl::Status CheckOwnAttributes(const QueueAttributes& attributes) override {
    const bool has_fifo_ones = attributes.content_based_deduplication || attributes.deduplication_scope ||
                               attributes.fifo_throughput_limit || attributes.max_calls_per_second;
    if (!has_fifo_ones) return absl::OkStatus();
    return MakeError(Error::kInvalidAttributeValue,
                     "deduplication, a throughput limit or a quota of calls for a standard queue; only FIFO queues "
                     "have them");
  }

  void ApplyOwnAttributes(const QueueAttributes&) override {}
  void ForgetSends() override {}
  bool TryReceiveOne(Deliveries<T>& delivery) override {
    return this->TryReceive(receiver_, store_.local(), Base::kToMove, store_.Now(), delivery);
  }

  StandardReceiver<T> receiver_{store_, this->limit_, this->grant_, this->moves_};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_QUEUE_CORE_H_
