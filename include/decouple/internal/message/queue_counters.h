// What a queue counts, each thread for itself. All counts only grow, so they can be summed at any time; what is in the
// queue now follows from differences of sums.
//
// A sum is exact when nothing runs concurrently. Otherwise it is one that was right a moment ago or will be in a
// moment, and differences that come out negative count as 0.

#ifndef DECOUPLE_INTERNAL_MESSAGE_QUEUE_COUNTERS_H_
#define DECOUPLE_INTERNAL_MESSAGE_QUEUE_COUNTERS_H_

#include <algorithm>
#include <cstdint>

#include "decouple/internal/base/single_writer_counter.h"

namespace decouple::inline v0_1::internal {

// Counter: SingleWriterCounter in a thread's own counts, std::uint64_t in a sum.
template <typename Counter>
struct QueueCounts {
  Counter sent{};  // counted when the ticket is taken
  Counter sent_bytes{};
  Counter delayed{};  // of these, the ones sent with a delay
  Counter delay_ended{};

  Counter received{};          // deliveries made
  Counter received_to_move{};  // of these, by move tasks
  Counter not_leased{};        // slots claimed that gave no delivery: expired, taken by another thread, …
  Counter empty_receives{};
  // References to a body beyond those of `received`: a receive attempt repeated, a body shared with another queue.
  Counter references_added{};
  Counter references_released{};  // references released, of deliveries and others
  Counter returned{};             // from in flight to visible: timed out or released
  Counter hidden_again{};         // from visible to in flight without a receive

  // The next five are the ways in which a message leaves the queue.
  Counter deleted{};
  Counter expired{};
  Counter purged{};
  Counter redriven{};  // to the dead-letter queue
  Counter moved{};     // by a move task
  Counter removed_bytes{};
  // Of the five, the messages that were not in flight. This is counted before any of the five and read after them, so
  // that no message seems to have left from in flight that did not.
  Counter removed_waiting{};
  Counter removed_delayed{};  // of these, the ones whose delay had not ended

  Counter taken_over{};  // of `sent`, the messages that came from another queue
  Counter taken_over_bytes{};
  Counter failed_to_redrive{};  // attempts to move a message that the dead-letter queue did not take
};

using LocalQueueCounts = QueueCounts<SingleWriterCounter>;

struct QueueSums : QueueCounts<std::uint64_t> {
  void Add(const LocalQueueCounts& local) {
    sent += local.sent.value();
    sent_bytes += local.sent_bytes.value();
    delayed += local.delayed.value();
    delay_ended += local.delay_ended.value();
    received += local.received.value();
    received_to_move += local.received_to_move.value();
    not_leased += local.not_leased.value();
    empty_receives += local.empty_receives.value();
    references_added += local.references_added.value();
    references_released += local.references_released.value();
    returned += local.returned.value();
    hidden_again += local.hidden_again.value();
    deleted += local.deleted.value();
    expired += local.expired.value();
    purged += local.purged.value();
    redriven += local.redriven.value();
    moved += local.moved.value();
    removed_bytes += local.removed_bytes.value();
    removed_waiting += local.removed_waiting.value();
    removed_delayed += local.removed_delayed.value();
    taken_over += local.taken_over.value();
    taken_over_bytes += local.taken_over_bytes.value();
    failed_to_redrive += local.failed_to_redrive.value();
  }

  std::uint64_t removed() const { return deleted + expired + purged + redriven + moved; }
  std::uint64_t removed_in_flight() const { return removed() - removed_waiting; }
  std::int64_t messages() const { return AtLeastZero(sent - removed()); }
  std::int64_t bytes() const { return AtLeastZero(sent_bytes - removed_bytes); }
  std::int64_t in_flight() const { return AtLeastZero(received + hidden_again - removed_in_flight() - returned); }
  std::int64_t waiting_for_delay() const { return AtLeastZero(delayed - delay_ended - removed_delayed); }
  std::int64_t visible() const { return std::max<std::int64_t>(0, messages() - in_flight() - waiting_for_delay()); }
  std::int64_t deliveries() const { return AtLeastZero(received + references_added - references_released); }

 private:
  static std::int64_t AtLeastZero(std::uint64_t difference) {
    return std::max<std::int64_t>(0, static_cast<std::int64_t>(difference));
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_QUEUE_COUNTERS_H_
