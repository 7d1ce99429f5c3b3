// Message move tasks: move dead letters back to the queues that they came from, or to another queue.
//
//   auto task = failed.StartMessageMoveTask({.max_messages_per_second = 50});   // back to the sources
//   if (task.ok()) task->Run();                                                 // until done, on this thread
//
//   auto other = failed.StartMessageMoveTask({.to = review});                   // to another queue, step by step
//   while (other->Step() == decouple::MessageMoveStatus::kRunning) DoSomethingElse();
//
//   task->RunOn([&](auto job) { pool.Schedule(std::move(job)); });              // on an executor of yours
//
// A task moves as many messages as were visible when it started, in the order in which a receive would return them. A
// moved message is a new one at its destination: it has a new id and sending time, its receives count from zero, it
// keeps its body, attributes, group and deduplication id (which is the message id that it had as a dead letter), and it
// stays in the order of its group. It is accepted even if its deduplication id was seen before. If the source has a
// dead-letter queue of its own, the task also moves the messages that a receive would send on to that. When a
// destination is full, the task continues later. When a destination is closed or was deleted, or a message has no
// recorded source, the task fails: that message and all after it stay where they are.
//
// The library runs no thread for a task: messages move only while a thread is in Step() or Run(). A task is a handle,
// as a std::shared_ptr is, but keeps no queue alive: it fails when its source has gone or was deleted. All members may
// be called from any thread. Steps run one at a time, and must not be made from within the destructor of a body.

#ifndef DECOUPLE_MESSAGE_MOVE_TASK_H_
#define DECOUPLE_MESSAGE_MOVE_TASK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/queue/redrive/move_task.h"
#include "decouple/internal/queue/redrive/redrive_attributes.h"
#include "decouple/message_move_status.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1 {

// SQS's spelling: "RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED". The text has static storage duration.
constexpr std::string_view MessageMoveStatusName(MessageMoveStatus status) {
  constexpr std::array<std::string_view, 5> kNames = {"RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED"};
  return kNames[static_cast<std::size_t>(status)];
}

struct MessageMoveOptions {
  // The destination. By default each message goes back to its source.
  QueueReference to = {};
  // 1 … 500. By default there is no limit.
  std::optional<int> max_messages_per_second = std::nullopt;
};

class MessageMoveTask {
 public:
  // Moves as many messages as the rate allows now. O(messages moved).
  MessageMoveStatus Step() { return move_->Step(); }

  // Steps until the task has ended; sleeps on the queue's clock when it has to wait.
  MessageMoveStatus Run() { return move_->Run(); }

  // Calls `executor` once, with a std::function<void()> that runs the task. If the executor throws, so does RunOn(). If
  // the executor drops it, the task stays RUNNING, and no other can start: run it elsewhere, or cancel it.
  template <typename Executor>
  void RunOn(Executor&& executor) const {
    std::forward<Executor>(executor)(std::function<void()>([move = move_] { move->Run(); }));
  }

  // Moves no further message, and makes Run() return. While a step runs the task is CANCELLING. Messages that have
  // moved stay moved. kInvalidParameterValue: the task has ended.
  absl::Status Cancel() { return move_->Cancel(); }

  MessageMoveStatus status() const { return move_->status(); }
  // Empty unless the task failed.
  std::string failure_reason() const { return move_->failure_reason(); }
  // SQS's ApproximateNumberOfMessagesMoved and …ToMove.
  std::int64_t moved() const { return move_->moved(); }
  std::int64_t to_move() const { return move_->to_move(); }
  absl::Time started_at() const { return move_->started_at(); }
  // The destination. It refers to no queue, and has an empty name, if the messages go back to their sources, or if the
  // destination is gone.
  QueueReference to() const { return internal::Access::Make<QueueReference>(move_->to()); }
  // None: there is no limit on the rate.
  std::optional<int> max_messages_per_second() const { return move_->max_messages_per_second(); }

  // Whether both are handles of one task.
  friend bool operator==(const MessageMoveTask&, const MessageMoveTask&) = default;

 private:
  friend struct internal::Access;

  explicit MessageMoveTask(std::shared_ptr<internal::MessageMove> move) : move_(std::move(move)) {}

  std::shared_ptr<internal::MessageMove> move_;
};

namespace internal {

inline constexpr int kMaxMovesPerSecond = 500;  // SQS

// Starts a task for `source`, which has `visible` visible messages; see Queue::StartMessageMoveTask().
inline absl::StatusOr<std::shared_ptr<MessageMove>> StartMessageMove(const std::shared_ptr<QueueBase>& source,
                                                                     const MessageMoveOptions& options,
                                                                     std::int64_t visible) {
  constexpr auto kError = Error::kInvalidParameterValue;
  const std::shared_ptr<QueueBase>& to = Access::Core(options.to);
  absl::Status status;
  if (source->deleted()) status.Update(DoesNotExistError(*source));
  if (to != nullptr && to->deleted()) status.Update(DoesNotExistError(*to));
  if (source->dead_letters().sources().empty()) {
    status.Update(MakeError(
        kError, absl::StrCat("\"", source->name(), "\" is no dead-letter queue; messages can be moved only from one")));
  }
  if (to != nullptr) status.Update(CheckSameKindAndBodyType(kError, "the destination", *source, *to));
  if (to == source) status.Update(MakeError(kError, "the destination is the queue itself; it must be another"));
  if (options.max_messages_per_second) {
    status.Update(
        CheckNumber(kError, "maximum of messages per second", *options.max_messages_per_second, 1, kMaxMovesPerSecond));
  }
  if (!status.ok()) return status;
  auto move = source->moves().Start(source, to, options.max_messages_per_second, visible);
  if (move == nullptr) {
    return MakeError(kError, absl::StrCat("a message move task of \"", source->name(),
                                          "\" is active already; one at a time is allowed"));
  }
  return move;
}

}  // namespace internal

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_MESSAGE_MOVE_TASK_H_
