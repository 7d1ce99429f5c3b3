// The part of a queue that its deliveries refer to: deleting their messages, releasing their references, and the
// lifetime of the queue's core. It owns what every call of a queue needs: the configuration, the message store, the
// limit of messages in flight and the receipts.
//
// Lifetime. Handles share the core as a std::shared_ptr does. Deliveries do not touch that count: each thread counts
// the deliveries that it makes and releases. Once the last handle is gone (EndWithLastDelivery) releases are subtracted
// one by one from the number that is outstanding, and the last of them deletes the core.
//
// Fast paths. ReleaseReference() and Delete() are inlined into the caller; every rare case is a tail call to a noinline
// function, so they spill no registers.

#ifndef DECOUPLE_INTERNAL_QUEUE_DELIVERY_CORE_H_
#define DECOUPLE_INTERNAL_QUEUE_DELIVERY_CORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "decouple/clock.h"
#include "decouple/delivery.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/call_quota.h"
#include "decouple/internal/queue/in_flight_limit.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/queue/queue_rules.h"
#include "decouple/internal/queue/receipts.h"
#include "decouple/internal/queue/request_checks.h"
#include "decouple/message.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class DeliveryCore : public QueueBase {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  // Deletes and changes of visibility, by delivery or by receipt.
  Receipts<T>& receipts() { return receipts_; }

  // Fast path, for a delivery that is destroyed: releases its reference to the message, and counts it.
  [[gnu::always_inline]] void ReleaseReference(Message message) {
    LocalState* const local = store_.CachedLocal();
    if (local == nullptr) [[unlikely]]
      return ReleaseReferenceAfterCacheMiss(message);
    if (!Store::TryReleaseBare(message)) return ReleaseReferenceSlow(*local, message);
    CountReleased(*local, 1);
  }

  // Nullopt in a standard queue.
  std::optional<SequenceNumber> SequenceNumberOf(Message message) const {
    if (store_.groups() == nullptr) return std::nullopt;
    return SequenceNumberOf(store_.TicketOf(message));
  }

  const SharedBody* SharedOf(Message message) const { return store_.SharedOf(message); }
  const MessageMetadata* MetadataOf(Message message) const { return store_.MetadataOf(message); }

  // Fast path. Deletes the message of a delivery, which received it by the word `received`. A queue with a quota is a
  // FIFO queue: its messages all have metadata, so none of them is deleted here, past the quota.
  [[gnu::always_inline]] absl::Status Delete(Message message, SlotState received) {
    DECOUPLE_ASSERT(received.phase() == Phase::kInFlight);
    LocalState* const local = store_.CachedLocal();
    if (local == nullptr || !TryDeletePlain(*local, message, received)) [[unlikely]]
      return DeleteSlow(message, received);
    store_.CountPlainRemovals(*local, 1, Store::PlainBytesOf(message, received));
    return absl::OkStatus();
  }

  // Deletes the messages of the deliveries of one receive, as many as possible. Returns the first error of the others.
  [[gnu::noinline]] absl::Status DeleteAll(std::span<Delivery<T>> deliveries) {
    store_.local();  // makes CachedLocal() hit if the thread has used another queue since
    LocalState* const local = store_.CachedLocal();
    const Delivery<T>* const first = deliveries.data();
    const Delivery<T>* const end = first + deliveries.size();
    const Delivery<T>* rest = first;
    if (local != nullptr) [[likely]] {
      SlotState marks;
      rest = RemovePlainOnes(*local, first, end, marks);
      // Outside of the section: MessageSize() may be the user's code.
      store_.CountPlainRemovals(*local, static_cast<std::size_t>(rest - first), PlainBytesOf(first, rest, marks));
    }
    if (rest != end) [[unlikely]]
      return DeleteEach(rest, end);
    return absl::OkStatus();
  }

  // Same as ReleaseReference(), for the deliveries of one receive; some of them may have been moved from.
  [[gnu::always_inline]] void ReleaseReferences(std::span<Delivery<T>> deliveries) {
    auto released = static_cast<std::int64_t>(deliveries.size());
    for (const Delivery<T>& delivery : deliveries) {
      if (delivery.core_ == nullptr) [[unlikely]] {
        --released;
      } else if (!Store::TryReleaseBare(delivery.message_)) {  // tried first: it is all there is to do for most
        store_.ReleaseReference(delivery.message_);
      }
    }
    store_.local();  // makes CachedLocal() hit if the thread has used another queue since
    if (LocalState* const local = store_.CachedLocal()) [[likely]] {
      CountReleased(*local, released);
    } else {
      CountReleasedAfterCacheMiss(released);
    }
  }

 protected:
  // `groups`: as for MessageStore.
  DeliveryCore(const QueueRules& rules, std::unique_ptr<MessageGroups> groups, const Limits& limits, std::string name,
               std::uint64_t seed, Clock* clock)
      : QueueBase(rules.kind, kTypeIdentity<T>, std::move(name), seed),
        rules_(rules),
        clock_(clock != nullptr ? *clock : SystemClock::Instance()),
        config_(limits),
        checks_(config_),
        store_(ClockOrNull(clock), std::move(groups)),
        limit_(store_),
        receipts_(rules_, *this, store_, limit_, checks_) {}
  ~DeliveryCore() override = default;

  // The last handle is gone: from now on the core is deleted with the last delivery, or here if there is none. To be
  // called once; the caller touches the core no more. Not from within a read section.
  void EndWithLastDelivery() {
    DECOUPLE_ASSERT(!abandoned_.load(std::memory_order_relaxed));
    abandoned_.store(true, std::memory_order_relaxed);  // ordered by RcuSynchronize(); pairs with TryCountReleased()
    RcuSynchronize();
    const std::int64_t deliveries = store_.Sums().deliveries();
    // Deliveries that were released since have subtracted themselves or will. The thread that reaches zero deletes.
    // Acquire and release: its deletion comes after what the others did.
    if (outstanding_.fetch_add(deliveries, std::memory_order_acq_rel) + deliveries == 0) delete this;
  }

  // Takes a delete from the queue's quota of calls. kRequestThrottled: the quota is used up.
  [[gnu::noinline]] absl::Status TakeDelete() {
    if (quota_ == nullptr) [[likely]]
      return absl::OkStatus();
    return quota_->TakeDelete([this] { return store_.Now(); });
  }

  // Tickets are taken in the order of a group's messages. The step of 256 keeps users from reading a count from it.
  static SequenceNumber SequenceNumberOf(std::uint64_t ticket) { return SequenceNumber((ticket + 1) * 256); }

  const QueueRules rules_;
  Clock& clock_;

 private:
  // Keep together: these two and the first fields of QueueConfig, which calls read, fill one cache line; the other
  // fields that calls read are at the beginning of the store. A thread that goes from queue to queue misses once for
  // each such line (exp. 23).
  alignas(kCacheLine) std::atomic<bool> abandoned_{false};
  // How many deliveries are left, once the queue is abandoned; negative until they have been summed up.
  std::atomic<std::int64_t> outstanding_{0};

 protected:
  QueueConfig config_;
  const RequestChecks checks_;
  Store store_;
  InFlightLimit<T> limit_;
  Receipts<T> receipts_;
  std::unique_ptr<CallQuota> quota_;  // null: calls are not counted

 private:
  // Removes messages from `first` on, up to the first that needs another way, which it returns. Adds up the marks of
  // the removed ones.
  [[gnu::always_inline]] const Delivery<T>* RemovePlainOnes(LocalState& local, const Delivery<T>* first,
                                                            const Delivery<T>* end, SlotState& marks) {
    const RcuReadGuard section(local.record, MembarrierAvailable());
    if (!store_.bias().IsGiven(section)) [[unlikely]]
      return first;
    std::uint64_t bits = 0;
    for (; first != end && Store::TryRemovePlainBiased(first->message_, first->received_); ++first) {
      bits |= first->received_.bits();
    }
    marks = SlotState(bits);
    return first;
  }

  [[gnu::always_inline]] static std::size_t PlainBytesOf(const Delivery<T>* first, const Delivery<T>* end,
                                                         SlotState marks) {
    if constexpr (HasFixedSize<T>) {
      if (!marks.Has(SlotState::kShared)) return static_cast<std::size_t>(end - first) * sizeof(T);
    }
    std::size_t bytes = 0;
    for (; first != end; ++first) bytes += Store::PlainBytesOf(first->message_, first->received_);
    return bytes;
  }

  [[gnu::always_inline]] bool TryDeletePlain(LocalState& local, Message message, SlotState received) {
    const RcuReadGuard section(local.record, MembarrierAvailable());
    return store_.TryRemovePlain(section, message, received);
  }

  // Slow path of DeleteAll(), one by one. In a queue with a quota all of its work is done here, and costs one call.
  [[gnu::noinline]] absl::Status DeleteEach(const Delivery<T>* first, const Delivery<T>* end) {
    absl::Status status = TakeDelete();
    if (!status.ok()) return status;
    for (; first != end; ++first) {
      if (first->core_ == nullptr) continue;
      LocalState* const local = store_.CachedLocal();
      if (local != nullptr && TryDeletePlain(*local, first->message_, first->received_)) {
        store_.CountPlainRemovals(*local, 1, Store::PlainBytesOf(first->message_, first->received_));
      } else {
        status.Update(receipts_.Delete(first->message_, first->received_.receive_count()));
      }
    }
    return status;
  }

  [[gnu::noinline]] absl::Status DeleteSlow(Message message, SlotState received) {
    store_.local();  // makes CachedLocal() hit from now on
    if (absl::Status status = TakeDelete(); !status.ok()) return status;
    return receipts_.Delete(message, received.receive_count());
  }

  [[gnu::noinline]] void ReleaseReferenceSlow(LocalState& local, Message message) {
    store_.ReleaseReference(message);
    CountReleased(local, 1);
  }
  // Slow path: this thread's cached state belongs to another queue. Look it up.
  [[gnu::noinline]] void ReleaseReferenceAfterCacheMiss(Message message) {
    store_.ReleaseReference(message);
    CountReleasedAfterCacheMiss(1);
  }

  // These count destroyed deliveries. The core may be gone when they return.
  [[gnu::always_inline]] void CountReleased(LocalState& local, std::int64_t deliveries) {
    if (!TryCountReleased(RcuReadGuard(local.record, MembarrierAvailable()), local, deliveries)) [[unlikely]]
      CountReleasedAbandoned(deliveries);
  }
  [[gnu::noinline]] void CountReleasedAfterCacheMiss(std::int64_t deliveries) {
    LocalState& local = store_.local();
    if (!TryCountReleased(RcuReadGuard(), local, deliveries)) CountReleasedAbandoned(deliveries);
  }
  // False: the queue is abandoned, so they are counted in `outstanding_`. The section pairs with the RcuSynchronize()
  // in EndWithLastDelivery(): what is counted here is in its sum.
  [[gnu::always_inline]] bool TryCountReleased(const RcuReadGuard&, LocalState& local, std::int64_t deliveries) const {
    if (abandoned_.load(std::memory_order_relaxed)) [[unlikely]]
      return false;
    local.counts.references_released.Add(static_cast<std::uint64_t>(deliveries));
    return true;
  }

  [[gnu::noinline]] void CountReleasedAbandoned(std::int64_t deliveries) {
    // Acquire and release: the deletion comes after what other threads did.
    if (outstanding_.fetch_sub(deliveries, std::memory_order_acq_rel) == deliveries) delete this;
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_DELIVERY_CORE_H_
