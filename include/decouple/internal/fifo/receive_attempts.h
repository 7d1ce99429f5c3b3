// Receives of a FIFO queue that can be repeated: a caller who did not get the answer asks again with the same attempt
// id, and gets the same messages.

#ifndef DECOUPLE_INTERNAL_FIFO_RECEIVE_ATTEMPTS_H_
#define DECOUPLE_INTERNAL_FIFO_RECEIVE_ATTEMPTS_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "decouple/internal/base/rehash.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/receipts.h"
#include "decouple/message.h"

namespace decouple::internal {

// All members take one mutex. Costs O(messages of the attempt), and drops a few old attempts at each call.
template <typename T>
class ReceiveAttempts {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;
  using Receipts = internal::Receipts<T>;

  static constexpr std::int64_t kInterval = 300'000'000'000;  // five minutes, SQS

  ReceiveAttempts(Store& store, Receipts& receipts) : store_(store), receipts_(receipts) {}

  // Gives what the attempt of that id gave, in flight anew until `visible_at`, by sink(message, word). False:
  // there was none in the last five minutes, or one of its messages has changed its state since; then nothing happens.
  template <typename Sink>
  bool Repeat(LocalState& local, std::string_view id, std::int64_t now, std::int64_t visible_at, Sink sink) {
    const std::lock_guard lock(mutex_);  // also so that no two repeat one attempt and wait for each other
    DropOld(now);
    const auto found = attempts_.find(std::string(id));
    if (found == attempts_.end() || now - found->second.made_at >= kInterval) return false;
    Attempt& attempt = found->second;
    absl::InlinedVector<Owned, 10> owned;
    for (const ReceiptHandle& receipt : attempt.receipts) {
      Owned one;
      if (receipts_.Find(receipt, one.message, one.before) != Receipts::Found::kOwned) break;
      owned.push_back(one);
      if (!IsUnchanged(one, attempt, now)) break;
    }
    const bool all = owned.size() == attempt.receipts.size() && IsUnchanged(owned.back(), attempt, now);
    for (const Owned& one : owned) {
      if (all) {
        Restart(local, one, visible_at);
        sink(one.message, one.before);
      } else {
        store_.Restore(local, one.message, one.before);
      }
    }
    if (all) attempt.visible_at = visible_at;
    return all;
  }

  // What an attempt gave: deliveries with receipts, at least one.
  template <typename Deliveries>
  void Remember(std::string_view id, std::int64_t now, const Deliveries& deliveries) {
    const std::lock_guard lock(mutex_);
    Attempt& attempt = attempts_[std::string(id)];
    attempt.made_at = now;
    attempt.visible_at = absl::ToUnixNanos(deliveries.front().visible_at());
    attempt.receipts.clear();
    for (const auto& delivery : deliveries) attempt.receipts.push_back(delivery.receipt());
    redelivery_lane_.emplace_back(now, id);
  }

 private:
  struct Attempt {
    std::int64_t made_at = 0;
    std::int64_t visible_at = 0;
    absl::InlinedVector<ReceiptHandle, 10> receipts;
  };

  struct Owned {
    Message message;
    SlotState before;
  };

  static constexpr int kDropsPerCall = 2;

  // Still in flight, and as the attempt left it.
  bool IsUnchanged(const Owned& one, const Attempt& attempt, std::int64_t now) const {
    const std::int64_t visible_at = one.message.times().visible_at();
    return visible_at == attempt.visible_at && visible_at > now && store_.RetentionEnd(*one.message.slot) > now;
  }

  void Restart(LocalState& local, const Owned& one, std::int64_t visible_at) {
    one.message.times().set_visible_at(visible_at);
    store_.LowerDeadline(*one.message.segment, std::min(visible_at, store_.RetentionEnd(*one.message.slot)));
    local.counts.held_again.Add(1);
    store_.UnlockReferenced(*one.message.slot, one.before);
  }

  void DropOld(std::int64_t now) {
    for (int most = kDropsPerCall;
         most > 0 && !redelivery_lane_.empty() && now - redelivery_lane_.front().first >= kInterval; --most) {
      const auto found = attempts_.find(redelivery_lane_.front().second);
      if (found != attempts_.end() && found->second.made_at == redelivery_lane_.front().first) attempts_.erase(found);
      redelivery_lane_.pop_front();
    }
    RehashIfSparse(attempts_);
  }

  Store& store_;
  Receipts& receipts_;
  std::mutex mutex_;
  absl::flat_hash_map<std::string, Attempt> attempts_;
  std::deque<std::pair<std::int64_t, std::string>> redelivery_lane_;  // of attempts, in the order of time
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_FIFO_RECEIVE_ATTEMPTS_H_
