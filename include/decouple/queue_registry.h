// Queues by name: a registry creates each of them once, finds it again, lists and deletes them, as SQS does for an
// account.
//
//   decouple::QueueRegistry registry;
//   auto jobs = registry.Create<decouple::StandardQueue<Job>>({.name = "jobs"});       // the same queue each time
//   auto ledger = registry.Create<decouple::FifoQueue<Entry>>({.name = "ledger.fifo"});
//
//   auto found = registry.Find<decouple::StandardQueue<Job>>("jobs");                  // or Queue<Job>, of either kind
//   for (const auto& queue : registry.List({.prefix = "jobs"}).value().queues) Log(queue.name());
//   registry.Delete("jobs").IgnoreError();
//
// A registry is an object of yours; there is no global one, and queues need none. It keeps a handle of each of its
// queues, so a queue lives until it is deleted, by Delete() or by Queue::DeleteQueue(), and then as long as its other
// handles and deliveries. A queue that was deleted by a handle, and is empty then, gives its last memory back when the
// registry meets it: in a call with its name, in a list, or in one of the next calls of Create(), each of which looks
// at two queues. When the registry is destroyed its queues live on as long as their handles do.
//
// Names are SQS's: 1 … 80 letters, digits, hyphens and underscores; that of a FIFO queue ends in ".fifo", which counts.
// The name of a deleted queue is free again after Limits::queue_name_reuse_interval. Links from other queues and from
// topics stay with the queue that was deleted; a new one of that name has none.
//
// All members may be called from any thread. They take a mutex, under which no code of the user's runs.

#ifndef DECOUPLE_QUEUE_REGISTRY_H_
#define DECOUPLE_QUEUE_REGISTRY_H_

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/clock.h"
#include "decouple/content_hash.h"
#include "decouple/error.h"
#include "decouple/fifo_queue.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/range_checks.h"
#include "decouple/internal/base/type_identity.h"
#include "decouple/internal/fifo/fifo_state.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/queue/queue_directory.h"
#include "decouple/internal/queue/redrive/redrive_attributes.h"
#include "decouple/internal/queue/standard_state.h"
#include "decouple/limits.h"
#include "decouple/queue_kind.h"
#include "decouple/queue_options.h"
#include "decouple/redrive_policy.h"
#include "decouple/result.h"
#include "decouple/standard_queue.h"

namespace decouple::inline v0_1 {

struct QueueRegistryOptions {
  // How soon a name can be used again, and how long a list may be. A queue has the limits of its own options.
  Limits limits = Limits::Service();
  // The clock of the registry and of all its queues. Must outlive them. Null: the system clock.
  Clock* clock = nullptr;
};

struct ListQueuesOptions {
  // Only queues whose names begin with it. Empty: all.
  std::string prefix = {};
  // The most queues in one list: 1 … 1 000; by default the most that the limits allow.
  std::optional<std::size_t> max_results = std::nullopt;
  // ListQueuesResult::next_token of the list before, to go on from there. Empty: from the beginning.
  std::string next_token = {};
};

struct ListQueuesResult {
  // In the order of their names. What is created or deleted meanwhile may be there or not; all others are there once.
  std::vector<QueueReference> queues;
  // Empty: there are no more.
  std::string next_token;
};

class QueueRegistry {
 public:
  explicit QueueRegistry(const QueueRegistryOptions& options = {})
      : clock_(options.clock != nullptr ? *options.clock : SystemClock::Instance()),
        max_results_(options.limits.max_listed_queues),
        directory_(options.limits, clock_) {}
  QueueRegistry(const QueueRegistry&) = delete;
  QueueRegistry& operator=(const QueueRegistry&) = delete;

  // Creates a queue of the name in `options`; Kind is StandardQueue<T> or FifoQueue<T>. If there is one already, of the
  // same kind and type of bodies and at present with the same attributes, returns that. Limits and seed are not
  // compared: what is by default the most that the limits allow is then the most that the queue's own limits allow.
  // O(log queues).
  // kInvalidParameterValue: the name is not allowed for the kind, or the options name another clock than the
  // registry's. kInvalidAttributeValue: as for Kind::Create(), also if there is a queue of that name. kQueueNameExists:
  // the queue of that name is another. kQueueDeletedRecently: a queue of that name was deleted less than
  // Limits::queue_name_reuse_interval of the registry ago, 60 s.
  template <typename Kind>
  requires(std::same_as<Kind, StandardQueue<typename Kind::Body>> ||
           std::same_as<Kind, FifoQueue<typename Kind::Body>>) absl::StatusOr<Kind> Create(QueueOptions options) {
    using Body = typename Kind::Body;
    constexpr bool kIsFifo = std::same_as<Kind, FifoQueue<Body>>;
    constexpr QueueKind kKind = kIsFifo ? QueueKind::kFifo : QueueKind::kStandard;
    const std::string name = options.name;
    const QueueAttributes wanted = internal::GivenAttributesOf(options);
    // What is wrong by itself is refused whether there is a queue of that name or not.
    absl::Status status = internal::CheckQueueName(name, kKind);
    status.Update(internal::CheckQueueAttributes(internal::AttributesOf(options), options.limits));
    if constexpr (kIsFifo) {
      status.Update(internal::FifoState::CheckOwnOfNew(wanted, HasContent<Body>));
    } else {
      status.Update(internal::StandardState::CheckOwnOfNew(wanted));
    }
    if (wanted.redrive) {
      status.Update(internal::CheckRedrive(*wanted.redrive, kKind, internal::kTypeIdentity<Body>, name));
    }
    if (options.clock != nullptr && options.clock != &clock_) {
      status.Update(internal::MakeError(
          Error::kInvalidParameterValue,
          absl::StrCat("another clock for the queue \"", name, "\"; a registry's queues have the registry's clock")));
    }
    if (!status.ok()) return status;
    if (const auto existing = directory_.Find(name)) return Existing<Kind>(existing, wanted);
    // Looked at before the queue is made, and decided when it is added, as other threads may do the same.
    if (status = directory_.CheckFree(name); !status.ok()) return status;
    options.clock = &clock_;
    absl::StatusOr<Kind> created = Kind::Create(std::move(options));
    if (!created.ok()) return created;
    auto added = directory_.Add(internal::Access::Core(*created));
    if (!added.ok()) return added.status();
    if (*added != internal::Access::Core(*created)) return Existing<Kind>(*added, wanted);
    return created;
  }

