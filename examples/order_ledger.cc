// Orders of many customers are booked by workers that crash. The orders of one customer must be booked in their order,
// each exactly once:
//
// - A FIFO queue keeps the order: the customer is the message group.
// - A sender that is not sure whether a send succeeded sends again. The order's number is the deduplication id, so the
//   queue takes it once.
// - When a worker crashes between booking an order and deleting its message, the message is received again. The ledger
//   keeps the sequence number that it has booked last for each customer, and so recognizes it.
// - An order that cannot be booked goes to a dead-letter queue after ten receives and does not hold up the others. When
//   its cause has been removed (a currency was missing), a move task sends it back.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "decouple/fifo_queue.h"

namespace {

constexpr int kCustomers = 200;
constexpr int kOrders = 250;  // of each customer
constexpr int kWorkers = 4;
constexpr absl::Duration kVisibilityTimeout = absl::Milliseconds(200);

struct Order {
  int customer = 0;
  int number = 0;  // among this customer's orders, from 0
  std::int64_t cents = 0;
  std::string currency;
};

using Orders = decouple::FifoQueue<Order>;

// The books. They outlive all workers.
class Ledger {
 public:
  // False: the currency is not known yet. An order that was booked before is not booked again.
  bool Book(const Order& order, decouple::SequenceNumber sequence_number) {
    const std::lock_guard lock(mutex_);
    if (!currencies_.contains(order.currency)) return false;
    Account& account = accounts_[static_cast<std::size_t>(order.customer)];
    if (sequence_number <= account.last_booked) {
      ++seen_again_;
      return true;
    }
    account.last_booked = sequence_number;
    account.cents += order.cents;
    account.booked.push_back(order.number);
    return true;
  }

  void Introduce(const std::string& currency) {
    const std::lock_guard lock(mutex_);
    currencies_.insert(currency);
  }

  struct Account {
    decouple::SequenceNumber last_booked;
    std::int64_t cents = 0;
    std::vector<int> booked;  // the numbers of the orders, in the order of booking
  };

  const auto& accounts() const { return accounts_; }
  int seen_again() const { return seen_again_; }

