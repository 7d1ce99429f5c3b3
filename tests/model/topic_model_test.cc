// A topic against a model that is too simple to be wrong: random publishes, filters, pauses, subscriptions that begin
// and end, functions that fail now and then, and time that passes. After every step both have delivered the same.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "catch.h"
#include "decouple/filter_expression.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "seed.h"
#include "topic_testing.h"

namespace {

using decouple::Attribute;
using decouple::ManualClock;
using decouple::Notification;
using decouple::StandardQueue;
using decouple::SubscriptionReference;
using namespace decouple::testing;  // NOLINT: all of them

constexpr decouple::DeliveryPolicy kPolicy = {.min_delay = Seconds(1), .max_delay = Seconds(1), .retries = 2};

struct Call {
  int number = 0;
  int attempt = 0;
  absl::Time at;
  friend bool operator==(const Call&, const Call&) = default;
  friend bool operator<(const Call& a, const Call& b) {
    return std::tie(a.number, a.attempt, a.at) < std::tie(b.number, b.attempt, b.at);
  }
};

// What functions return.
absl::Status Answer(int number, int attempt) {
  if (number % 11 == 0) return absl::InvalidArgumentError("never");
  if (number % 7 == 0) return absl::UnavailableError("not yet");  // until no retries are left
  if (number % 3 == 0 && attempt == 1) return absl::UnavailableError("once more");
  return absl::OkStatus();
}

// One subscription, and its state in the model.
struct Subscriber {
  struct Pending {
    int number = 0;
    int attempts = 0;
    absl::Time due;
  };

  bool LetsThrough(int number) const { return number % 10 >= least; }

  bool is_function = false;
  int least = 0;  // the filter: the last digit is at least this
  bool is_paused = false;
  std::vector<Pending> pending;
  std::uint64_t delivered = 0;
  std::uint64_t failed = 0;

