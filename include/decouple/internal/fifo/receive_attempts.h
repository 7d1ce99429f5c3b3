// Receives of a FIFO queue that can be repeated: a caller that did not get the answer receives again with the same
// attempt id, and gets the same messages.

#ifndef DECOUPLE_INTERNAL_FIFO_RECEIVE_ATTEMPTS_H_
#define DECOUPLE_INTERNAL_FIFO_RECEIVE_ATTEMPTS_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/rehash.h"
#include "decouple/internal/fifo/fifo_kind.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/message_names.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/receipts.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/message.h"

namespace decouple::inline v0_1::internal {

// Both Repeat() and Remember() take one mutex. They cost O(messages of the attempt); Repeat() also drops a few old
// attempts.
class ReceiveAttempts {
 public:
  static constexpr std::int64_t kInterval = 300'000'000'000;  // five minutes, SQS

  explicit ReceiveAttempts(QueueState& queue) : queue_(queue), store_(queue.store) {}

  // Repeats the attempt with that id: its messages are in flight until `visible_at`, and are added to `received`.
  // Returns false, and does nothing, if there was no such attempt in the last five minutes, or if one of its messages
  // has changed its state since.
  bool Repeat(LocalQueueState& local, std::string_view id, std::int64_t now, std::int64_t visible_at,
              ReceivedMessages& received) ABSL_LOCKS_EXCLUDED(mutex_) {
    // Held to the end, so that no two calls lock slots of one attempt and wait for each other.
    const MutexLock lock(mutex_);
    DropOld(now);
    const auto found = attempts_.find(std::string(id));
    if (found == attempts_.end() || now - found->second.made_at >= kInterval) return false;
    Attempt& attempt = found->second;
    absl::InlinedVector<Locked, 10> locked;
    for (const ReceiptHandle& receipt : attempt.receipts) {
      Locked one;
      if (Receipts<FifoKind>(queue_).Find(receipt, one.message, one.before) != Found::kLocked) break;
      locked.push_back(one);
      if (!IsUnchanged(one, attempt, now)) break;
    }
    const bool all = locked.size() == attempt.receipts.size() && IsUnchanged(locked.back(), attempt, now);
    for (const Locked& one : locked) {
      if (all) {
        Restart(local, one, visible_at);
        received.push_back({one.message, one.before});
      } else {
        MessageState<FifoOrder>(store_).Restore(local, one.message, one.before);
      }
    }
    if (all) attempt.visible_at = visible_at;
    return all;
  }

  // Remembers an attempt by the messages that it returned, at least one.
  void Remember(std::string_view id, std::int64_t now, const ReceivedMessages& received) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    Attempt& attempt = attempts_[std::string(id)];
    attempt.made_at = now;
    attempt.visible_at = received.front().message.times().visible_at();
    attempt.receipts.clear();
    for (const ReceivedMessage& one : received) {
      attempt.receipts.push_back(ReceiptOf(queue_.identity, one.message, one.word.receive_count()));
    }
    by_time_.emplace_back(now, id);
  }

 private:
  struct Attempt {
    std::int64_t made_at = 0;
    std::int64_t visible_at = 0;
    absl::InlinedVector<ReceiptHandle, 10> receipts;
  };

  // A message whose slot is locked, and the word that it had before.
  struct Locked {
    SlotRef message;
    SlotState before;
  };

  static constexpr int kDropsPerCall = 2;

  // Whether the message is still in flight, and as the attempt left it.
  bool IsUnchanged(const Locked& one, const Attempt& attempt, std::int64_t now) const {
    const std::int64_t visible_at = one.message.times().visible_at();
    return visible_at == attempt.visible_at && visible_at > now && store_.RetentionEnd(*one.message.slot) > now;
  }

  void Restart(LocalQueueState& local, const Locked& one, std::int64_t visible_at) {
    one.message.times().set_visible_at(visible_at);
    store_.LowerDeadline(*one.message.segment, std::min(visible_at, store_.RetentionEnd(*one.message.slot)));
    local.counts.references_added.Add(1);
    Unlock(*one.message.slot, store_.AddReference(*one.message.slot, one.before));
  }

  void DropOld(std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (int most = kDropsPerCall; most > 0 && !by_time_.empty() && now - by_time_.front().first >= kInterval; --most) {
      const auto found = attempts_.find(by_time_.front().second);
      if (found != attempts_.end() && found->second.made_at == by_time_.front().first) attempts_.erase(found);
      by_time_.pop_front();
    }
    RehashIfSparse(attempts_);
  }

  QueueState& queue_;
  MessageStore& store_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, Attempt> attempts_ ABSL_GUARDED_BY(mutex_);  // by id
  // When each attempt was made, and its id, in the order of time; an id that was used again is in it more than once.
  std::deque<std::pair<std::int64_t, std::string>> by_time_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_RECEIVE_ATTEMPTS_H_
