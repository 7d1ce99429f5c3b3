// All that a queue consists of, as plain fields: what each operation (sending, receiving, sweeping timeouts, …) works
// on. There is no logic here. An operation is a class of its own that refers to these fields; it is made where it is
// needed.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_STATE_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_STATE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "decouple/clock.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/access_policy.h"
#include "decouple/internal/queue/capacity_gate.h"
#include "decouple/internal/queue/in_flight_limit.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/queue/queue_identity.h"
#include "decouple/internal/queue/redrive/dead_letter_links.h"
#include "decouple/internal/queue/request_checks.h"
#include "decouple/limits.h"
#include "decouple/queue_kind.h"

namespace decouple::inline v0_1::internal {

class QueueBase;

// How far the timeout sweep is (timeout_sweep.h).
struct SweepProgress {
  std::atomic<bool> is_stepping{false};  // a thread runs a step, and all that is not atomic here belongs to it
  std::uint32_t next_chunk = 0;          // the chunk to look at next: the last step found something there
  // Whether the sweep has revoked the delete bias. Relaxed: other threads only look whether there is something to
  // restore.
  std::atomic<bool> has_revoked_bias{false};
  std::int64_t revoked_bias_at = 0;
};

struct QueueState {
  static constexpr std::int64_t kNever = -1;

  QueueState(QueueBase& the_queue, QueueKind kind, const BodyType& body_type, const Limits& limits, std::string name,
             std::uint64_t seed, Clock* clock_or_null)
      : queue(the_queue),
        identity(kind, std::move(name), seed),
        clock(clock_or_null != nullptr ? *clock_or_null : SystemClock::Instance()),
        config(limits),
        store(body_type, ClockOrNull(clock_or_null)) {
    static_assert(sizeof(abandoned) + sizeof(outstanding) <= 2 * sizeof(std::int64_t) &&
                      QueueConfig::kBytesThatCallsRead + 2 * sizeof(std::int64_t) <= kCacheLine,
                  "what calls read of the settings is one cache line");
    static_assert(alignof(MessageStore) == kCacheLine, "and the first fields of the store are another");
  }
  QueueState(const QueueState&) = delete;
  QueueState& operator=(const QueueState&) = delete;

  QueueBase& queue;  // whose fields these are
  QueueIdentity identity;
  DeadLetterLinks dead_letters;
  Clock& clock;  // side by side with the first field of the policy: a topic's delivery reads both
  AccessPolicy senders;

  // Keep together: these two and the first fields of the configuration, which calls read, fill one cache line; the
  // other fields that calls read are the first of the store. A thread that goes from queue to queue misses once for
  // each such line (exp. 23).
  alignas(kCacheLine) std::atomic<bool> abandoned{false};  // the last handle is gone (queue_base.h)
  // How many deliveries are left, once the queue is abandoned; negative until they have been summed up.
  std::atomic<std::int64_t> outstanding{0};
  QueueConfig config;
  const RequestChecks checks{config};

  MessageStore store;
  InFlightLimit limit{store};
  CapacityGate gate{identity, store};
  SweepProgress sweep;

  std::atomic<std::int64_t> max_in_flight{0};  // relaxed: for the text of an error, and to be read by users
  // Written by SetAttributes() under `setting`. Relaxed: they publish nothing.
  std::atomic<std::int64_t> created_at{kNever};
  std::atomic<std::int64_t> last_modified_at{kNever};
  // Held while attributes that belong together are checked, set or read; no user code runs under it.
  mutable Mutex setting;
  Mutex purging;
  std::int64_t purged_at ABSL_GUARDED_BY(purging) = kNever;
  // Whether a thread removes the messages of the deleted queue. Relaxed: it keeps others from doing the same, among
  // them the destructor of a body that is being removed, and publishes nothing.
  std::atomic<bool> is_removing{false};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_STATE_H_
