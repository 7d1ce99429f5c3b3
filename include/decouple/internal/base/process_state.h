// What there has to be once in a process, however many of its modules include the library.
//
// A module is the executable or a shared object. Static and inline variables are one per module where it hides its
// symbols (-fvisibility=hidden), where the executable does not export its own (the usual case), and between objects
// that are loaded with RTLD_LOCAL. A queue that two modules share needs more than that: one list of the threads that
// may be in a read section, ids that are given once, one timeline. All of it lies in one ProcessState, on the heap,
// which each module finds at its first use (process.h, module_slot.h). Which modules share one, and when a change of
// what is here has to keep new ones from old ones, says module_layout.h.
//
// What is here, and why:
//   - records of threads, with the key by which they come back (thread_registry.h): RcuSynchronize() waits for all;
//   - the last id of an object with values per thread: caches compare nothing else (per_thread.h);
//   - the origin of identities: drawn again in the child of a fork, where the parent goes on from the same
//     (identity.h); and the number of streams so far (stream_incarnation.h);
//   - the numbers that tell queues and topics of one seed and name apart, wherever they are made (identity.h);
//   - whether the kernel makes heavy fences: the light ones of one module pair with the heavy ones of another;
//   - the clock's calibration: two would differ by all that the wall clock was set meanwhile (tsc_clock.h);
//   - what serialises changes of dead-letter links, as these lead from queue to queue (redrive_attributes.h);
//   - pools of huge pages, and the bytes that are kept warm: a bound for the process (huge_page_pool.h,
//     segment_pool.h);
//   - the parser of JSON: the module that publishes need not be the one that subscribed (json_hook.h).
//
// What may be once per module: thread_local copies of the above (a thread's record, its fit of the clock, the object
// of a type that it used last), which hold what is one in the process, or are checked against an id that is;
// SystemClock, which has no state, and of which another module's costs no more than a clock of the user's; hash
// algorithms and types of fields, of which only the content matters.

#ifndef DECOUPLE_INTERNAL_BASE_PROCESS_STATE_H_
#define DECOUPLE_INTERNAL_BASE_PROCESS_STATE_H_

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/module_layout.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/thread_record.h"
#include "decouple/version.h"

namespace decouple::inline v0_1::internal {

class IdentityNumbers;
class JsonDocument;
class DECOUPLE_INTERNAL_LAYOUT_TAG TscClock;
struct HugePagePools;

struct ProcessState {
  ProcessState() = default;
  ProcessState(const ProcessState&) = delete;
  ProcessState& operator=(const ProcessState&) = delete;

  // The object at `place`, which is one of the fields below; made by its default constructor, once.
  template <typename Object>
  Object& GetOrCreate(std::atomic<Object*>& place) ABSL_LOCKS_EXCLUDED(creating) {
    // Acquire: pairs with the release below, of what the constructor wrote.
    if (Object* const object = place.load(std::memory_order_acquire)) [[likely]]
      return *object;
    const MutexLock lock(creating);
    Object* object = place.load(std::memory_order_relaxed);  // relaxed: stored under the mutex
    if (object == nullptr) {
      object = new Object;
      place.store(object, std::memory_order_release);
    }
    return *object;
  }

  // Has the mutex held while the process forks. Requires: it is never destroyed, and a leaf of the lock order but for
  // records_mutex.
  void HoldDuringFork(Mutex& mutex) ABSL_LOCKS_EXCLUDED(records_mutex) {
    const MutexLock lock(records_mutex);
    held_during_fork = new HeldDuringFork{mutex, held_during_fork};
  }

  // Constant once modules find it.
  bool has_membarrier = false;
  bool has_thread_key = false;  // else a thread's record comes back a little later (ThreadRegistry::TakeLost)
  pthread_key_t thread_key{};   // of the thread's record

  // Relaxed, all of them: each is a number that has to be one for all, and publishes nothing.
  std::atomic<std::uint64_t> last_owner_id{0};
  std::atomic<std::uint64_t> identity_origin{0};
  std::atomic<std::uint64_t> identities{0};
  std::atomic<std::uint64_t> streams{0};
  std::atomic<std::uint32_t> forks{0};  // between the process that made this and the one that reads it
  std::atomic<std::int64_t> warm_bytes{0};

  Mutex linking;   // changes of dead-letter links
  Mutex creating;  // see GetOrCreate()
  std::atomic<TscClock*> tsc_clock{nullptr};
  std::atomic<HugePagePools*> huge_page_pools{nullptr};
  std::atomic<IdentityNumbers*> identity_numbers{nullptr};
  std::atomic<std::unique_ptr<const JsonDocument> (*)(std::string_view)> json_hook{nullptr};

  Mutex records_mutex;
  // The list of all records. Stored under the mutex; read without it, so the store is a release.
  std::atomic<ThreadRecord*> first_record{nullptr};
  // Those that will be free once their threads are gone, the first to end first.
  ThreadRecord* first_ended ABSL_GUARDED_BY(records_mutex) = nullptr;
  ThreadRecord* last_ended ABSL_GUARDED_BY(records_mutex) = nullptr;
  ThreadRecord* next_to_check ABSL_GUARDED_BY(records_mutex) = nullptr;  // see ThreadRegistry::TakeLost()

  struct HeldDuringFork {
    Mutex& mutex;
    HeldDuringFork* next;
  };
  HeldDuringFork* held_during_fork ABSL_GUARDED_BY(records_mutex) = nullptr;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_PROCESS_STATE_H_
