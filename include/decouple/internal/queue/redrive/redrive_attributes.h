// SQS's attributes RedrivePolicy and RedriveAllowPolicy: what they require, and how setting one links queues.
//
// Invariant: the links from queues to their dead-letter queues form no loop, so no queue keeps itself alive. One
// process-wide mutex serializes the changes of links, because two changes that are right one by one may close a loop
// together. Lock order: the mutex of SetAttributes(), then that mutex, then the mutex of DeadLetterLinks.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_REDRIVE_ATTRIBUTES_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_REDRIVE_ATTRIBUTES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/base/range_checks.h"
#include "decouple/internal/base/type_identity.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/queue_kind.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1::internal {

inline constexpr int kLargestMaxReceives = 1'000;  // SQS's upper bound of maxReceiveCount

// Whether `to` can take over messages of a queue of this kind, body type and name: both are of one kind and have bodies
// of one type.
inline absl::Status CheckSameKindAndBodyType(Error error, const char* what, QueueKind kind,
                                             const TypeIdentity& body_type, const std::string& name,
                                             const QueueBase& to) {
  if (to.kind() != kind) {
    return MakeError(error, absl::StrCat(what, " \"", to.name(), "\" is a ", NameOf(to.kind()), " queue; that of a ",
                                         NameOf(kind), " queue must be one too"));
  }
  if (to.body_type() != body_type) {
    return MakeError(error, absl::StrCat(what, " \"", to.name(), "\" has bodies of another type than \"", name,
                                         "\"; they must be the same"));
  }
  return absl::OkStatus();
}
inline absl::Status CheckSameKindAndBodyType(Error error, const char* what, const QueueBase& from,
                                             const QueueBase& to) {
  return CheckSameKindAndBodyType(error, what, from.kind(), from.body_type(), from.name(), to);
}

// What is wrong with a redrive policy of a queue of this kind, body type and name, whatever else there is.
inline absl::Status CheckRedrive(const Redrive& redrive, QueueKind kind, const TypeIdentity& body_type,
                                 const std::string& name) {
  constexpr auto kError = Error::kInvalidAttributeValue;
  if (redrive.to) {
    absl::Status status = CheckNumber(kError, "maximum of receives", redrive.max_receives, 1, kLargestMaxReceives);
    status.Update(
        CheckSameKindAndBodyType(kError, "the dead-letter queue", kind, body_type, name, *Access::Core(redrive.to)));
    return status;
  }
  if (redrive.max_receives == Redrive().max_receives) return absl::OkStatus();
  return MakeError(kError, absl::StrCat("a redrive policy with a maximum of ", redrive.max_receives,
                                        " receives, but without a dead-letter queue; `to` must name one, or, to take "
                                        "the dead-letter queue away, nothing else is to be set"));
}

// Whether the dead letters of `from`, directly or by way of other queues, reach `queue`. Requires: the caller holds the
// mutex that serializes the changes of links.
inline bool LeadsTo(const std::shared_ptr<QueueBase>& from, const QueueBase& queue) {
  for (std::shared_ptr<QueueBase> next = from; next != nullptr; next = next->dead_letters().target()) {
    if (next.get() == &queue) return true;
  }
  return false;
}

// Gives `queue` a dead-letter queue, or takes it away if `redrive` names none. On an error nothing changes. Hands the
// former dead-letter queue to the caller: its last reference may be this one, and then dropping it runs the user's
// code, which must not happen under a mutex.
inline absl::Status LinkDeadLetters(QueueBase& queue, const Redrive& redrive, std::shared_ptr<QueueBase>& former) {
  constexpr auto kError = Error::kInvalidAttributeValue;
  const std::shared_ptr<QueueBase>& target = Access::Core(redrive.to);
  absl::Status status = CheckRedrive(redrive, queue.kind(), queue.body_type(), queue.name());
  if (target != nullptr && target->deleted()) {
    status.Update(MakeError(kError, absl::StrCat("the dead-letter queue \"", target->name(), "\" was deleted")));
  }
  if (!status.ok()) return status;
  const MutexLock lock(Process().linking);
  if (LeadsTo(target, queue)) {
    return MakeError(kError, absl::StrCat("\"", queue.name(), "\" would be its own dead-letter queue",
                                          target.get() == &queue ? "" : ", by way of others"));
  }
  if (target != nullptr && !target->dead_letters().Allows(queue.identity())) {
    return MakeError(kError, absl::StrCat("the dead-letter queue \"", target->name(), "\" does not allow \"",
                                          queue.name(), "\" as a source; its redrive allow policy says who may"));
  }
  former = queue.dead_letters().SetTarget(target, static_cast<std::uint32_t>(redrive.max_receives));
  if (former != nullptr) former->dead_letters().RemoveSource(queue.weak_from_this());
  if (target != nullptr) target->dead_letters().AddSource(queue.weak_from_this());
  DECOUPLE_ASSERT(!LeadsTo(queue.dead_letters().target(), queue));
  return absl::OkStatus();
}

// Requires: CheckAllowPolicy() found nothing wrong with `policy`.
inline void ApplyAllowPolicy(QueueBase& queue, const RedriveAllowPolicy& policy) {
  std::optional<std::vector<DeadLetterLinks::Allowed>> allowed;
  if (!std::holds_alternative<AllowAllSources>(policy)) allowed.emplace();
  if (const auto* const by_queue = std::get_if<AllowSources>(&policy)) {
    for (const QueueReference& source : by_queue->sources) {
      allowed->push_back({Access::Core(source)->identity(), Access::Core(source)});
    }
  }
  queue.dead_letters().SetAllowed(std::move(allowed));
}

// The policy that is in force, as far as its sources still have a handle.
inline RedriveAllowPolicy AllowPolicyOf(const QueueBase& queue) {
  const auto allowed = queue.dead_letters().allowed();
  if (!allowed) return AllowAllSources{};
  AllowSources by_queue;
  for (const DeadLetterLinks::Allowed& source : *allowed) {
    auto reference = Access::Make<QueueReference>(source.queue.lock());
    if (reference) by_queue.sources.push_back(std::move(reference));
  }
  if (by_queue.sources.empty()) return DenyAllSources{};
  return by_queue;
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_REDRIVE_ATTRIBUTES_H_
