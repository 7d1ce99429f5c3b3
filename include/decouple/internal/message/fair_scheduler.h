// Fair queues: the lines of visible messages that carry a group, one line a group, and which of them is served next.
//
// A group names a tenant. Messages of quiet tenants are served before those of noisy ones, oldest first; of several
// noisy tenants the one with the fewest in flight is served. A tenant becomes noisy when it has at least 30 messages in
// flight and more than 10 % of all, or used more than 10 % of the recent processing time, of which we keep the current
// and the previous five minutes. It is quiet again when nothing of it waits or after 5 minutes without a send.
//
// A queue has one of these from its first message with a group on. Every member takes one mutex: this is the slower
// path, and messages without a group never come here. Costs O(log n) of n fair_scheduler.

#ifndef DECOUPLE_INTERNAL_MESSAGE_FAIR_SCHEDULER_H_
#define DECOUPLE_INTERNAL_MESSAGE_FAIR_SCHEDULER_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "decouple/internal/message/message_metadata.h"

namespace decouple::internal {

struct Tenant {
  std::string group;
  absl::btree_map<std::pair<std::uint64_t, std::uint64_t>, SlotRef> waiting;  // by the place in line, then ticket
  std::int64_t messages = 0;                                                  // in any state
  std::int64_t in_flight = 0;
  std::int64_t busy = 0;         // nanoseconds of processing in this period
  std::int64_t busy_before = 0;  // and in the one before
  std::int64_t period = 0;       // that `busy` counts for
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

  // The tenant of a message that is being sent. It stays until Forget().
  Tenant* Enrol(const std::string& group, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Tenant>& tenant = fair_scheduler_[group];
    if (tenant == nullptr) {
      tenant = std::make_unique<Tenant>();
      tenant->group = group;
    }
    ++tenant->messages;
    tenant->last_sent_at = now;
    return tenant.get();
  }

  // A message of the tenant is over.
  void Forget(Tenant* tenant) {
    const std::lock_guard lock(mutex_);
    if (--tenant->messages > 0) return;
    if (tenant->recent_busy() > 0) {
      idle_.insert(tenant);  // what it used still counts for a while
    } else {
      Erase(tenant);
    }
  }

  // A message of the tenant is visible; `place_in_line` is its ticket, or a later one to put it further back.
  void Join(Tenant* tenant, std::uint64_t place_in_line, std::uint64_t ticket, SlotRef place) {
    const std::lock_guard lock(mutex_);
    Unqueue(tenant);
    tenant->waiting.emplace(std::pair(place_in_line, ticket), place);
    Queue(tenant);
  }

  // A waiting message is over. False if it has just been taken.
  bool Withdraw(Tenant* tenant, std::uint64_t place_in_line, std::uint64_t ticket) {
    const std::lock_guard lock(mutex_);
    Unqueue(tenant);
    const bool was_waiting = tenant->waiting.erase(std::pair(place_in_line, ticket)) != 0;
    Queue(tenant);
    return was_waiting;
  }

  // The next message if its tenant is quiet, its place in line is before `before`, and may_take() says yes.
  template <typename MayTake>
  std::optional<SlotRef> NextQuiet(std::uint64_t before, std::int64_t all_in_flight, std::int64_t now,
                                   MayTake may_take) {
    const std::lock_guard lock(mutex_);
    Review(all_in_flight, now);
    if (quiet_.empty() || quiet_.begin()->first.first >= before || !may_take()) return std::nullopt;
    return TakeFirst(quiet_.begin()->second);
  }

  // The next message of a noisy tenant, if there is one and may_take() says yes.
  template <typename MayTake>
  std::optional<SlotRef> NextNoisy(std::int64_t all_in_flight, std::int64_t now, MayTake may_take) {
    const std::lock_guard lock(mutex_);
    Review(all_in_flight, now);
    if (noisy_.empty() || !may_take()) return std::nullopt;
    return TakeFirst(noisy_.begin()->second);
  }

  void Leased(Tenant* tenant, std::int64_t all_in_flight, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    Unqueue(tenant);
    ++tenant->in_flight;
    Judge(*tenant, all_in_flight, now);
    Queue(tenant);
  }

  // A message of the tenant is no longer in flight, after `busy` nanoseconds.
  void Unleased(Tenant* tenant, std::int64_t busy, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    Unqueue(tenant);
    --tenant->in_flight;
    Turn(*tenant, now);
    TurnTotal(now);
    tenant->busy += busy;
    total_.busy += busy;
    Queue(tenant);
  }

