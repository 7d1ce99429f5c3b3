// The messages of one subscription that wait for a retry, for a function's turn, or for the end of a pause.
//
// Those of a standard topic do not wait for each other: whichever is due first is next. Those of a FIFO topic keep
// their order: nothing overtakes the first.

#ifndef DECOUPLE_INTERNAL_TOPIC_RETRY_QUEUE_H_
#define DECOUPLE_INTERNAL_TOPIC_RETRY_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::internal {

struct PendingDelivery {
  BodyReference body;
  int attempts = 0;  // made so far
  bool is_replayed = false;
  bool is_dead_letter = false;  // on its way to the dead-letter queue
};

// Under the subscription's mutex.
class RetryQueue {
 public:
  virtual ~RetryQueue() = default;

  // One that was not here before.
  virtual void Add(PendingDelivery message, std::int64_t due) = 0;
  // The one that was taken last, to be tried again.
  virtual void PutBack(PendingDelivery message, std::int64_t due) = 0;
  // When the next is due; kForever if there is none.
  virtual std::int64_t NextDue() const = 0;
  // The next; there must be one.
  virtual PendingDelivery Take() = 0;
  virtual std::size_t size() const = 0;

  std::vector<PendingDelivery> TakeAll() {
    std::vector<PendingDelivery> all;
    while (size() > 0) all.push_back(Take());
    return all;
  }
};

class UnorderedRetryQueue final : public RetryQueue {
 public:
  void Add(PendingDelivery message, std::int64_t due) override { messages_.emplace(due, std::move(message)); }
  void PutBack(PendingDelivery message, std::int64_t due) override { Add(std::move(message), due); }
  std::int64_t NextDue() const override { return messages_.empty() ? kForever : messages_.begin()->first; }
  PendingDelivery Take() override { return std::move(messages_.extract(messages_.begin()).mapped()); }
  std::size_t size() const override { return messages_.size(); }

 private:
  std::multimap<std::int64_t, PendingDelivery>
      messages_;  // by when they are due; of those due together the first comes first
};

class OrderedRetryQueue final : public RetryQueue {
 public:
  void Add(PendingDelivery message, std::int64_t due) override { messages_.emplace_back(due, std::move(message)); }
  void PutBack(PendingDelivery message, std::int64_t due) override { messages_.emplace_front(due, std::move(message)); }
  std::int64_t NextDue() const override { return messages_.empty() ? kForever : messages_.front().first; }
  PendingDelivery Take() override {
    PendingDelivery message = std::move(messages_.front().second);
    messages_.pop_front();
    return message;
  }
  std::size_t size() const override { return messages_.size(); }

 private:
  std::deque<std::pair<std::int64_t, PendingDelivery>> messages_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_RETRY_QUEUE_H_
