// Fair queues (SQS): the visible messages that carry a group, by group, and the choice of the group to serve next.
//
// A group names a tenant. Messages of quiet tenants are served before those of noisy ones, oldest first; of several
// noisy tenants the one with the fewest messages in flight is served. A tenant becomes noisy when it has at least 30
// messages in flight and more than 10 % of all, or used more than 10 % of the recent processing time, which is that of
// the current and the previous five minutes. It is quiet again when it has no visible message or after 5 minutes
// without a send.
//
// Threading. A queue has one of these from its first message with a group on. Every public member takes one mutex: this
// is the slower path, which messages without a group never take.
//
// Complexity. O(log n) with n tenants, where nothing else is said.

#ifndef DECOUPLE_INTERNAL_MESSAGE_FAIR_SCHEDULER_H_
#define DECOUPLE_INTERNAL_MESSAGE_FAIR_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

// Guarded by the mutex of its FairScheduler.
struct Tenant {
  // A message's queue position, which is its ticket or a later one, and its ticket.
  using Position = std::pair<std::uint64_t, std::uint64_t>;

  std::string group;
  std::map<Position, SlotRef> waiting;  // the visible messages
  std::int64_t messages = 0;            // in any state
  std::int64_t in_flight = 0;
  std::int64_t busy = 0;         // nanoseconds of processing in `period`
  std::int64_t busy_before = 0;  // and in the period before it
  std::int64_t period = 0;
  std::int64_t last_sent_at = 0;
  bool noisy = false;

  std::int64_t recent_busy() const { return busy + busy_before; }
};

class FairScheduler {
 public:
  struct Counts {
    std::int64_t noisy_groups = 0;
    std::int64_t visible_in_noisy_groups = 0;
    std::int64_t in_flight_in_noisy_groups = 0;
  };

  // Counts a message that is being sent, and returns its tenant, which stays until the message's RemoveMessage().
  Tenant* AddMessage(const std::string& group, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::unique_ptr<Tenant>& tenant = tenants_[group];
    if (tenant == nullptr) {
      tenant = std::make_unique<Tenant>();
      tenant->group = group;
    }
    ++tenant->messages;
    tenant->last_sent_at = now;
    return tenant.get();
  }

