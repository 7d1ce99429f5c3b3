// The deliveries of one subscription that are pending: they wait for a retry, for a function's turn, or for the end of
// a pause.
//
// In a standard topic deliveries do not wait for each other: the one that is due first is next. In a FIFO topic they
// keep their order: nothing overtakes the first, and the others wait until it is done.

#ifndef DECOUPLE_INTERNAL_TOPIC_RETRY_QUEUE_H_
#define DECOUPLE_INTERNAL_TOPIC_RETRY_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::inline v0_1::internal {

struct PendingDelivery {
  BodyReference body;
  int attempts = 0;  // made so far
  bool is_replayed = false;
  bool is_dead_letter = false;  // the endpoint has failed for good: it goes to the dead-letter queue
};

// Not thread-safe: the subscription's mutex guards it.
class RetryQueue {
 public:
  virtual ~RetryQueue() = default;

  // Whether deliveries keep their order.
  virtual bool is_ordered() const = 0;
  // When the next delivery is due; kForever if there is none.
  virtual std::int64_t NextDue() const = 0;
  virtual std::size_t size() const = 0;

  // Adds a delivery that was not here before, behind all that are due at the same time or earlier.
  void Add(PendingDelivery delivery, std::int64_t due) {
    Count(delivery, 1);
    Insert(std::move(delivery), due);
  }
  // Puts the delivery that was taken last back, to be attempted again at `due`.
  void PutBack(PendingDelivery delivery, std::int64_t due) {
    Count(delivery, 1);
    InsertAgain(std::move(delivery), due);
  }
  // Removes and returns the next delivery. Requires: size() > 0.
  PendingDelivery Take() {
    PendingDelivery delivery = Remove();
    Count(delivery, -1);
    return delivery;
  }

  std::vector<PendingDelivery> TakeAll() {
    std::vector<PendingDelivery> all;
    while (size() > 0) all.push_back(Take());
    return all;
  }

  // How many of the deliveries here are of a replay, and how many wait for the dead-letter queue.
  std::int64_t replayed() const { return replayed_; }
  std::int64_t dead_letters() const { return dead_letters_; }

 private:
  virtual void Insert(PendingDelivery delivery, std::int64_t due) = 0;
  virtual void InsertAgain(PendingDelivery delivery, std::int64_t due) = 0;
  virtual PendingDelivery Remove() = 0;

  void Count(const PendingDelivery& delivery, std::int64_t n) {
    if (delivery.is_replayed) replayed_ += n;
    if (delivery.is_dead_letter) dead_letters_ += n;
    DECOUPLE_ASSERT(replayed_ >= 0 && dead_letters_ >= 0);
  }

  std::int64_t replayed_ = 0;
  std::int64_t dead_letters_ = 0;
};

// The retry queue of a standard topic's subscription. Add, PutBack and Take: O(log n).
class UnorderedRetryQueue final : public RetryQueue {
 public:
  bool is_ordered() const override { return false; }
  std::int64_t NextDue() const override { return deliveries_.empty() ? kForever : deliveries_.begin()->first; }
  std::size_t size() const override { return deliveries_.size(); }

 private:
  void Insert(PendingDelivery delivery, std::int64_t due) override { deliveries_.emplace(due, std::move(delivery)); }
  void InsertAgain(PendingDelivery delivery, std::int64_t due) override { Insert(std::move(delivery), due); }
  PendingDelivery Remove() override {
    DECOUPLE_ASSERT(!deliveries_.empty());
    return std::move(deliveries_.extract(deliveries_.begin()).mapped());
  }

  // By due time; deliveries that are due at the same time stay in the order in which they were added.
  std::multimap<std::int64_t, PendingDelivery> deliveries_;
};

// The retry queue of a FIFO topic's subscription. All members: O(1).
class OrderedRetryQueue final : public RetryQueue {
 public:
  bool is_ordered() const override { return true; }
  std::int64_t NextDue() const override { return deliveries_.empty() ? kForever : deliveries_.front().first; }
  std::size_t size() const override { return deliveries_.size(); }

 private:
  void Insert(PendingDelivery delivery, std::int64_t due) override {
    deliveries_.emplace_back(due, std::move(delivery));
  }
  void InsertAgain(PendingDelivery delivery, std::int64_t due) override {
    deliveries_.emplace_front(due, std::move(delivery));
  }
  PendingDelivery Remove() override {
    DECOUPLE_ASSERT(!deliveries_.empty());
    PendingDelivery delivery = std::move(deliveries_.front().second);
    deliveries_.pop_front();
    return delivery;
  }

  std::deque<std::pair<std::int64_t, PendingDelivery>> deliveries_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_RETRY_QUEUE_H_