 private:
  std::mutex mutex_;
  std::set<std::string> currencies_ = {"EUR", "USD"};
  std::array<Account, kCustomers> accounts_;
  int seen_again_ = 0;
};

std::atomic<int> crashes{0};

// Books until the queue is closed and drained. Returns true if it crashed before.
bool Work(Orders queue, Ledger& ledger, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (;;) {
    auto received = queue.Receive({.max_messages = 10, .wait = absl::Seconds(1)});
    if (!received.ok()) return false;
    std::set<std::string> held_up;  // customers with an order that could not be booked: their next ones must wait
    for (auto& delivery : *received) {
      const std::string customer(delivery.group());
      if (held_up.contains(customer)) continue;
      const bool crashes_before = random() % 2'000 == 0;
      const bool crashes_after = random() % 2'000 == 0;
      if (!crashes_before && ledger.Book(delivery.body(), *delivery.sequence_number())) {
        // Fails after the visibility timeout: then another worker receives the order again, and finds it booked.
        if (!crashes_after) delivery.Delete().IgnoreError();
      } else {
        held_up.insert(customer);
      }
      if (crashes_before || crashes_after) {
        ++crashes;
        return true;
      }
    }
    // Releases what is held up at once, the last one first, so that no worker receives one before those in front of it.
    for (std::size_t i = received->size(); i > 0; --i) {
      auto& delivery = (*received)[i - 1];
      if (held_up.contains(std::string(delivery.group()))) delivery.Release().IgnoreError();
    }
  }
}

// Runs one worker after another: whenever one crashes, the next.
void Supervise(Orders queue, Ledger& ledger, std::uint64_t seed) {
  bool crashed = true;
  for (; crashed; ++seed) {
    std::thread worker([&] { crashed = Work(queue, ledger, seed); });
    worker.join();
  }
}

// Sends each of the customer's orders at least once, and some of them twice.
void Place(Orders queue, int customer, std::int64_t& expected_cents) {
  std::mt19937_64 random(static_cast<std::uint64_t>(customer));
  for (int number = 0; number < kOrders; ++number) {
    Order order{customer, number, static_cast<std::int64_t>(random() % 20'000) - 10'000,
                number % 3 == 0 ? "USD" : "EUR"};
    if (customer % 50 == 7 && number == kOrders - 1) order.currency = "NOK";  // not known yet
    expected_cents += order.cents;
    const std::string customer_name = absl::StrCat("customer-", customer);
    for (int sends = random() % 10 == 0 ? 2 : 1; sends > 0; --sends) {
      const auto sent =
          queue.Send(order, {.group = customer_name, .deduplication_id = absl::StrCat(customer_name, "/", number)});
      if (!sent.ok()) std::abort();
    }
  }
}

bool IsInOrder(const std::vector<int>& booked) {
  for (std::size_t i = 0; i < booked.size(); ++i) {
    if (booked[i] != static_cast<int>(i)) return false;
  }
  return booked.size() == kOrders;
}

}  // namespace

int main() {
  auto failed = Orders::Create({.name = "failed"}).value();
  auto orders = Orders::Create({.visibility_timeout = kVisibilityTimeout,
                                .redrive = decouple::Redrive{.to = failed, .max_receives = 10},
                                .name = "orders"})
                    .value();
  Ledger ledger;
  std::vector<std::thread> supervisors;
  for (std::uint64_t i = 0; i < kWorkers; ++i) {
    supervisors.emplace_back(Supervise, orders, std::ref(ledger), i * 1'000'000);
  }

  std::array<std::int64_t, kCustomers> expected_cents{};
  std::vector<std::thread> senders;
  for (int half = 0; half < 2; ++half) {
    senders.emplace_back([&, half] {
      for (int customer = half; customer < kCustomers; customer += 2) {
        Place(orders, customer, expected_cents[static_cast<std::size_t>(customer)]);
      }
    });
  }
  for (std::thread& sender : senders) sender.join();

  // Waits until only the dead letters are left, then introduces the currency that they lack, and moves them back.
  while (orders.Counts().total() > 0) absl::SleepFor(absl::Milliseconds(10));
  const auto dead_letters = failed.Counts().ready;
  ledger.Introduce("NOK");
  auto task = failed.StartMessageMoveTask().value();
  const bool moved = task.Run() == decouple::MessageMoveStatus::kCompleted;
  while (orders.Counts().total() > 0) absl::SleepFor(absl::Milliseconds(10));
  orders.Close();
  for (std::thread& supervisor : supervisors) supervisor.join();

  int right = 0;
  for (int customer = 0; customer < kCustomers; ++customer) {
    const auto& account = ledger.accounts()[static_cast<std::size_t>(customer)];
    const bool exact = account.cents == expected_cents[static_cast<std::size_t>(customer)];
    right += exact && IsInOrder(account.booked) ? 1 : 0;
  }
  const auto statistics = orders.Statistics();
  absl::PrintF("customers        %d\n", kCustomers);
  absl::PrintF("orders sent      %d, each once though some were sent twice\n", statistics.number_of_messages_sent);
  absl::PrintF("crashes          %d\n", crashes.load());
  absl::PrintF("received again   %d\n", statistics.number_of_messages_received - statistics.number_of_messages_deleted);
  absl::PrintF("of these booked  %d already\n", ledger.seen_again());
  absl::PrintF("dead letters     %d, moved back %d\n", dead_letters, task.moved());
  const bool all_right = right == kCustomers && moved && dead_letters == task.moved() &&
                         statistics.number_of_messages_sent == std::uint64_t{kCustomers} * kOrders;
  absl::PrintF("checked          %s\n",
               all_right ? "each customer's orders are booked in order, each exactly once" : "SOME ACCOUNTS ARE WRONG");
  return all_right ? 0 : 1;
}