  // A message of the tenant has ended. Requires: it is neither waiting nor counted as in flight any more.
  void RemoveMessage(Tenant* tenant) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    DECOUPLE_ASSERT(tenant->messages > 0);
    if (--tenant->messages > 0) return;
    DECOUPLE_ASSERT(tenant->waiting.empty() && tenant->in_flight == 0);
    if (tenant->recent_busy() > 0) {
      idle_.insert(tenant);  // what it used still counts for a while
    } else {
      Erase(tenant);
    }
  }

  // A message of the tenant became visible; `queue_position` is its ticket, or a later one to put it further back.
  void Enqueue(Tenant* tenant, std::uint64_t queue_position, std::uint64_t ticket, SlotRef message)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    RemoveFromOrder(tenant);
    tenant->waiting.emplace(Tenant::Position(queue_position, ticket), message);
    AddToOrder(tenant);
  }

  // A waiting message is no longer to be served. Returns false if a receiver has just taken it.
  bool Withdraw(Tenant* tenant, std::uint64_t queue_position, std::uint64_t ticket) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    RemoveFromOrder(tenant);
    const bool was_waiting = tenant->waiting.erase(Tenant::Position(queue_position, ticket)) != 0;
    AddToOrder(tenant);
    return was_waiting;
  }

  // Takes the next message if its tenant is quiet, its queue position is before `before`, and may_take() returns true.
  template <typename MayTake>
  std::optional<SlotRef> NextQuiet(std::uint64_t before, std::int64_t all_in_flight, std::int64_t now, MayTake may_take)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    ReclassifyNext(all_in_flight, now);
    if (quiet_.empty() || quiet_.begin()->first.second.first >= before || !may_take()) return std::nullopt;
    return TakeFirst(quiet_.begin()->second);
  }

  // Takes the next message of a noisy tenant, if there is one and may_take() returns true.
  template <typename MayTake>
  std::optional<SlotRef> NextNoisy(std::int64_t all_in_flight, std::int64_t now, MayTake may_take)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    ReclassifyNext(all_in_flight, now);
    if (noisy_.empty() || !may_take()) return std::nullopt;
    return TakeFirst(noisy_.begin()->second);
  }

  // A message of the tenant has been leased.
  void AddInFlight(Tenant* tenant, std::int64_t all_in_flight, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    RemoveFromOrder(tenant);
    ++tenant->in_flight;
    Classify(*tenant, all_in_flight, now);
    AddToOrder(tenant);
  }

  // A message of the tenant is no longer in flight, after `busy` nanoseconds.
  void RemoveInFlight(Tenant* tenant, std::int64_t busy, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    DECOUPLE_ASSERT(tenant->in_flight > 0);
    RemoveFromOrder(tenant);
    --tenant->in_flight;
    RotatePeriod(*tenant, now);
    RotateTotalPeriod(now);
    tenant->busy += busy;
    total_.busy += busy;
    AddToOrder(tenant);
  }

  bool IsAnyWaiting() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return !quiet_.empty() || !noisy_.empty();
  }

  // O(n log n).
  Counts CountsAt(std::int64_t all_in_flight, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    RotateTotalPeriod(now);  // not in the loop, as it may erase tenants
    Counts counts;
    for (const auto& [group, tenant] : tenants_) {
      RemoveFromOrder(tenant.get());
      Classify(*tenant, all_in_flight, now);
      AddToOrder(tenant.get());
      if (!tenant->noisy) continue;
      ++counts.noisy_groups;
      counts.visible_in_noisy_groups += static_cast<std::int64_t>(tenant->waiting.size());
      counts.in_flight_in_noisy_groups += tenant->in_flight;
    }
    return counts;
  }

 private:
  static constexpr std::int64_t kPeriod = 300'000'000'000;  // five minutes
  static constexpr std::int64_t kNoisyInFlight = 30;
  static constexpr std::int64_t kNoisyShare = 10;  // a tenth

  // Tenants are ranked by the position of their first waiting message; noisy ones before that by how many they have in
  // flight, which counts as none for a quiet one.
  using Rank = std::pair<std::int64_t, Tenant::Position>;
  using Order = std::map<Rank, Tenant*>;
  static Rank RankOf(const Tenant& tenant) {
    return {tenant.noisy ? tenant.in_flight : 0, tenant.waiting.begin()->first};
  }
  Order& OrderOf(const Tenant& tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return tenant.noisy ? noisy_ : quiet_; }

  // A tenant with waiting messages is in exactly one of quiet_ and noisy_, by its first one. It leaves them before any
  // of what the order goes by changes, and comes back after it.
  void AddToOrder(Tenant* tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (tenant->waiting.empty()) {
      tenant->noisy = false;  // its backlog is empty
      return;
    }
    [[maybe_unused]] const bool is_new = OrderOf(*tenant).emplace(RankOf(*tenant), tenant).second;
    DECOUPLE_ASSERT(is_new);
  }

  void RemoveFromOrder(Tenant* tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (tenant->waiting.empty()) return;
    [[maybe_unused]] const std::size_t erased = OrderOf(*tenant).erase(RankOf(*tenant));
    DECOUPLE_ASSERT(erased == 1);
  }

  SlotRef TakeFirst(Tenant* tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    RemoveFromOrder(tenant);
    const SlotRef message = tenant->waiting.begin()->second;
    tenant->waiting.erase(tenant->waiting.begin());
    AddToOrder(tenant);
    return message;
  }

  // The tenants at the front of quiet_ and noisy_ may be classified otherwise by now: classifies them again until
  // neither changes.
  void ReclassifyNext(std::int64_t all_in_flight, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (bool changed = true; changed;) {
      changed = false;
      for (Tenant* tenant :
           {quiet_.empty() ? nullptr : quiet_.begin()->second, noisy_.empty() ? nullptr : noisy_.begin()->second}) {
        if (tenant == nullptr) continue;
        RemoveFromOrder(tenant);
        const bool was = tenant->noisy;
        Classify(*tenant, all_in_flight, now);
        changed = changed || tenant->noisy != was;
        AddToOrder(tenant);
      }
    }
  }

  // Requires: the tenant is in neither order.
  void Classify(Tenant& tenant, std::int64_t all_in_flight, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    RotatePeriod(tenant, now);
    RotateTotalPeriod(now);
    const bool many_in_flight = tenant.in_flight >= kNoisyInFlight && tenant.in_flight * kNoisyShare > all_in_flight;
    const bool much_time = tenant.recent_busy() * kNoisyShare > total_.recent_busy();
    const bool sends = now - tenant.last_sent_at < kPeriod;
    tenant.noisy = sends && !tenant.waiting.empty() && (tenant.noisy || many_in_flight || much_time);
  }

  static void RotatePeriod(Tenant& tenant, std::int64_t now) {
    const std::int64_t period = now / kPeriod;
    if (period == tenant.period) return;
    tenant.busy_before = period == tenant.period + 1 ? tenant.busy : 0;
    tenant.busy = 0;
    tenant.period = period;
  }

  // At the beginning of a period this also erases the tenants whose processing time no longer counts.
  void RotateTotalPeriod(std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (now / kPeriod == total_.period) return;
    RotatePeriod(total_, now);
    for (auto next = idle_.begin(); next != idle_.end();) {
      Tenant* const tenant = *next;
      RotatePeriod(*tenant, now);
      const bool is_over = tenant->messages == 0 && tenant->recent_busy() == 0;
      next = tenant->messages > 0 || is_over ? idle_.erase(next) : std::next(next);
      if (is_over) Erase(tenant);
    }
  }

  void Erase(Tenant* tenant) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    DECOUPLE_ASSERT(tenant->messages == 0);
    idle_.erase(tenant);
    const std::string group = tenant->group;
    tenants_.erase(group);
  }

  Mutex mutex_;
  std::unordered_map<std::string, std::unique_ptr<Tenant>> tenants_ ABSL_GUARDED_BY(mutex_);
  std::set<Tenant*> idle_ ABSL_GUARDED_BY(mutex_);  // without messages, but busy lately
  Order quiet_ ABSL_GUARDED_BY(mutex_);
  Order noisy_ ABSL_GUARDED_BY(mutex_);
  Tenant total_ ABSL_GUARDED_BY(mutex_);  // the processing time of all tenants
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_FAIR_SCHEDULER_H_
