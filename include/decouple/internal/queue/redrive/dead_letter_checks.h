// Linking queues for dead letters: the checks, and the order in which two ends change.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_DEAD_LETTER_CHECKS_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_DEAD_LETTER_CHECKS_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/redrive_policy.h"

namespace decouple::internal {

inline constexpr int kMostReceives = 1'000;  // SQS

// Whether `to` can take over messages of `from`.
inline absl::Status CheckSameSort(Error error, const char* what, const QueueBase& from, const QueueBase& to) {
  if (to.kind() != from.kind()) {
    return MakeError(error, absl::StrCat(what, " \"", to.name(), "\" is a ", NameOf(to.kind()), " queue; that of a ",
                                         NameOf(from.kind()), " queue must be one too"));
  }
  if (to.body_type() != from.body_type()) {
    return MakeError(error, absl::StrCat(what, " \"", to.name(), "\" has bodies of another type than \"", from.name(),
                                         "\"; they must be the same"));
  }
  return absl::OkStatus();
}

// Gives `queue` a dead-letter queue, or with none in `redrive` takes it away. On an error nothing changes. The former
// one may end with its last handle, and the user's code runs then: so it is given to the caller.
inline absl::Status LinkDeadLetters(QueueBase& queue, const Redrive& redrive, std::shared_ptr<QueueBase>& former) {
  constexpr auto kError = Error::kInvalidAttributeValue;
  const std::shared_ptr<QueueBase>& target = Access::Core(redrive.to);
  if (target != nullptr) {
    absl::Status status = CheckNumber(kError, "maximum of receives", redrive.max_receives, 1, kMostReceives);
    status.Update(CheckSameSort(kError, "the dead-letter queue", queue, *target));
    if (!status.ok()) return status;
  }
  static std::mutex linking;  // one at a time, so that no two make a loop together
  const std::lock_guard lock(linking);
  for (std::shared_ptr<QueueBase> next = target; next != nullptr; next = next->dead_letters().target()) {
    if (next.get() == &queue) {
      return MakeError(kError, absl::StrCat("\"", queue.name(), "\" would be its own dead-letter queue",
                                            target.get() == &queue ? "" : ", by way of others"));
    }
  }
  if (target != nullptr && !target->dead_letters().Allows(queue.identity())) {
    return MakeError(kError, absl::StrCat("the dead-letter queue \"", target->name(), "\" does not allow \"",
                                          queue.name(), "\" as a source; its redrive allow policy says who may"));
  }
  former = queue.dead_letters().SetTarget(target, static_cast<std::uint32_t>(redrive.max_receives));
  if (former != nullptr) former->dead_letters().RemoveSource(queue.weak_from_this());
  if (target != nullptr) target->dead_letters().AddSource(queue.weak_from_this());
  return absl::OkStatus();
}

// `policy` has been checked.
inline void ApplyAllowPolicy(QueueBase& queue, const RedriveAllowPolicy& policy) {
  std::optional<std::vector<std::uint64_t>> allowed;
  if (!std::holds_alternative<AllowAllSources>(policy)) allowed.emplace();
  if (const auto* const by_queue = std::get_if<AllowSources>(&policy)) {
    for (const QueueReference& source : by_queue->sources) allowed->push_back(Access::Core(source)->identity());
  }
  queue.dead_letters().SetAllowed(std::move(allowed));
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_DEAD_LETTER_CHECKS_H_
