// A queue as its deliveries know it: where they say that a message is done with, or that they are gone.
//
// Lifetime. Handles share the core as a std::shared_ptr does. Deliveries do not touch that count: each thread counts
// the deliveries it makes and those it lets go of, and only once the last handle is gone (EndWithLastDelivery) are they
// counted out one by one; the last of them deletes the core.

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
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/identity.h"
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

namespace decouple::internal {

template <typename T>
class DeliveryCore : public QueueBase {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  // What is done with a delivery or a receipt.
  Receipts<T>& receipts() { return receipts_; }

  // A delivery is gone. What calls further is gone on with in functions of their own, as the last thing that is done
  // here: so this one saves no registers.
  [[gnu::always_inline]] void ReleaseReference(Message message) {
    LocalState* const local = store_.CachedLocal();
    if (local == nullptr) [[unlikely]]
      return ReleaseReferenceAfterCacheMiss(message);
    if (!Store::TryReleaseBare(message)) return ReleaseReferenceSlow(*local, message);
    ReleaseReference(*local, 1);
  }

  std::optional<SequenceNumber> SequenceNumberOf(Message message) const {
    if (store_.groups() == nullptr) return std::nullopt;
    return SequenceNumberOf(store_.TicketOf(message));
  }

  const SharedBody* SharedOf(Message message) const { return store_.SharedOf(message); }
  const MessageMetadata* MetadataOf(Message message) const { return store_.MetadataOf(message); }

  // By its holder, who received it by that word. What has a quota has metadata too, so it never goes the short way.
  [[gnu::always_inline]] absl::Status Delete(Message message, SlotState received) {
    LocalState* const local = store_.CachedLocal();
    if (local == nullptr || !TryDeletePlain(*local, message, received)) [[unlikely]]
      return DeleteSlow(message, received);
    store_.CountPlainRemovals(*local, 1, Store::PlainBytesOf(message, received));
    return absl::OkStatus();
  }

  // Deliveries of one receive. Those that can be are deleted; the first error of the others.
  [[gnu::noinline]] absl::Status DeleteAll(std::span<Delivery<T>> deliveries) {
    store_.local();  // the thread may have used another queue meanwhile
    LocalState* const local = store_.CachedLocal();
    const Delivery<T>* const first = deliveries.data();
    const Delivery<T>* const end = first + deliveries.size();
    const Delivery<T>* rest = first;
    if (local != nullptr) [[likely]] {
      SlotState marks;
      rest = RemovePlainOnes(*local, first, end, marks);
      // Not in the section: it may be the user's code.
      store_.CountPlainRemovals(*local, static_cast<std::size_t>(rest - first), PlainBytesOf(first, rest, marks));
    }
    if (rest != end) [[unlikely]]
      return DeleteEach(rest, end);
    return absl::OkStatus();
  }

  // Deliveries of one receive are gone.
  [[gnu::always_inline]] void ReleaseReferences(std::span<Delivery<T>> deliveries) {
    auto gone = static_cast<std::int64_t>(deliveries.size());
    for (const Delivery<T>& delivery : deliveries) {
      if (delivery.core_ == nullptr) [[unlikely]] {
        --gone;
      } else if (!Store::TryReleaseBare(delivery.message_)) {  // first, as it is all there is to most
        store_.ReleaseReference(delivery.message_);
      }
    }
    store_.local();  // the thread may have used another queue meanwhile
    if (LocalState* const local = store_.CachedLocal()) [[likely]] {
      ReleaseReference(*local, gone);
    } else {
      ReleaseReference(gone);
    }
  }

 protected:
  // `groups`: as for MessageStore.
  DeliveryCore(const QueueRules& rules, std::unique_ptr<MessageGroups> groups, const Limits& limits, std::string name,
               std::uint64_t seed, Clock* clock)
      : QueueBase(rules.kind, &kBodyType<T>, name, IdentityOf(seed, name)),
        rules_(rules),
        clock_(clock != nullptr ? *clock : SystemClock::Instance()),
        config_(limits),
        checks_(config_),
        store_(ClockOrNull(clock), std::move(groups)),
        limit_(store_),
        receipts_(rules_, identity(), store_, limit_, checks_) {}
  ~DeliveryCore() override = default;

  // Nobody has a handle any more: the core goes with the last delivery.
  void EndWithLastDelivery() {
    abandoned_.store(true, std::memory_order_relaxed);  // ordered by the next line; pairs with ReleaseReference()
    RcuSynchronize();
    const std::int64_t deliveries = store_.Sums().deliveries();
    // Those that went since subtracted themselves before or will; whoever reaches zero deletes.
    if (outstanding_.fetch_add(deliveries, std::memory_order_acq_rel) + deliveries == 0) delete this;
  }

