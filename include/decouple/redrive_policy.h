// Dead letters: messages that were received too often without being deleted move to a dead-letter queue.
//
//   decouple::StandardQueue<Job> failed;
//   auto jobs = decouple::StandardQueue<Job>::Create({.redrive = decouple::Redrive{.to = failed, .max_receives = 3}});
//   …
//   for (auto& m : failed.Receive({.max_messages = 10}).value()) Report(m.body(), m.dead_letter_source());
//
// A message that has been received `max_receives` times and is visible again is not received once more: the receive
// that meets it moves it and continues with the next message. The message keeps its id, body, attributes, group and
// the time of its first receive, and its receive count goes on: a redrive policy of the dead-letter queue counts from
// there, and one with a maximum that is reached already moves the message on at the next receive. In a standard queue
// it also keeps its sending time, so its retention continues; in a FIFO queue its retention starts anew, and its
// deduplication id becomes its message id, so that it can be sent to its source again under that id. It is visible in
// the dead-letter queue at once.
//
// A dead-letter queue has the kind and body type of its sources. It may have a dead-letter queue of its own, but must
// not be its own, not even indirectly. Its sources keep it alive. When it is closed, deleted or full, or no longer
// allows the source, the message stays where it is: it counts as in flight for a second (kRedriveRetry), is counted in
// QueueStatistics::number_of_messages_failed_to_redrive, and is tried again at the next receive after that.
//
// To move messages back, see message_move_task.h. All of these are plain values.

#ifndef DECOUPLE_REDRIVE_POLICY_H_
#define DECOUPLE_REDRIVE_POLICY_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/queue/queue_identity.h"
#include "decouple/queue_kind.h"

namespace decouple::inline v0_1 {

template <typename T>
class Queue;
namespace internal {
class QueueBase;
}  // namespace internal

// Refers to a queue of any kind and body type, and keeps it alive as a handle does. A default-constructed reference
// refers to no queue.
class QueueReference {
 public:
  QueueReference() = default;
  template <typename T>
  QueueReference(const Queue<T>& queue)  // NOLINT: any queue is one
      : QueueReference(std::shared_ptr<internal::QueueBase>(internal::Access::Core(queue))) {}

  // The queue's name; empty if the reference refers to no queue.
  const std::string& name() const {
    static const std::string& none = *new std::string();  // never destroyed: statics may ask as the program ends
    return core_ == nullptr ? none : identity_->name();
  }

  // Nullopt if the reference refers to no queue.
  std::optional<QueueKind> kind() const { return core_ == nullptr ? std::nullopt : std::optional(identity_->kind()); }

  explicit operator bool() const { return core_ != nullptr; }
  friend bool operator==(const QueueReference& a, const QueueReference& b) { return a.core_ == b.core_; }

 private:
  friend struct internal::Access;

  // Core: internal::QueueBase, of which this header knows nothing.
  template <typename Core>
  explicit QueueReference(std::shared_ptr<Core> core)
      : core_(std::move(core)), identity_(core_ == nullptr ? nullptr : &static_cast<Core&>(*core_).state().identity) {}

  std::shared_ptr<internal::QueueBase> core_;
  const internal::QueueIdentity* identity_ = nullptr;  // the core's
};

// SQS's redrive policy. Without a queue it takes the dead-letter queue away, and then has nothing else to say: a
// maximum of receives without a queue is refused.
struct Redrive {
  QueueReference to = {};
  // maxReceiveCount: 1 … 1 000.
  int max_receives = 10;

  friend bool operator==(const Redrive&, const Redrive&) = default;
};

// SQS's redrive allow policy: which queues may use this one as their dead-letter queue. Queues are compared by
// identity, not by name. A source that is no longer allowed keeps its messages.
struct AllowAllSources {
  friend bool operator==(const AllowAllSources&, const AllowAllSources&) = default;
};
struct DenyAllSources {
  friend bool operator==(const DenyAllSources&, const DenyAllSources&) = default;
};
struct AllowSources {
  std::vector<QueueReference> sources;  // 1 … 10

  friend bool operator==(const AllowSources&, const AllowSources&) = default;
};
using RedriveAllowPolicy = std::variant<AllowAllSources, DenyAllSources, AllowSources>;

// How long a message that the dead-letter queue did not take counts as in flight.
inline constexpr absl::Duration kRedriveRetry = absl::Seconds(1);

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_REDRIVE_POLICY_H_
