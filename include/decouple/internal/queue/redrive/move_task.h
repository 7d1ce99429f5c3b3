// The state of one task that moves messages from a dead-letter queue to other queues; message_move_task.h is its
// handle.
//
//   kRunning ──▶ kCompleted | kFailed | kCancelled      by a step, or cancelled between steps
//       └──▶ kCancelling ──▶ kCancelled                 cancelled while a step runs, which then ends the task
//
// Lock order: stepping_, which is held through a step, before state_, which is held for a few instructions.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TASK_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TASK_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/base/token_bucket.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/message_move_status.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread.
class MessageMove {
 public:
  MessageMove(const std::shared_ptr<QueueBase>& source, const std::shared_ptr<QueueBase>& to,
              std::optional<int> max_messages_per_second, std::int64_t to_move)
      : source_(source),
        has_destination_(to != nullptr),
        to_(to),
        clock_(source->clock()),
        max_messages_per_second_(max_messages_per_second),
        started_at_(clock_.Now()),
        to_move_(to_move) {}

  MessageMoveStatus Step() ABSL_LOCKS_EXCLUDED(stepping_, state_) {
    const MutexLock lock(stepping_);
    {
      const MutexLock state_lock(state_);
      if (status_ != MessageMoveStatus::kRunning) return status_;
      DECOUPLE_ASSERT(!is_stepping_);
      is_stepping_ = true;
    }
    std::string failure;
    const MessageMoveStatus reached = MoveMessages(failure);
    const MutexLock state_lock(state_);
    DECOUPLE_ASSERT(is_stepping_);
    DECOUPLE_ASSERT(status_ == MessageMoveStatus::kRunning || status_ == MessageMoveStatus::kCancelling);
    DECOUPLE_ASSERT(moved() <= to_move_);
    is_stepping_ = false;
    const bool cancelled = status_ == MessageMoveStatus::kCancelling && reached == MessageMoveStatus::kRunning;
    status_ = cancelled ? MessageMoveStatus::kCancelled : reached;
    failure_reason_ = std::move(failure);
    return status_;
  }

  MessageMoveStatus Run() {
    for (;;) {
      EventCount::Waiter waiter(cancelled_);
      const MessageMoveStatus status = Step();
      if (status != MessageMoveStatus::kRunning) return status;
      waiter.Sleep(clock_, next_at_.load(std::memory_order_relaxed));
    }
  }

  absl::Status Cancel() ABSL_LOCKS_EXCLUDED(state_) {
    {
      const MutexLock lock(state_);
      if (status_ != MessageMoveStatus::kRunning && status_ != MessageMoveStatus::kCancelling) {
        return MakeError(Error::kInvalidParameterValue,
                         "the message move task has ended; only a running one can be cancelled");
      }
      status_ = is_stepping_ ? MessageMoveStatus::kCancelling : MessageMoveStatus::kCancelled;
    }
    cancelled_.Notify(EventCount::kAll);
    return absl::OkStatus();
  }

  MessageMoveStatus status() const ABSL_LOCKS_EXCLUDED(state_) {
    const MutexLock lock(state_);
    return status_;
  }
  std::string failure_reason() const ABSL_LOCKS_EXCLUDED(state_) {
    const MutexLock lock(state_);
    return failure_reason_;
  }
  bool is_active() const {
    const MessageMoveStatus now = status();
    return now == MessageMoveStatus::kRunning || now == MessageMoveStatus::kCancelling;
  }

  // Relaxed: a count for observers, which publishes nothing.
  std::int64_t moved() const { return moved_.load(std::memory_order_relaxed); }
  std::int64_t to_move() const { return to_move_; }
  absl::Time started_at() const { return started_at_; }
  std::shared_ptr<QueueBase> to() const { return to_.lock(); }
  std::optional<int> max_messages_per_second() const { return max_messages_per_second_; }

