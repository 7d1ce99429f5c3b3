// Dead letters: where a message goes that was received too often without being deleted.
//
//   decouple::StandardQueue<Job> failed;
//   auto jobs = decouple::StandardQueue<Job>::Create({.redrive = decouple::Redrive{.to = failed, .max_receives = 3}});
//   …
//   for (auto& m : failed.Receive({.max_messages = 10}).value()) Report(m.body(), m.dead_letter_source());
//
// A message that was received `max_receives` times and is visible again is not given a further time: the receive that
// meets it moves it, and goes on to the next. It keeps its id, body, attributes and group. In a standard queue it also
// keeps the time of its sending, so that retention goes on counting; in a FIFO queue that starts anew. It becomes
// visible there at once, and its receives count from zero.
//
// A dead-letter queue is of the same kind and body type as its sources, may have one of its own, and is never its own,
// not even by way of others. Its sources keep it alive. When it is closed or full, or allows the source no more, the
// message stays where it is: it counts as in flight for a second (kRedriveRetry), as
// QueueStatistics::number_of_messages_failed_to_redrive, and is tried again at the next receive after that.
//
// To move messages back, see message_move_task.h. All of these are plain values.

#ifndef DECOUPLE_REDRIVE_POLICY_H_
#define DECOUPLE_REDRIVE_POLICY_H_

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/queue/queue_base.h"

namespace decouple {

template <typename T>
class Queue;

// Refers to a queue of any kind and body type, and keeps it alive as a handle does. A default-constructed one refers to
// none.
class QueueReference {
 public:
  QueueReference() = default;
  template <typename T>
  QueueReference(const Queue<T>& queue) : core_(internal::Access::Core(queue)) {}  // NOLINT: any queue is one

  // Of the queue; there must be one.
  const std::string& name() const { return core_->name(); }

  explicit operator bool() const { return core_ != nullptr; }
  friend bool operator==(const QueueReference&, const QueueReference&) = default;

 private:
  friend struct internal::Access;

  explicit QueueReference(std::shared_ptr<internal::QueueBase> core) : core_(std::move(core)) {}

  std::shared_ptr<internal::QueueBase> core_;
};

// SQS's redrive policy.
struct Redrive {
  QueueReference to;
  // maxReceiveCount: 1 … 1 000.
  int max_receives = 10;
};

// SQS's redrive allow policy: which queues may name this one as their dead-letter queue. Identities are compared, not
// names; a source that is allowed no more keeps its messages.
struct AllowAllSources {};
struct DenyAllSources {};
struct AllowSources {
  std::vector<QueueReference> sources;  // 1 … 10
};
using RedriveAllowPolicy = std::variant<AllowAllSources, DenyAllSources, AllowSources>;

// How long a message that its dead-letter queue did not take counts as in flight.
inline constexpr absl::Duration kRedriveRetry = absl::Seconds(1);

}  // namespace decouple

#endif  // DECOUPLE_REDRIVE_POLICY_H_
