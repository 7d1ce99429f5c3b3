// Stands in for membarrier(2), where that is forbidden after the library has begun to rely on it: a sandbox that closes
// once the program has started. Light fences are free by then (asymmetric_fence.h), and every thread would have to
// learn that they are not any more, so the heavy side has to make all running threads pass a full fence in another way.
//
// The calling thread goes to each processor in turn. Where it runs, the thread that ran there before does not, and
// whatever the kernel switches between, it passes a full fence. So at the end of the tour every thread of the process
// that was running at its beginning has passed one. Processors that the kernel refuses are not there, or not for this
// process. (Only threads that were put into cpusets of their own could run on those.)
//
// A tour takes some ten microseconds a processor, and longer where others keep them busy. Signals would need a signal
// of the user's; changing the protection of a page, as was done before membarrier(2), interrupts no processor where the
// hardware itself tells the others.

#ifndef DECOUPLE_INTERNAL_BASE_PROCESSOR_TOUR_H_
#define DECOUPLE_INTERNAL_BASE_PROCESSOR_TOUR_H_

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#endif

namespace decouple::inline v0_1::internal {

#if defined(__linux__) && defined(SYS_getcpu)

// A set of processors as the kernel takes it; large enough for any kernel there is.
class ProcessorSet {
 public:
  // False: the kernel does not tell.
  bool ReadOwn() {
    const long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(words_), words_.data());
    if (bytes <= 0) return false;
    processors_ = static_cast<std::size_t>(bytes) * CHAR_BIT;
    return true;
  }
  // How many the kernel may know.
  std::size_t processors() const { return processors_; }

  void SetOnly(std::size_t processor) {
    words_ = {};
    words_[processor / kBits] = 1UL << processor % kBits;
  }
  // Moves the calling thread to one of them. Returns 0, or the error.
  int Enter() const { return syscall(SYS_sched_setaffinity, 0, sizeof(words_), words_.data()) == 0 ? 0 : errno; }

 private:
  static constexpr std::size_t kBits = sizeof(unsigned long) * CHAR_BIT;

  std::array<unsigned long, 16'384 / kBits> words_{};
  std::size_t processors_ = 0;
};

// False: it could not be done, and there was no fence.
inline bool TryVisitEveryProcessor() {
  ProcessorSet own;
  if (!own.ReadOwn()) return false;
  std::size_t visited = 0;
  bool is_complete = true;
  for (std::size_t processor = 0; processor < own.processors() && is_complete; ++processor) {
    ProcessorSet one;
    one.SetOnly(processor);
    const int error = one.Enter();
    if (error == EINVAL) continue;
    unsigned here = 0;
    // Some kernels in user space accept the call and do nothing.
    is_complete = error == 0 && syscall(SYS_getcpu, &here, nullptr, nullptr) == 0 && here == processor;
    ++visited;
  }
  own.Enter();
  return is_complete && visited > 0;
}

#else

inline bool TryVisitEveryProcessor() { return false; }

#endif

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_PROCESSOR_TOUR_H_