 private:
  // Moves all messages that can be moved now. kRunning: there is more to move later, from next_at_ on, or the task was
  // cancelled.
  MessageMoveStatus MoveMessages(std::string& failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(stepping_)
      ABSL_LOCKS_EXCLUDED(state_) {
    const std::shared_ptr<QueueBase> source = source_.lock();
    const std::shared_ptr<QueueBase> to = to_.lock();
    if (source == nullptr || (has_destination_ && to == nullptr)) {
      failure = source == nullptr ? "the source queue is gone" : "the destination queue is gone";
      return MessageMoveStatus::kFailed;
    }
    while (moved() < to_move_) {
      if (status() == MessageMoveStatus::kCancelling) return MessageMoveStatus::kRunning;
      const std::int64_t now = clock_.NowNanos();
      if (max_messages_per_second_ && bucket_.NextAt(*max_messages_per_second_) > now) {
        next_at_.store(bucket_.NextAt(*max_messages_per_second_), std::memory_order_relaxed);
        return MessageMoveStatus::kRunning;
      }
      const MoveOutcome outcome = source->MoveOne(to.get());
      const bool is_source_deleted = source->deleted();
      if (outcome != MoveOutcome::kMoved && (is_source_deleted || (to != nullptr && to->deleted()))) {
        failure = absl::StrCat("QueueDoesNotExist: the ", is_source_deleted ? "source" : "destination", " queue \"",
                               (is_source_deleted ? source : to)->name(), "\" was deleted");
        return MessageMoveStatus::kFailed;
      }
      switch (outcome) {
        case MoveOutcome::kMoved:
          moved_.fetch_add(1, std::memory_order_relaxed);
          if (max_messages_per_second_) bucket_.TryTake(now, *max_messages_per_second_);
          break;
        case MoveOutcome::kNothing:
          return MessageMoveStatus::kCompleted;
        case MoveOutcome::kNoRoom:
          next_at_.store(SaturatingAdd(now, absl::ToInt64Nanoseconds(kRedriveRetry)), std::memory_order_relaxed);
          return MessageMoveStatus::kRunning;
        case MoveOutcome::kClosed:
          failure = "the destination queue is closed";
          return MessageMoveStatus::kFailed;
        case MoveOutcome::kNoSource:
          failure =
              "CouldNotDetermineMessageSource: the next message was sent to the queue directly, or the queue that "
              "it came from is gone";
          return MessageMoveStatus::kFailed;
      }
    }
    return MessageMoveStatus::kCompleted;
  }

  const std::weak_ptr<QueueBase> source_;
  const bool has_destination_;
  const std::weak_ptr<QueueBase> to_;
  Clock& clock_;
  const std::optional<int> max_messages_per_second_;
  const absl::Time started_at_;
  const std::int64_t to_move_;
  std::atomic<std::int64_t> moved_{0};
  std::atomic<std::int64_t> next_at_{0};  // relaxed: a hint for Run(), how long to sleep
  EventCount cancelled_;

  Mutex stepping_ ABSL_ACQUIRED_BEFORE(state_);
  TokenBucket bucket_ ABSL_GUARDED_BY(stepping_);
  mutable Mutex state_;
  MessageMoveStatus status_ ABSL_GUARDED_BY(state_) = MessageMoveStatus::kRunning;
  std::string failure_reason_ ABSL_GUARDED_BY(state_);
  bool is_stepping_ ABSL_GUARDED_BY(state_) = false;
};

// The last ten tasks of one source. At most one of them, the latest, is active.
class MessageMoves {
 public:
  // Null: a task is active already.
  std::shared_ptr<MessageMove> Start(const std::shared_ptr<QueueBase>& source, const std::shared_ptr<QueueBase>& to,
                                     std::optional<int> max_messages_per_second, std::int64_t to_move)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (!tasks_.empty() && tasks_.front()->is_active()) return nullptr;
    tasks_.push_front(std::make_shared<MessageMove>(source, to, max_messages_per_second, to_move));
    if (tasks_.size() > kMaxTasks) tasks_.pop_back();
    DECOUPLE_ASSERT(tasks_.size() <= kMaxTasks);
    return tasks_.front();
  }

  // The latest first.
  std::vector<std::shared_ptr<MessageMove>> List() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return {tasks_.begin(), tasks_.end()};
  }

 private:
  static constexpr std::size_t kMaxTasks = 10;  // SQS

  mutable Mutex mutex_;  // taken before MessageMove's state_
  std::deque<std::shared_ptr<MessageMove>> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TASK_H_