  // The queue of that name, as a StandardQueue<T>, a FifoQueue<T>, or a Queue<T> of either kind. O(log queues).
  // kQueueDoesNotExist: there is none. kInvalidParameterValue: it is of another kind, or has bodies of another type.
  template <typename Kind>
  absl::StatusOr<Kind> Find(std::string_view name) const {
    const absl::StatusOr<QueueReference> reference = Find(name);
    if (!reference.ok()) return reference.status();
    std::optional<Kind> queue = Kind::From(*reference);
    if (queue) return *std::move(queue);
    return internal::MakeError(Error::kInvalidParameterValue,
                               absl::StrCat("the queue \"", std::string(name),
                                            "\" is of another kind, or has bodies of another type, than is asked for"));
  }

  // The same, for a queue of any kind and type of bodies.
  absl::StatusOr<QueueReference> Find(std::string_view name) const {
    auto core = directory_.Find(name);
    if (core == nullptr) return NoneOf(name);
    return internal::Access::Make<QueueReference>(std::move(core));
  }

  // SQS's ListQueues. O(log queues + queues listed + names among them that are not free yet), and once more for each
  // name that has become free.
  // kInvalidParameterValue: max_results is out of its range, or the token is not one for this prefix.
  Result<ListQueuesResult> List(const ListQueuesOptions& options = {}) const {
    const std::size_t most = options.max_results.value_or(max_results_);
    absl::Status status = internal::CheckNumber(Error::kInvalidParameterValue, "maximum of listed queues", most,
                                                std::size_t{1}, max_results_);
    if (!options.next_token.empty() && options.next_token.compare(0, options.prefix.size(), options.prefix) != 0) {
      status.Update(
          internal::MakeError(Error::kInvalidParameterValue,
                              absl::StrCat("the token \"", options.next_token, "\" is not of a list of the prefix \"",
                                           options.prefix, "\"; allowed is what that list gave")));
    }
    if (!status.ok()) return status;
    ListQueuesResult result;
    bool is_more = false;
    for (auto& core : directory_.List(options.prefix, options.next_token, most, is_more)) {
      result.queues.push_back(internal::Access::Make<QueueReference>(std::move(core)));
    }
    if (is_more) result.next_token = result.queues.back().name();
    return result;
  }

  // Deletes the queue of that name: see Queue::DeleteQueue(). kQueueDoesNotExist: there is none.
  absl::Status Delete(std::string_view name) {
    const auto core = directory_.Find(name);
    if (core == nullptr) return NoneOf(name);
    absl::Status status = core->DeleteQueue();
    directory_.Find(name);  // lets the deleted queue go
    return status;
  }

 private:
  static absl::Status NoneOf(std::string_view name) {
    return internal::MakeError(Error::kQueueDoesNotExist,
                               absl::StrCat("the registry has no queue \"", std::string(name), "\""));
  }

  // The answer to a creation when there is a queue of that name.
  template <typename Kind>
  static absl::StatusOr<Kind> Existing(const std::shared_ptr<internal::QueueBase>& core,
                                       const QueueAttributes& wanted) {
    const std::optional<Kind> queue = Kind::From(internal::Access::Make<QueueReference>(core));
    const char* const difference =
        queue ? internal::FindDifference(queue->attributes(), internal::Access::Core(*queue)->limits(), wanted)
              : "kind or type of bodies";
    if (difference == nullptr) return *queue;
    return internal::MakeError(Error::kQueueNameExists,
                               absl::StrCat("there is a queue \"", core->name(), "\" with another ", difference,
                                            "; a name is given once, or again with the same attributes"));
  }

  Clock& clock_;
  const std::size_t max_results_;
  mutable internal::QueueDirectory directory_;  // takes care of its threads itself
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_QUEUE_REGISTRY_H_
