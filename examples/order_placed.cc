// A shop publishes each order that is placed, and every department that needs it gets it, unknown to the shop:
//
//   shop ─▶ topic ─┬─ shipping   a queue that a thread drains: every order
//                  ├─ e-mail     a function: every order; some addresses are invalid, and the mail server is sometimes
//                  │             busy
//                  └─ fraud      a queue with a filter for expensive orders, subscribed while the shop is running
//
// An order whose e-mail can never be sent goes to e-mail's dead-letter queue, without an effect on shipping and fraud;
// one that cannot be sent at present is tried again. In the end every order is accounted for.

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "decouple/body_fields.h"
#include "decouple/filter_expression.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"

namespace {

constexpr int kOrders = 10'000;
constexpr int kFraudJoinsAt = 4'000;
constexpr int kExpensive = 900;

struct Order {
  int number = 0;
  int price = 0;
  std::string email;
};

constexpr auto DecoupleFields(const Order*) {
  return decouple::Fields(decouple::Field("number", &Order::number), decouple::Field("price", &Order::price));
}

using Orders = decouple::StandardQueue<Order>;

Order OrderOf(int number) {
  const std::string customer = absl::StrCat("customer-", number % 200);
  return {number, number * 37 % 1'000, number % 97 == 0 ? customer : customer + "@example.com"};
}

// Sends one e-mail an order; for some orders it is busy at the first attempt.
class MailServer {
 public:
  absl::Status Send(const Order& order, int attempt) {
    if (order.email.find('@') == std::string::npos) return absl::InvalidArgumentError("that is no address");
    if (order.number % 50 == 0 && attempt == 1) return absl::UnavailableError("busy");
    mailed_.insert(order.number);
    return absl::OkStatus();
  }
  std::size_t mailed() const { return mailed_.size(); }

 private:
  std::set<int> mailed_;  // needs no mutex: a subscription's function is called by one thread at a time
};

// Receives until the queue is closed and drained, and returns the numbers of the orders.
std::set<int> Drain(Orders queue) {
  std::set<int> numbers;
  for (;;) {
    auto received = queue.Receive({.max_messages = 10, .wait = absl::Seconds(1)});
    if (!received.ok()) return numbers;
    for (auto& delivery : *received) {
      numbers.insert(delivery.body().number);
      if (!delivery.Delete().ok()) std::abort();
    }
  }
}

}  // namespace

int main() {
  auto placed = decouple::Topic<Order>::Create({.name = "order-placed"}).value();
  Orders shipping;
  Orders fraud;
  Orders undeliverable;
  MailServer mail;

  auto to_shipping = placed.Subscribe(shipping, {.name = "shipping"}).value();
  auto to_mail =
      placed
          .Subscribe(
              [&](const decouple::Notification<Order>& order) { return mail.Send(order.body(), order.attempt()); },
              {.delivery = decouple::DeliveryPolicy{.min_delay = absl::Seconds(1), .immediate_retries = 2},
               .dead_letters = undeliverable,
               .name = "e-mail"})
          .value();
  std::thread mailer([&] { placed.RunDeliveries(); });
  std::set<int> shipped;
  std::thread shipper([&] { shipped = Drain(shipping); });

  int expensive = 0;
  int without_address = 0;
  for (int number = 0; number < kOrders; ++number) {
    if (number == kFraudJoinsAt) {
      placed.Subscribe(fraud, {.filter = decouple::Where(&Order::price) >= kExpensive, .name = "fraud"})->Detach();
    }
    Order order = OrderOf(number);
    if (number >= kFraudJoinsAt && order.price >= kExpensive) ++expensive;
    if (order.email.find('@') == std::string::npos) ++without_address;
    if (!placed.Publish(std::move(order), {.subject = "order placed"}).ok()) std::abort();
  }
  placed.Close();  // deliveries that are waiting for a retry are still made
  shipping.Close();
  fraud.Close();
  mailer.join();
  shipper.join();
  const std::size_t checked = Drain(fraud).size();
  undeliverable.Close();
  const std::size_t dead = Drain(undeliverable).size();

  const auto statistics = to_mail.Statistics();
  absl::PrintF("orders placed   %d\n", kOrders);
  absl::PrintF("shipped         %d\n", shipped.size());
  absl::PrintF("checked         %d of %d expensive ones since fraud was subscribed\n", checked, expensive);
  absl::PrintF("mailed          %d, %d of them at the second attempt\n", mail.mailed(),
               statistics.number_of_notifications_retried);
  absl::PrintF("undeliverable   %d of %d without an address, in the dead-letter queue\n", dead, without_address);
  const bool complete = shipped.size() == kOrders && checked == static_cast<std::size_t>(expensive) &&
                        mail.mailed() + dead == kOrders && dead == static_cast<std::size_t>(without_address);
  absl::PrintF("%s\n", complete ? "every order is accounted for" : "ORDERS ARE MISSING");
  return complete ? 0 : 1;
}