  // For a function, its calls; for a queue, its messages.
  std::vector<Call> expected_calls;
  std::shared_ptr<std::vector<Call>> calls = std::make_shared<std::vector<Call>>();
  std::vector<int> expected_bodies;
  std::shared_ptr<StandardQueue<int>> queue;
  std::shared_ptr<SubscriptionReference<int>> reference;
};

class TopicComparison {
 public:
  explicit TopicComparison(std::uint64_t seed)
      : random_(seed), topic_(MakeTopic<int>(clock_)), failed_(Make<StandardQueue<int>>(clock_)) {}

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      Step();
      Compare();
    }
  }

 private:
  int Roll(int sides) { return static_cast<int>(random_() % static_cast<std::uint64_t>(sides)); }

  void Step() {
    switch (Roll(12)) {
      case 0:
        if (subscribers_.size() < 8) Subscribe();
        break;
      case 1:
        if (!subscribers_.empty() && Roll(3) == 0) Unsubscribe(Pick());
        break;
      case 2:
        if (!subscribers_.empty()) ChangeFilter(subscribers_[Pick()]);
        break;
      case 3:
        if (!subscribers_.empty()) PauseOrResume(subscribers_[Pick()]);
        break;
      case 4:
        clock_.Advance(absl::Milliseconds(Roll(1'500)));
        break;
      case 5:
      case 6:
        topic_.Deliver();
        for (Subscriber& one : subscribers_) DeliverPending(one);
        break;
      default:
        Publish();
    }
  }

  std::size_t Pick() { return static_cast<std::size_t>(Roll(static_cast<int>(subscribers_.size()))); }

  void Subscribe() {
    Subscriber one;
    one.is_function = Roll(2) == 0;
    one.least = Roll(10);
    decouple::SubscribeOptions<int> options{
        .filter = Attribute("digit") >= one.least, .delivery = kPolicy, .dead_letters = failed_};
    if (one.is_function) {
      const auto function = [this, calls = one.calls](const Notification<int>& n) {
        calls->push_back({n.body(), n.attempt(), clock_.Now()});
        return Answer(n.body(), n.attempt());
      };
      one.reference = std::make_shared<SubscriptionReference<int>>(SubscribeForGood(topic_, function, options));
    } else {
      one.queue = std::make_shared<StandardQueue<int>>(Make<StandardQueue<int>>(clock_));
      one.reference = std::make_shared<SubscriptionReference<int>>(SubscribeForGood(topic_, *one.queue, options));
    }
    subscribers_.push_back(std::move(one));
  }

  void Unsubscribe(std::size_t i) {
    abandoned_ += subscribers_[i].pending.size();
    REQUIRE(subscribers_[i].reference->Unsubscribe().ok());
    subscribers_.erase(subscribers_.begin() + static_cast<std::ptrdiff_t>(i));
  }

  void ChangeFilter(Subscriber& one) {
    one.least = Roll(10);
    REQUIRE(one.reference->SetFilter(Attribute("digit") >= one.least).ok());
  }

  void PauseOrResume(Subscriber& one) {
    one.is_paused = !one.is_paused;
    if (one.is_paused) {
      one.reference->Pause();
    } else {
      one.reference->Resume();
    }
  }

  void Publish() {
    const int number = ++published_;
    REQUIRE(topic_.Publish(number, {.attributes = {{"digit", number % 10}}}).ok());
    for (Subscriber& one : subscribers_) {
      if (!one.LetsThrough(number)) {
        ++filtered_out_;
        continue;
      }
      one.pending.push_back({number, 0, clock_.Now()});
    }
    for (Subscriber& one : subscribers_) {
      if (!one.is_function) DeliverPending(one);  // the publisher does so
    }
  }

  // Makes all deliveries that are due now.
  void DeliverPending(Subscriber& one) {
    if (one.is_paused) return;
    std::vector<Subscriber::Pending> left;
    for (Subscriber::Pending& message : one.pending) {
      if (message.due > clock_.Now()) {
        left.push_back(message);
      } else if (!one.is_function) {
        one.expected_bodies.push_back(message.number);
        ++one.delivered;
      } else if (!Attempt(one, message)) {
        left.push_back(message);
      }
    }
    one.pending = std::move(left);
  }

  // Returns whether that was the last attempt.
  bool Attempt(Subscriber& one, Subscriber::Pending& message) {
    ++message.attempts;
    one.expected_calls.push_back({message.number, message.attempts, clock_.Now()});
    const absl::Status answer = Answer(message.number, message.attempts);
    if (answer.ok()) {
      ++one.delivered;
      return true;
    }
    if (!decouple::IsPermanentFailure(answer) && message.attempts <= kPolicy.retries) {
      message.due = clock_.Now() + Seconds(1);
      return false;
    }
    ++one.failed;
    ++dead_[message.number];
    return true;
  }

  void Compare() {
    for (Subscriber& one : subscribers_) {
      const auto statistics = one.reference->Statistics();
      REQUIRE(statistics.number_of_notifications_delivered == one.delivered);
      REQUIRE(statistics.number_of_notifications_failed == one.failed);
      REQUIRE(statistics.number_of_notifications_waiting == static_cast<std::int64_t>(one.pending.size()));
      if (one.is_function) {
        std::sort(one.expected_calls.begin(), one.expected_calls.end());
        std::sort(one.calls->begin(), one.calls->end());
        REQUIRE(*one.calls == one.expected_calls);
        one.calls->clear();
        one.expected_calls.clear();
      } else {
        std::vector<int> bodies = ReceiveAllAndDelete(*one.queue);
        std::sort(bodies.begin(), bodies.end());
        std::sort(one.expected_bodies.begin(), one.expected_bodies.end());
        REQUIRE(bodies == one.expected_bodies);
        one.expected_bodies.clear();
      }
    }
    for (const int number : ReceiveAllAndDelete(failed_)) {
      REQUIRE(dead_[number] > 0);
      if (--dead_[number] == 0) dead_.erase(number);
    }
    REQUIRE(dead_.empty());
    const auto statistics = topic_.Statistics();
    REQUIRE(statistics.number_of_messages_published == static_cast<std::uint64_t>(published_));
    REQUIRE(statistics.number_of_notifications_filtered_out == filtered_out_);
    REQUIRE(statistics.number_of_notifications_abandoned == abandoned_);
    REQUIRE(topic_.NextDelivery() == NextDelivery());
  }

  absl::Time NextDelivery() const {
    absl::Time next = absl::InfiniteFuture();
    for (const Subscriber& one : subscribers_) {
      if (one.is_paused) continue;
      for (const Subscriber::Pending& message : one.pending) next = std::min(next, message.due);
    }
    return next;
  }

  static std::vector<int> ReceiveAllAndDelete(StandardQueue<int>& queue) {
    std::vector<int> bodies;
    for (;;) {
      auto received = queue.Receive({.max_messages = 10});
      if (received->empty()) return bodies;
      for (auto& delivery : *received) {
        bodies.push_back(delivery.body());
        REQUIRE(delivery.Delete().ok());
      }
    }
  }

  std::mt19937_64 random_;
  ManualClock clock_;
  decouple::Topic<int> topic_;
  StandardQueue<int> failed_;
  std::vector<Subscriber> subscribers_;
  std::map<int, int> dead_;  // how often each message is in the dead-letter queue
  int published_ = 0;
  std::uint64_t filtered_out_ = 0;
  std::uint64_t abandoned_ = 0;
};

}  // namespace

TEST_CASE("a topic delivers what the model delivers") {
  ForEachSeed(200, [](std::uint64_t seed) { TopicComparison(seed).Run(2'000); });
}
