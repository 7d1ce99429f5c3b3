// What the model tests share (a queue and a plain model of it, compared after each operation): random choices, and the
// receives whose deliveries or receipts the test still has.

#ifndef DECOUPLE_TESTS_MODEL_TESTING_H_
#define DECOUPLE_TESTS_MODEL_TESTING_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

inline void Require(bool condition, const char* what) {
  if (!condition) FAIL(what);
}

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed) {}

  int Pick(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  // Mostly round numbers, so that several timeouts end at the same instant.
  absl::Duration PickTimeout() {
    constexpr int kSeconds[] = {0, 1, 5, 30, 30, 30, 60, 600, 3600, 43'200};
    return Seconds(kSeconds[Pick(10)]);
  }

  // Advances the clock: often to `next`, the next instant at which something happens, or to just before it.
  void Advance(ManualClock& clock, absl::Time next) {
    switch (Pick(5)) {
      case 0:
        clock.Advance(Seconds(Pick(120)));
        break;
      case 1:
        clock.Advance(Pick(20) == 0 ? Hours(Pick(100)) : Minutes(Pick(30)));
        break;
      default:
        if (next != absl::InfiniteFuture()) clock.AdvanceTo(next - Nanoseconds(Pick(2)));
    }
  }

 private:
  std::mt19937_64 random_;
};

// A receive whose outcome the test remembers: the delivery itself, or only its receipt.
struct Held {
  std::optional<Delivery<int>> delivery;
  ReceiptHandle receipt;
  int body;
  std::uint32_t receive;
};

class HeldReceives {
 public:
  explicit HeldReceives(Chance& chance) : chance_(chance) {}

  void Add(Delivery<int> delivery) {
    Held held{std::nullopt, delivery.receipt(), delivery.body(), delivery.receive_count()};
    if (chance_.Pick(4) != 0) held.delivery = std::move(delivery);
    held_.push_back(std::move(held));
  }

  // Null if there is none.
  Held* Pick() {
    return held_.empty() ? nullptr : &held_[static_cast<std::size_t>(chance_.Pick(static_cast<int>(held_.size())))];
  }

  // Deletes by the delivery or by its receipt, at random.
  template <typename Queue>
  absl::Status Delete(Queue& queue, Held& held) {
    const bool by_delivery = held.delivery.has_value() && chance_.Pick(2) == 0;
    return by_delivery ? held.delivery->Delete() : queue.Delete(held.receipt);
  }

  template <typename Queue>
  absl::Status ChangeVisibility(Queue& queue, Held& held, absl::Duration timeout) {
    const bool by_delivery = held.delivery.has_value() && chance_.Pick(2) == 0;
    return by_delivery ? held.delivery->ChangeVisibility(timeout) : queue.ChangeVisibility(held.receipt, timeout);
  }

  void Drop(Held* held) {
    if (held->delivery.has_value()) Require(held->delivery->body() == held->body, "the body is readable to the end");
    held_.erase(held_.begin() + (held - held_.data()));
  }

 private:
  Chance& chance_;
  std::vector<Held> held_;
};

inline void CompareCounts(const MessageCounts& counts, const MessageCounts& expected) {
  INFO("ready " << counts.ready << " in flight " << counts.in_flight << " delayed " << counts.delayed);
  INFO("expected " << expected.ready << ", " << expected.in_flight << ", " << expected.delayed);
  Require(counts == expected, "counts");
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_MODEL_TESTING_H_
