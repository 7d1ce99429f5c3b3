// What holds in the child of a fork, when other threads of the parent were in the middle of something.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "decouple/internal/base/rcu.h"
#include "decouple/standard_queue.h"
#include "decouple/stream.h"
#include "decouple/topic.h"
#include "process_testing.h"
#include "sanitizers.h"

namespace decouple::testing {
namespace {

// Runs `child` in a child, which is ended if it hangs, and returns what it wrote by its argument.
template <typename Child>
std::string InChild(Child child) {
  int ends[2];
  REQUIRE_TRUE(pipe(ends) == 0);
  const pid_t process = fork();
  if (process == 0) {
    alarm(20);
    const std::string text = child();
    REQUIRE_TRUE(write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    _exit(0);
  }
  close(ends[1]);
  int status = 0;
  REQUIRE_TRUE(waitpid(process, &status, 0) == process);
  REQUIRE_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  char text[64];
  const ssize_t size = read(ends[0], text, sizeof(text));
  close(ends[0]);
  return std::string(text, static_cast<std::size_t>(size));
}

void UseNewQueues() {
  StandardQueue<std::string> queue;
  constexpr int kMessages = 20'000;
  for (int i = 0; i < kMessages; ++i) REQUIRE_TRUE(queue.Send(std::string(40, 'x')).ok());
  int received = 0;
  for (;;) {
    auto deliveries = queue.Receive({.max_messages = 10});
    if (deliveries->empty()) break;
    for (auto& delivery : *deliveries) {
      REQUIRE_TRUE(delivery.Delete().ok());
      ++received;
    }
  }
  REQUIRE_TRUE(received == kMessages);
  Topic<std::string> topic;
  const auto subscription = topic.Subscribe(queue);
  REQUIRE_TRUE(subscription.ok());
  REQUIRE_TRUE(topic.Publish("y").ok());
  REQUIRE_TRUE(queue.Receive()->size() == 1);
  Stream<std::string> stream;
  REQUIRE_TRUE(stream.Put("key", "z").ok());
}

// The number of a step that has been reached, for threads that wait for it.
class Step {
 public:
  void Reach(int step) {
    reached_.store(step, std::memory_order_release);
    reached_.notify_all();
  }
  void Await(int step) {
    for (int now = reached_.load(std::memory_order_acquire); now < step;
         now = reached_.load(std::memory_order_acquire)) {
      reached_.wait(now, std::memory_order_acquire);
    }
  }

 private:
  std::atomic<int> reached_{0};
};

// A thread of the parent that is in a read section as long as this object lives.
class ThreadInReadSection {
 public:
  ThreadInReadSection() { step_.Await(1); }
  ThreadInReadSection(const ThreadInReadSection&) = delete;
  ThreadInReadSection& operator=(const ThreadInReadSection&) = delete;
  ~ThreadInReadSection() {
    step_.Reach(2);
    thread_.join();
  }

 private:
  Step step_;
  std::thread thread_{[this] {
    const internal::RcuReadGuard section;
    step_.Reach(1);
    step_.Await(2);
  }};
};

// A section of a thread that the child does not have never ends.
void ReadSectionsOfOtherThreadsAreOverInTheChild() {
  const ThreadInReadSection reader;
  InChild([] {
    internal::RcuSynchronize();
    UseNewQueues();
    return "";
  });
}

// The address sanitizer's allocator stays locked in the child if another thread was in it.
constexpr bool kAllocatorMayFork = DECOUPLE_TESTS_ADDRESS_SANITIZER == 0;

void NewQueuesWorkBesideBusyThreads() {
  if (!kAllocatorMayFork) return;
  std::atomic<bool> is_over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!is_over) {
        // So many that memory comes from the pools of the process.
        StandardQueue<std::string> queue;
        for (int k = 0; k < 40'000; ++k) queue.Send(std::string(40, 'x')).IgnoreError();
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    InChild([] {
      UseNewQueues();
      std::thread(&UseNewQueues).join();
      return "";
    });
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
}

// Threads that each wait for a message of a queue.
class WaitingThreads {
 public:
  static constexpr int kThreads = 4;

  explicit WaitingThreads(StandardQueue<int>& queue) : queue_(queue) {
    for (int i = 0; i < kThreads; ++i) {
      threads_.emplace_back([this] {
        auto deliveries = queue_.Receive({.wait = absl::Seconds(20)});
        REQUIRE_TRUE(deliveries->size() == 1);
        sum_.fetch_add((*deliveries)[0].body());
        REQUIRE_TRUE((*deliveries)[0].Delete().ok());
      });
    }
  }

  // Sends a message to each, and returns when all have theirs.
  void Wake() {
    for (int i = 0; i < kThreads; ++i) REQUIRE_TRUE(queue_.Send(1 << i).ok());
    for (std::thread& thread : threads_) thread.join();
    REQUIRE_TRUE(sum_ == (1 << kThreads) - 1);
    REQUIRE_TRUE(queue_.Receive()->empty());
  }

 private:
  StandardQueue<int>& queue_;
  std::atomic<int> sum_{0};
  std::vector<std::thread> threads_;
};

void WaitersOfAnInheritedQueueAreWoken() {
  ManualClock clock;
  StandardQueue<int> queue = StandardQueue<int>::Create({.clock = &clock}).value();
  WaitingThreads of_parent(queue);
  clock.AwaitSleepers(WaitingThreads::kThreads);
  InChild([&] {
    WaitingThreads of_child(queue);                     // they come at once: one of them rids the queue of the parent's
    clock.AwaitSleepers(2 * WaitingThreads::kThreads);  // those that were lost are still counted
    of_child.Wake();
    return "";
  });
  of_parent.Wake();
}

void MessagesOfParentAndChildHaveDifferentIds() {
  StandardQueue<int> before;
  const std::string of_child = InChild([] {
    StandardQueue<int> queue;
    return queue.Send(1)->message_id.ToString();
  });
  StandardQueue<int> queue;
  const std::string of_parent = queue.Send(1)->message_id.ToString();
  REQUIRE_TRUE(!of_child.empty());
  REQUIRE_TRUE(of_child != of_parent);
}

void AChildMayForkAgain() {
  const ThreadInReadSection reader;
  InChild([] {
    UseNewQueues();
    InChild([] {
      UseNewQueues();
      return "";
    });
    UseNewQueues();
    return "";
  });
}

}  // namespace

PROCESS_TEST(fork) {
  UseNewQueues();
  ReadSectionsOfOtherThreadsAreOverInTheChild();
  NewQueuesWorkBesideBusyThreads();
  WaitersOfAnInheritedQueueAreWoken();
  MessagesOfParentAndChildHaveDifferentIds();
  AChildMayForkAgain();
}

}  // namespace decouple::testing
