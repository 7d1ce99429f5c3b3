// A queue as its deliveries know it: where they say that a message is done with, or that they are gone.
//
// Lifetime. Handles share the core as a std::shared_ptr does. Deliveries do not touch that count: each thread counts
// the deliveries it makes and those it lets go of, and only once the last handle is gone (EndWithLastDelivery) are they
// counted out one by one; the last of them deletes the core.

#ifndef DECOUPLE_INTERNAL_DELIVERY_CORE_H_
#define DECOUPLE_INTERNAL_DELIVERY_CORE_H_

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
#include "decouple/internal/any_queue.h"
#include "decouple/internal/call_quota.h"
#include "decouple/internal/fifo_groups.h"
#include "decouple/internal/identity.h"
#include "decouple/internal/in_flight_limit.h"
#include "decouple/internal/message_store.h"
#include "decouple/internal/particulars.h"
#include "decouple/internal/queue_rules.h"
#include "decouple/internal/queue_settings.h"
#include "decouple/internal/receipts.h"
#include "decouple/internal/request_checks.h"
#include "decouple/internal/thread_record.h"
#include "decouple/message.h"

namespace decouple::internal {

template <typename T>
class DeliveryCore : public AnyQueue {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using Mine = typename Store::Mine;

  // What is done with a delivery or a receipt.
  Receipts<T>& receipts() { return receipts_; }

  // A delivery is gone. What calls further is gone on with in functions of their own, as the last thing that is done
  // here: so this one saves no registers.
  [[gnu::always_inline]] void LetGo(Message message) {
    Mine* const mine = store_.KnownMine();
    if (mine == nullptr) [[unlikely]]
      return LetGoAnew(message);
    if (!Store::TryDropBare(message)) return LetGoInGeneral(*mine, message);
    LetGo(*mine, 1);
  }

  std::optional<SequenceNumber> SequenceNumberOf(Message message) const {
    if (store_.groups() == nullptr) return std::nullopt;
    return SequenceNumberOf(store_.TicketOf(message));
  }

  const SharedBody* SharedOf(Message message) const { return store_.SharedOf(message); }
  const Particulars* ParticularsOf(Message message) const { return store_.ParticularsOf(message); }

  // By its holder, who received it by that word. What has a quota has particulars too, so it never goes the short way.
  [[gnu::always_inline]] absl::Status Delete(Message message, SlotWord received) {
    Mine* const mine = store_.KnownMine();
    if (mine == nullptr || !TryDeletePlain(*mine, message, received)) [[unlikely]]
      return DeleteInGeneral(message, received);
    store_.CountPlainRemovals(*mine, 1, Store::PlainBytesOf(message, received));
    return absl::OkStatus();
  }

  // Deliveries of one receive. Those that can be are deleted; the first error of the others.
  [[gnu::noinline]] absl::Status DeleteAll(std::span<Delivery<T>> deliveries) {
    store_.mine();  // the thread may have used another queue meanwhile
    Mine* const mine = store_.KnownMine();
    const Delivery<T>* const first = deliveries.data();
    const Delivery<T>* const end = first + deliveries.size();
    const Delivery<T>* rest = first;
    if (mine != nullptr) [[likely]] {
      SlotWord marks;
      rest = RemovePlainOnes(*mine, first, end, marks);
      // Not in the section: it may be the user's code.
      store_.CountPlainRemovals(*mine, static_cast<std::size_t>(rest - first), PlainBytesOf(first, rest, marks));
    }
    if (rest != end) [[unlikely]]
      return DeleteEach(rest, end);
    return absl::OkStatus();
  }

  // Deliveries of one receive are gone.
  [[gnu::always_inline]] void LetGoAll(std::span<Delivery<T>> deliveries) {
    auto gone = static_cast<std::int64_t>(deliveries.size());
    for (const Delivery<T>& delivery : deliveries) {
      if (delivery.core_ == nullptr) [[unlikely]] {
        --gone;
      } else if (!Store::TryDropBare(delivery.message_)) {  // first, as it is all there is to most
        store_.Drop(delivery.message_);
      }
    }
    store_.mine();  // the thread may have used another queue meanwhile
    if (Mine* const mine = store_.KnownMine()) [[likely]] {
      LetGo(*mine, gone);
    } else {
      LetGo(gone);
    }
  }

 protected:
  // `groups`: as for MessageStore.
  DeliveryCore(const QueueRules& rules, std::unique_ptr<FifoGroups> groups, const Limits& limits, std::string name,
               std::uint64_t seed, Clock* clock)
      : AnyQueue(rules.kind, &kBodyType<T>, name, IdentityOf(seed, name)),
        rules_(rules),
        clock_(clock != nullptr ? *clock : SystemClock::Instance()),
        settings_(limits),
        checks_(settings_),
        store_(ClockOrNull(clock), std::move(groups)),
        limit_(store_),
        receipts_(rules_, identity(), store_, limit_, checks_) {}
  ~DeliveryCore() override = default;

