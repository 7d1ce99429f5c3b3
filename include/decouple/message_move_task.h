// MoveToQueue dead letters on: back to the queues that they came from, or to another.
//
//   auto task = failed.StartMessageMoveTask({.max_messages_per_second = 50});   // back to the sources
//   if (task.ok()) task->Run();                                                 // until done, on this thread
//
//   auto task = failed.StartMessageMoveTask({.to = review});                    // or: all that can be moved now,
//   while (task->Step() == decouple::MessageMoveStatus::kRunning) DoSomethingElse();
//
//   task->RunOn([&](auto job) { pool.Schedule(std::move(job)); });              // or: on an executor of yours
//
// A task moves as many messages as were visible when it started, in the order in which a receive would give them. A
// moved message is a new one where it goes: with a new id and sending time, but with its body, attributes, group and
// deduplication id, and in the order of its group. It is taken though its deduplication id was seen before. (Where the
// queue has a dead-letter queue of its own, what was received too often goes there instead, as at any receive.) When a
// destination is full the task goes on later; when it is closed, or a message does not say where it came from, the task
// fails: that message and all after it stay where they are.
//
// A task takes no thread of ours: messages move only while somebody is in Step() or Run(). It is a handle, as a
// std::shared_ptr is, but keeps no queue alive: without its source it fails. All members may be called from any thread;
// steps run one at a time, and not from within the destructor of a body.

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
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/queue/redrive/move_task.h"
#include "decouple/internal/queue/redrive/redrive_attributes.h"
#include "decouple/message_move_status.h"
#include "decouple/redrive_policy.h"

namespace decouple {

// SQS's spelling: "RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED". Valid for ever.
constexpr std::string_view MessageMoveStatusName(MessageMoveStatus status) {
  constexpr std::array<std::string_view, 5> kNames = {"RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED"};
  return kNames[static_cast<std::size_t>(status)];
}

struct MessageMoveOptions {
  // Where to; by default each message goes back to its source.
  QueueReference to = {};
  // 1 … 500. By default as fast as it goes.
  std::optional<int> max_messages_per_second = std::nullopt;
};

class MessageMoveTask {
 public:
  // Moves all that can be moved now: as many as the rate allows. O(messages moved).
  MessageMoveStatus Step() { return move_->Step(); }

  // Steps until the task has ended, asleep on the queue's clock when it has to wait.
  MessageMoveStatus Run() { return move_->Run(); }

  // Does that on a thread of the caller's: `executor` is called once, with a std::function<void()> to run.
  template <typename Executor>
  void RunOn(Executor&& executor) const {
    std::forward<Executor>(executor)(std::function<void()>([move = move_] { move->Run(); }));
  }

  // No further message moves; who is in Run() returns. While a step runs the task is CANCELLING. What has moved stays
  // so. kInvalidParameterValue: the task has ended.
  absl::Status Cancel() { return move_->Cancel(); }

  MessageMoveStatus status() const { return move_->status(); }
  // Empty unless it failed.
  std::string failure_reason() const { return move_->failure_reason(); }
  // SQS's ApproximateNumberOfMessagesMoved and …ToMove.
  std::int64_t moved() const { return move_->moved(); }
  std::int64_t to_move() const { return move_->to_move(); }
  absl::Time started_at() const { return move_->started_at(); }
  // None: back to the sources, or as fast as it goes.
  QueueReference to() const { return QueueReference(move_->to()); }
  std::optional<int> max_messages_per_second() const { return move_->max_messages_per_second(); }

  // Whether both are handles of one task.
  friend bool operator==(const MessageMoveTask&, const MessageMoveTask&) = default;

  // For the library itself.
  explicit MessageMoveTask(std::shared_ptr<internal::MessageMove> move) : move_(std::move(move)) {}

 private:
  std::shared_ptr<internal::MessageMove> move_;
};

namespace internal {

inline constexpr int kMostMovesPerSecond = 500;  // SQS

// A new task for `source`, where `visible` messages are; see Queue::StartMessageMoveTask().
inline absl::StatusOr<std::shared_ptr<MessageMove>> StartMessageMove(const std::shared_ptr<QueueBase>& source,
                                                                     const MessageMoveOptions& options,
                                                                     std::int64_t visible) {
  constexpr auto kError = Error::kInvalidParameterValue;
  const std::shared_ptr<QueueBase>& to = options.to.any();
  absl::Status status;
  if (source->dead_letters().sources().empty()) {
    status.Update(MakeError(
        kError, absl::StrCat("\"", source->name(), "\" is no dead-letter queue; messages can be moved only from one")));
  }
  if (to != nullptr) status.Update(CheckSameSort(kError, "the destination", *source, *to));
  if (to == source) status.Update(MakeError(kError, "the destination is the queue itself; it must be another"));
  if (options.max_messages_per_second) {
    status.Update(CheckNumber(kError, "maximum of messages per second", *options.max_messages_per_second, 1,
                              kMostMovesPerSecond));
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

}  // namespace decouple

#endif  // DECOUPLE_MESSAGE_MOVE_TASK_H_