  // kRequestThrottled: the queue's quota of calls is used up.
  [[gnu::noinline]] absl::Status TakeDelete() {
    if (quota_ == nullptr) [[likely]]
      return absl::OkStatus();
    return quota_->TakeDelete([this] { return store_.Now(); });
  }

  // Tickets are taken in the order of a group's messages. In steps, so that nobody reads a count from it.
  static SequenceNumber SequenceNumberOf(std::uint64_t ticket) { return SequenceNumber((ticket + 1) * 256); }

  const QueueRules rules_;
  Clock& clock_;

 private:
  // In one line of the cache: whether the queue goes with its last delivery, and the settings that calls look at, which
  // come first in theirs. What else they look at begins the store. Who goes from queue to queue waits for each such line
  // (a message in and out of each of 1 000 queues in turn: 59 -> 51 ns, of 10 000: 306 -> 232).
  alignas(kCacheLine) std::atomic<bool> abandoned_{false};
  std::atomic<std::int64_t> outstanding_{0};  // deliveries, once abandoned

 protected:
  QueueConfig config_;
  const RequestChecks checks_;
  Store store_;
  InFlightLimit<T> limit_;
  Receipts<T> receipts_;
  std::unique_ptr<CallQuota> quota_;  // null: calls are not counted

 private:
  // From `first` on, up to the first that is to be deleted in another way. Adds up the marks of those that were.
  [[gnu::always_inline]] const Delivery<T>* RemovePlainOnes(LocalState& known, const Delivery<T>* first,
                                                            const Delivery<T>* end, SlotState& marks) {
    const RcuReadGuard section(known.record, MembarrierAvailable());
    if (!store_.bias().IsGiven(section)) [[unlikely]]
      return first;
    std::uint64_t all = 0;
    for (; first != end && Store::TryRemovePlainBiased(first->message_, first->received_); ++first) {
      all |= first->received_.bits();
    }
    marks = SlotState(all);
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

  [[gnu::always_inline]] bool TryDeletePlain(LocalState& known, Message message, SlotState received) {
    const RcuReadGuard section(known.record, MembarrierAvailable());
    return store_.TryRemovePlain(section, message, received);
  }

  // One by one. What has a quota begins here: it is never deleted in a plain way.
  [[gnu::noinline]] absl::Status DeleteEach(const Delivery<T>* first, const Delivery<T>* end) {
    absl::Status all = TakeDelete();
    if (!all.ok()) return all;
    for (; first != end; ++first) {
      if (first->core_ == nullptr) continue;
      LocalState* const local = store_.CachedLocal();
      if (local != nullptr && TryDeletePlain(*local, first->message_, first->received_)) {
        store_.CountPlainRemovals(*local, 1, Store::PlainBytesOf(first->message_, first->received_));
      } else {
        all.Update(receipts_.Delete(first->message_, first->receive_count()));
      }
    }
    return all;
  }

  [[gnu::noinline]] absl::Status DeleteSlow(Message message, SlotState received) {
    store_.local();  // so that the thread is known here from now on
    if (absl::Status status = TakeDelete(); !status.ok()) return status;
    return receipts_.Delete(message, received.receive_count());
  }

  [[gnu::noinline]] void ReleaseReferenceSlow(LocalState& known, Message message) {
    store_.ReleaseReference(message);
    ReleaseReference(known, 1);
  }
  // By a thread that used another queue meanwhile.
  [[gnu::noinline]] void ReleaseReferenceAfterCacheMiss(Message message) {
    store_.ReleaseReference(message);
    ReleaseReference(1);
  }

  // So many deliveries have been dropped.
  [[gnu::always_inline]] void ReleaseReference(LocalState& known, std::int64_t deliveries) {
    if (!TryCountOut(RcuReadGuard(known.record, MembarrierAvailable()), known, deliveries)) [[unlikely]]
      LetGoOfAbandoned(deliveries);
  }
  [[gnu::noinline]] void ReleaseReference(std::int64_t deliveries) {
    LocalState& local = store_.local();
    if (!TryCountOut(RcuReadGuard(), local, deliveries)) LetGoOfAbandoned(deliveries);
  }
  // False: they are counted in another way. The section pairs with EndWithLastDelivery().
  [[gnu::always_inline]] bool TryCountOut(const RcuReadGuard&, LocalState& local, std::int64_t deliveries) const {
    if (abandoned_.load(std::memory_order_relaxed)) [[unlikely]]
      return false;
    local.counts.let_go.Add(static_cast<std::uint64_t>(deliveries));
    return true;
  }

  [[gnu::noinline]] void LetGoOfAbandoned(std::int64_t deliveries) {
    // What others did comes before.
    if (outstanding_.fetch_sub(deliveries, std::memory_order_acq_rel) == deliveries) delete this;
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_DELIVERY_CORE_H_
