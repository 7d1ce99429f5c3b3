// What a queue counts, each thread for itself. All counts only grow, so sums of them can be taken at any time; what is
// in the queue now follows from differences.
//
// A sum is exact when nothing runs concurrently. Otherwise it is one that could have been seen a moment ago or will be
// in a moment, and differences that come out negative count as 0.

#ifndef DECOUPLE_INTERNAL_MESSAGE_QUEUE_COUNTERS_H_
#define DECOUPLE_INTERNAL_MESSAGE_QUEUE_COUNTERS_H_

#include <algorithm>
#include <cstdint>

#include "decouple/internal/base/single_writer_counter.h"

namespace decouple::internal {

// Counter: SingleWriterCounter in a thread's own, std::uint64_t in a sum.
template <typename Counter>
struct QueueCounts {
  Counter sent{};  // counted when the ticket is taken
  Counter sent_bytes{};
  Counter delayed{};  // of these, with a delay
  Counter delay_ended{};

  Counter received{};          // deliveries made
  Counter received_to_move{};  // of these, by move tasks
  Counter not_leased{};        // slots claimed that gave no delivery: expired, taken by somebody else, …
  Counter empty_receives{};
  Counter held_again{};    // further holds on a body: the same receive given again, a body shared with another queue
  Counter let_go{};        // deliveries and other holds that are gone
  Counter returned{};      // from in flight to visible: timed out or released
  Counter hidden_again{};  // from visible to in flight without a receive

  Counter deleted{};  // these five are how a message leaves
  Counter expired{};
  Counter purged{};
  Counter redriven{};  // to the dead-letter queue
  Counter moved{};     // by a move task
  Counter removed_bytes{};
  // Of these, those that were not in flight: counted before any of the five and read after them, so that nothing seems
  // to have left from in flight that did not.
  Counter removed_waiting{};
  Counter removed_delayed{};  // of these, those with a delay that had not ended

  Counter taken_over{};  // of those sent, from another queue
  Counter taken_over_bytes{};
  Counter failed_to_redrive{};  // attempts at messages that the dead-letter queue did not take
};

using LocalQueueCounts = QueueCounts<SingleWriterCounter>;

struct QueueSums : QueueCounts<std::uint64_t> {
  void Add(const LocalQueueCounts& own) {
    sent += own.sent.value();
    sent_bytes += own.sent_bytes.value();
    delayed += own.delayed.value();
    delay_ended += own.delay_ended.value();
    received += own.received.value();
    received_to_move += own.received_to_move.value();
    not_leased += own.not_leased.value();
    empty_receives += own.empty_receives.value();
    held_again += own.held_again.value();
    let_go += own.let_go.value();
    returned += own.returned.value();
    hidden_again += own.hidden_again.value();
    deleted += own.deleted.value();
    expired += own.expired.value();
    purged += own.purged.value();
    redriven += own.redriven.value();
    moved += own.moved.value();
    removed_bytes += own.removed_bytes.value();
    removed_waiting += own.removed_waiting.value();
    removed_delayed += own.removed_delayed.value();
    taken_over += own.taken_over.value();
    taken_over_bytes += own.taken_over_bytes.value();
    failed_to_redrive += own.failed_to_redrive.value();
  }

  std::uint64_t removed() const { return deleted + expired + purged + redriven + moved; }
  std::uint64_t removed_in_flight() const { return removed() - removed_waiting; }
  std::int64_t messages() const { return AtLeastZero(sent - removed()); }
  std::int64_t bytes() const { return AtLeastZero(sent_bytes - removed_bytes); }
  std::int64_t in_flight() const { return AtLeastZero(received + hidden_again - removed_in_flight() - returned); }
  std::int64_t waiting_for_delay() const { return AtLeastZero(delayed - delay_ended - removed_delayed); }
  std::int64_t visible() const { return std::max<std::int64_t>(0, messages() - in_flight() - waiting_for_delay()); }
  std::int64_t deliveries() const { return AtLeastZero(received + held_again - let_go); }

 private:
  static std::int64_t AtLeastZero(std::uint64_t difference) {
    return std::max<std::int64_t>(0, static_cast<std::int64_t>(difference));
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_QUEUE_COUNTERS_H_
