// A sandbox that forbids membarrier(2) once the library relies on it loses no wake-up and no message: heavy fences go
// on in another way. Where that is forbidden, too, the process ends, and says why.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/standard_queue.h"
#include "process_testing.h"

namespace decouple::testing {
namespace {

// From now on the system call fails in the calling thread, and in those that it makes. False: the system does not allow
// a process to forbid itself anything.
bool Forbid(long number) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {.len = static_cast<unsigned short>(std::size(filter)), .filter = filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

[[noreturn]] void SkipWithoutSeccomp() {
  Skip("the system does not let a process forbid itself system calls (seccomp)");
}

// Every long poll passes a heavy fence, and every send a light one.
void SendAndReceive() {
  constexpr int kMessages = 20'000;
  constexpr int kReceivers = 2;
  StandardQueue<int> queue;
  std::atomic<long> sum{0};
  std::vector<std::thread> receivers;
  for (int i = 0; i < kReceivers; ++i) {
    receivers.emplace_back([&] {
      for (;;) {
        auto deliveries = queue.Receive({.wait = absl::Seconds(20)});
        if (!deliveries.ok()) return;
        if (deliveries->empty()) continue;
        sum.fetch_add((*deliveries)[0].body());
        REQUIRE_TRUE((*deliveries)[0].Delete().ok());
      }
    });
  }
  long sent = 0;
  for (int i = 0; i < kMessages; ++i) {
    REQUIRE_TRUE(queue.Send(i).ok());
    sent += i;
    if (i % 64 == 0) std::this_thread::yield();
  }
  queue.Close();
  for (std::thread& receiver : receivers) receiver.join();
  REQUIRE_TRUE(sum.load() == sent);
}

void TestBothForbidden() {
  int output[2];
  REQUIRE_TRUE(pipe(output) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(output[1], STDERR_FILENO);
    StandardQueue<int> queue;
    queue.Send(1).IgnoreError();
    if (!Forbid(SYS_sched_setaffinity) || !Forbid(SYS_membarrier)) _exit(77);
    internal::HeavyFence();
    _exit(0);
  }
  close(output[1]);
  std::string text(4'096, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, read(output[0], text.data(), text.size()))));
  int status = 0;
  REQUIRE_TRUE(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) SkipWithoutSeccomp();
  REQUIRE_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  REQUIRE_TRUE(text.find("membarrier(2) was forbidden") != std::string::npos);
}

}  // namespace

PROCESS_TEST(membarrier_forbidden) {
  StandardQueue<int> first;
  if (!first.Send(1).ok() || !internal::Membarrier::IsAvailable()) Skip("the kernel has no membarrier(2)");
  TestBothForbidden();
  if (!Forbid(SYS_membarrier)) SkipWithoutSeccomp();
  REQUIRE_TRUE(syscall(SYS_membarrier, 0, 0, 0) != 0);
  REQUIRE_TRUE(internal::TryVisitEveryProcessor());
  SendAndReceive();
}

}  // namespace decouple::testing