  // Nobody has a handle any more: the core goes with the last delivery.
  void EndWithLastDelivery() {
    abandoned_.store(true, std::memory_order_relaxed);  // ordered by the next line; pairs with LetGo()
    Synchronize();
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
  QueueSettings settings_;
  const RequestChecks checks_;
  Store store_;
  InFlightLimit<T> limit_;
  Receipts<T> receipts_;
  std::unique_ptr<CallQuota> quota_;  // null: calls are not counted

 private:
  // From `first` on, up to the first that is to be deleted in another way. Adds up the marks of those that were.
  [[gnu::always_inline]] const Delivery<T>* RemovePlainOnes(Mine& known, const Delivery<T>* first,
                                                            const Delivery<T>* end, SlotWord& marks) {
    const ReadSection section(known.record, FencesAreFree());
    if (!store_.bias().IsGiven(section)) [[unlikely]]
      return first;
    std::uint64_t all = 0;
    for (; first != end && Store::TryRemovePlainBiased(first->message_, first->received_); ++first) {
      all |= first->received_.bits();
    }
    marks = SlotWord(all);
    return first;
  }

  [[gnu::always_inline]] static std::size_t PlainBytesOf(const Delivery<T>* first, const Delivery<T>* end,
                                                         SlotWord marks) {
    if constexpr (HasFixedSize<T>) {
      if (!marks.Has(SlotWord::kShared)) return static_cast<std::size_t>(end - first) * sizeof(T);
    }
    std::size_t bytes = 0;
    for (; first != end; ++first) bytes += Store::PlainBytesOf(first->message_, first->received_);
    return bytes;
  }

  [[gnu::always_inline]] bool TryDeletePlain(Mine& known, Message message, SlotWord received) {
    const ReadSection section(known.record, FencesAreFree());
    return store_.TryRemovePlain(section, message, received);
  }

  // One by one. What has a quota begins here: it is never deleted in a plain way.
  [[gnu::noinline]] absl::Status DeleteEach(const Delivery<T>* first, const Delivery<T>* end) {
    absl::Status all = TakeDelete();
    if (!all.ok()) return all;
    for (; first != end; ++first) {
      if (first->core_ == nullptr) continue;
      Mine* const mine = store_.KnownMine();
      if (mine != nullptr && TryDeletePlain(*mine, first->message_, first->received_)) {
        store_.CountPlainRemovals(*mine, 1, Store::PlainBytesOf(first->message_, first->received_));
      } else {
        all.Update(receipts_.Delete(first->message_, first->receive_count()));
      }
    }
    return all;
  }

  [[gnu::noinline]] absl::Status DeleteInGeneral(Message message, SlotWord received) {
    store_.mine();  // so that the thread is known here from now on
    if (absl::Status status = TakeDelete(); !status.ok()) return status;
    return receipts_.Delete(message, received.receive_count());
  }

  [[gnu::noinline]] void LetGoInGeneral(Mine& known, Message message) {
    store_.Drop(message);
    LetGo(known, 1);
  }
  // By a thread that used another queue meanwhile.
  [[gnu::noinline]] void LetGoAnew(Message message) {
    store_.Drop(message);
    LetGo(1);
  }

  // So many deliveries have been dropped.
  [[gnu::always_inline]] void LetGo(Mine& known, std::int64_t deliveries) {
    if (!TryCountOut(ReadSection(known.record, FencesAreFree()), known, deliveries)) [[unlikely]]
      LetGoOfAbandoned(deliveries);
  }
  [[gnu::noinline]] void LetGo(std::int64_t deliveries) {
    Mine& mine = store_.mine();
    if (!TryCountOut(ReadSection(), mine, deliveries)) LetGoOfAbandoned(deliveries);
  }
  // False: they are counted in another way. The section pairs with EndWithLastDelivery().
  [[gnu::always_inline]] bool TryCountOut(const ReadSection&, Mine& mine, std::int64_t deliveries) const {
    if (abandoned_.load(std::memory_order_relaxed)) [[unlikely]]
      return false;
    mine.counts.let_go.Add(static_cast<std::uint64_t>(deliveries));
    return true;
  }

  [[gnu::noinline]] void LetGoOfAbandoned(std::int64_t deliveries) {
    // What others did comes before.
    if (outstanding_.fetch_sub(deliveries, std::memory_order_acq_rel) == deliveries) delete this;
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_DELIVERY_CORE_H_