  bool IsAnyWaiting() {
    const std::lock_guard lock(mutex_);
    return !quiet_.empty() || !noisy_.empty();
  }

  Counts CountsAt(std::int64_t all_in_flight, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    TurnTotal(now);  // which may forget tenants, so not while we go through them
    Counts counts;
    for (const auto& [group, tenant] : fair_scheduler_) {
      Unqueue(tenant.get());
      Judge(*tenant, all_in_flight, now);
      Queue(tenant.get());
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

  using PlaceInLine = std::pair<std::uint64_t, std::uint64_t>;

  // Under the mutex, all of them. A tenant with something waiting is in exactly one of quiet_ and noisy_.
  void Queue(Tenant* tenant) {
    if (tenant->waiting.empty()) {
      tenant->noisy = false;  // its retry queue is empty
      return;
    }
    if (tenant->noisy) {
      noisy_.emplace(std::pair(tenant->in_flight, tenant->waiting.begin()->first), tenant);
    } else {
      quiet_.emplace(tenant->waiting.begin()->first, tenant);
    }
  }

  void Unqueue(Tenant* tenant) {
    if (tenant->waiting.empty()) return;
    if (tenant->noisy) {
      noisy_.erase(std::pair(tenant->in_flight, tenant->waiting.begin()->first));
    } else {
      quiet_.erase(tenant->waiting.begin()->first);
    }
  }

  SlotRef TakeFirst(Tenant* tenant) {
    Unqueue(tenant);
    const SlotRef place = tenant->waiting.begin()->second;
    tenant->waiting.erase(tenant->waiting.begin());
    Queue(tenant);
    return place;
  }

  // What is about to be served may have changed sides since it was judged: look until it has not.
  void Review(std::int64_t all_in_flight, std::int64_t now) {
    for (bool changed = true; changed;) {
      changed = false;
      for (Tenant* tenant :
           {quiet_.empty() ? nullptr : quiet_.begin()->second, noisy_.empty() ? nullptr : noisy_.begin()->second}) {
        if (tenant == nullptr) continue;
        Unqueue(tenant);
        const bool was = tenant->noisy;
        Judge(*tenant, all_in_flight, now);
        changed = changed || tenant->noisy != was;
        Queue(tenant);
      }
    }
  }

  void Judge(Tenant& tenant, std::int64_t all_in_flight, std::int64_t now) {
    Turn(tenant, now);
    TurnTotal(now);
    const bool many_in_flight = tenant.in_flight >= kNoisyInFlight && tenant.in_flight * kNoisyShare > all_in_flight;
    const bool much_time = tenant.recent_busy() * kNoisyShare > total_.recent_busy();
    const bool sends = now - tenant.last_sent_at < kPeriod;
    tenant.noisy = sends && !tenant.waiting.empty() && (tenant.noisy || many_in_flight || much_time);
  }

  static void Turn(Tenant& tenant, std::int64_t now) {
    const std::int64_t period = now / kPeriod;
    if (period == tenant.period) return;
    tenant.busy_before = period == tenant.period + 1 ? tenant.busy : 0;
    tenant.busy = 0;
    tenant.period = period;
  }

  void TurnTotal(std::int64_t now) {
    if (now / kPeriod == total_.period) return;
    Turn(total_, now);
    for (auto next = idle_.begin(); next != idle_.end();) {
      Tenant* const tenant = *next;
      Turn(*tenant, now);
      const bool forgotten = tenant->messages == 0 && tenant->recent_busy() == 0;
      next = tenant->messages > 0 || forgotten ? idle_.erase(next) : std::next(next);
      if (forgotten) Erase(tenant);
    }
  }

  void Erase(Tenant* tenant) {
    idle_.erase(tenant);
    const std::string group = tenant->group;
    fair_scheduler_.erase(group);
  }

  std::mutex mutex_;
  absl::flat_hash_map<std::string, std::unique_ptr<Tenant>> fair_scheduler_;
  absl::btree_set<Tenant*> idle_;  // without messages, but lately busy
  absl::btree_map<PlaceInLine, Tenant*> quiet_;
  absl::btree_map<std::pair<std::int64_t, PlaceInLine>, Tenant*> noisy_;
  Tenant total_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_FAIR_SCHEDULER_H_
