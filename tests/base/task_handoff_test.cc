#include "decouple/internal/base/task_handoff.h"

#include <pthread.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "catch.h"

namespace decouple::testing {
namespace {

// Counts what becomes of its tasks.
struct CountingOwner final : internal::TaskOwner, std::enable_shared_from_this<CountingOwner> {
  explicit CountingOwner(Executor executor) : handoff(std::move(executor)) {}

  void HandOver() {
    handoff.Claim();
    handoff.HandOver(shared_from_this());
  }
  void RunTask() override {
    ++runs;
    if (inside) inside();
  }
  void AfterTask() override { ++ends; }
  void AfterLostTask() override { ++losses; }

  internal::TaskHandoff handoff;
  std::function<void()> inside;
  int runs = 0;
  int ends = 0;
  int losses = 0;
};

}  // namespace

TEST_CASE("a task is claimed until it has run, and runs once however often it is called") {
  std::vector<std::function<void()>> tasks;
  const auto owner =
      std::make_shared<CountingOwner>([&](std::function<void()> task) { tasks.push_back(std::move(task)); });
  owner->inside = [&] { CHECK(owner->handoff.is_claimed()); };
  owner->HandOver();
  CHECK(owner->handoff.is_claimed());
  const auto copy = tasks[0];
  tasks[0]();
  CHECK_FALSE(owner->handoff.is_claimed());
  copy();
  tasks.clear();
  CHECK(owner->runs == 1);
  CHECK(owner->ends == 1);
  CHECK(owner->losses == 0);
}

TEST_CASE("a task is lost when its last copy is destroyed before it has run") {
  std::vector<std::function<void()>> tasks;
  const auto owner = std::make_shared<CountingOwner>([&](const std::function<void()>& task) { tasks = {task, task}; });
  owner->HandOver();
  tasks.pop_back();
  CHECK(owner->handoff.is_claimed());
  tasks.pop_back();
  CHECK_FALSE(owner->handoff.is_claimed());
  CHECK(owner->losses == 1);
  owner->HandOver();
  tasks[0]();
  CHECK(owner->runs == 1);
}

TEST_CASE("an executor that throws loses the task, unless it has kept it") {
  std::vector<std::function<void()>> tasks;
  bool keeps = false;
  const auto owner = std::make_shared<CountingOwner>([&](const std::function<void()>& task) {
    if (keeps) tasks.push_back(task);
    throw std::runtime_error("the pool is full");
  });
  owner->HandOver();
  CHECK(owner->losses == 1);
  keeps = true;
  owner->HandOver();
  CHECK(owner->losses == 1);
  CHECK(owner->handoff.is_claimed());
  tasks[0]();
  CHECK(owner->runs == 1);
  CHECK(owner->losses == 1);
}

TEST_CASE("a task whose thread exits within it is lost, and its claim goes") {
  std::function<void()> kept;
  const auto owner = std::make_shared<CountingOwner>([&](std::function<void()> task) { kept = std::move(task); });
  owner->inside = [] { pthread_exit(nullptr); };
  owner->HandOver();
  std::thread([&] { kept(); }).join();
  CHECK(owner->losses == 1);
  CHECK(owner->ends == 0);
  CHECK_FALSE(owner->handoff.is_claimed());
  kept = nullptr;
  CHECK(owner->losses == 1);
}

}  // namespace decouple::testing
