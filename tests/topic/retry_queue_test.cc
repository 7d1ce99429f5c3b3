// The deliveries of a subscription that wait to be attempted again.

#include "decouple/internal/topic/retry_queue.h"

#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/internal/base/time_math.h"

namespace decouple::testing {
namespace {

using internal::OrderedRetryQueue;
using internal::PendingDelivery;
using internal::RetryQueue;
using internal::UnorderedRetryQueue;

// A delivery that is known by its number of attempts.
PendingDelivery Numbered(int number) {
  PendingDelivery delivery;
  delivery.attempts = number;
  return delivery;
}

std::vector<int> TakeNumbers(RetryQueue& queue) {
  std::vector<int> numbers;
  for (const PendingDelivery& delivery : queue.TakeAll()) numbers.push_back(delivery.attempts);
  return numbers;
}

TEST_CASE("without order the delivery that is due first is next, and equal ones as they came") {
  UnorderedRetryQueue queue;
  CHECK(queue.NextDue() == internal::kForever);
  queue.Add(Numbered(1), 20);
  queue.Add(Numbered(2), 10);
  queue.Add(Numbered(3), 20);
  queue.Add(Numbered(4), 10);
  CHECK(queue.size() == 4);
  CHECK(queue.NextDue() == 10);
  CHECK(TakeNumbers(queue) == std::vector{2, 4, 1, 3});
  CHECK(queue.NextDue() == internal::kForever);
}

TEST_CASE("without order a delivery that is put back goes behind those that are due at the same time") {
  UnorderedRetryQueue queue;
  queue.Add(Numbered(1), 10);
  queue.Add(Numbered(2), 10);
  queue.PutBack(queue.Take(), 10);
  CHECK(TakeNumbers(queue) == std::vector{2, 1});
}

TEST_CASE("in order nothing overtakes the first, whenever it is due") {
  OrderedRetryQueue queue;
  queue.Add(Numbered(1), 20);
  queue.Add(Numbered(2), 10);
  CHECK(queue.NextDue() == 20);
  PendingDelivery first = queue.Take();
  CHECK(first.attempts == 1);
  CHECK(queue.NextDue() == 10);
  queue.PutBack(std::move(first), 30);  // it is the first still
  CHECK(queue.NextDue() == 30);
  CHECK(TakeNumbers(queue) == std::vector{1, 2});
}

TEST_CASE("replays and dead letters are counted while they are here") {
  OrderedRetryQueue ordered;
  UnorderedRetryQueue unordered;
  for (RetryQueue* const queue : std::initializer_list<RetryQueue*>{&ordered, &unordered}) {
    CHECK(queue->is_ordered() == (queue == &ordered));
    PendingDelivery replayed = Numbered(1);
    replayed.is_replayed = true;
    PendingDelivery dead = Numbered(2);
    dead.is_dead_letter = true;
    queue->Add(std::move(replayed), 1);
    queue->Add(std::move(dead), 2);
    queue->Add(Numbered(3), 3);
    CHECK(queue->replayed() == 1);
    CHECK(queue->dead_letters() == 1);
    PendingDelivery taken = queue->Take();
    CHECK(queue->replayed() == 0);
    queue->PutBack(std::move(taken), 1);
    CHECK(queue->replayed() == 1);
    queue->TakeAll();
    CHECK(queue->replayed() == 0);
    CHECK(queue->dead_letters() == 0);
  }
}

}  // namespace
}  // namespace decouple::testing
