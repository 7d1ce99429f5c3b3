// Hands work to an executor of the user's (decouple/executor.h), one task at a time, and notices a task that is lost:
// one that the executor dropped, or whose run was left by forced unwinding (pthread_exit in code of the user's).
//
// Design: all copies of a task share one object. When the last of them is destroyed before the task has run, the task
// is lost: its claim goes, and the owner is told, so that it can hand over another. That covers an executor that
// throws, too, unless it has kept the task: then it may still run it.

#ifndef DECOUPLE_INTERNAL_BASE_TASK_HANDOFF_H_
#define DECOUPLE_INTERNAL_BASE_TASK_HANDOFF_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "decouple/executor.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/call_guard.h"

namespace decouple::inline v0_1::internal {

// What has work for an executor. A task that was handed over keeps it alive. All three are called with no lock held, on
// whichever thread the executor chooses.
class TaskOwner {
 public:
  TaskOwner() = default;
  TaskOwner(const TaskOwner&) = delete;
  TaskOwner& operator=(const TaskOwner&) = delete;
  virtual ~TaskOwner() = default;

  // The task itself. May run code of the user's.
  virtual void RunTask() = 0;
  // The task has run and the executor has none any more: looks for work that came since.
  virtual void AfterTask() = 0;
  // The task was lost and the executor has none any more. Must not hand over another before it returns: an executor
  // that drops every task would be called without end.
  virtual void AfterLostTask() = 0;
};

class TaskHandoff {
 public:
  // Work whose task was lost is handed over again after this time, unless there is another reason to do so earlier.
  static constexpr std::int64_t kRetryAfterLoss = 1'000'000'000;

  explicit TaskHandoff(Executor executor) : executor_(std::move(executor)) {}
  TaskHandoff(const TaskHandoff&) = delete;
  TaskHandoff& operator=(const TaskHandoff&) = delete;

  bool has_executor() const { return static_cast<bool>(executor_); }

  // Whether the executor has a task that is not done. An owner that has added work under its mutex and then finds true
  // leaves the work to AfterTask() or AfterLostTask(), which take the mutex after EndClaim(): they come after the
  // addition and see it, or before it, and then the owner finds false.
  bool is_claimed() const { return is_claimed_.load(std::memory_order_acquire); }

  // The caller is to call HandOver(). Requires: there is an executor, the caller holds the owner's mutex, and
  // is_claimed() is false.
  void Claim() {
    DECOUPLE_ASSERT(has_executor() && !is_claimed());
    is_claimed_.store(true, std::memory_order_relaxed);  // read by others only under the owner's mutex
  }

  // Gives the executor a task of `owner`, to which this belongs. Requires: the caller has called Claim(), and holds no
  // lock.
  void HandOver(std::shared_ptr<TaskOwner> owner) {
    std::function<void()> call = [task = std::make_shared<Task>(std::move(owner), *this)] { task->Run(); };
    // An executor that throws has most likely dropped the task, which has been noticed by then.
    InvokeToStatus([&] { executor_(std::move(call)); }).IgnoreError();
  }

 private:
  class Task {
   public:
    Task(std::shared_ptr<TaskOwner> owner, TaskHandoff& handoff) : owner_(std::move(owner)), handoff_(handoff) {}
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task() {
      if (!has_begun_.load(std::memory_order_relaxed)) Lose();  // no other thread has a copy any more
    }

    void Run() {
      if (has_begun_.exchange(true, std::memory_order_relaxed)) return;  // relaxed: only decides which thread goes on
      {
        LossAtUnwinding loss(*this);
        owner_->RunTask();
        loss.task = nullptr;
      }
      handoff_.EndClaim();
      owner_->AfterTask();
    }

   private:
    struct LossAtUnwinding {
      explicit LossAtUnwinding(Task& of) : task(&of) {}
      LossAtUnwinding(const LossAtUnwinding&) = delete;
      LossAtUnwinding& operator=(const LossAtUnwinding&) = delete;
      ~LossAtUnwinding() {
        if (task != nullptr) task->Lose();
      }

      Task* task;
    };

    void Lose() {
      handoff_.EndClaim();
      owner_->AfterLostTask();
    }

    const std::shared_ptr<TaskOwner> owner_;
    TaskHandoff& handoff_;  // lives as long as the owner
    std::atomic<bool> has_begun_{false};
  };

  void EndClaim() {
    DECOUPLE_ASSERT(is_claimed());
    is_claimed_.store(false, std::memory_order_release);  // pairs with is_claimed()
  }

  const Executor executor_;
  std::atomic<bool> is_claimed_{false};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_TASK_HANDOFF_H_
