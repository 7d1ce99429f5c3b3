// The holder of a message deletes it by a plain store while the bias is given (delete_bias.h). In these tests every
// operation that may interfere does so at that very moment, on another thread: each message is removed once.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <thread>

#include "absl/time/time.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/message/delete_bias.h"
#include "queue_testing.h"
#include "stress_testing.h"

namespace decouple::testing {
namespace {

bool IsGiven(const internal::DeleteBias& bias) {
  const internal::RcuReadGuard section;
  return bias.IsGiven(section);
}

TEST_CASE("the bias is given until a thread revokes it, and again when all that revoked it have restored it") {
  internal::DeleteBias bias;
  CHECK(IsGiven(bias));
  bias.Revoke();
  CHECK(!IsGiven(bias));
  bias.Revoke();
  bias.Restore();
  CHECK(!IsGiven(bias));
  bias.Restore();
  CHECK(IsGiven(bias));
}

TEST_CASE("once the bias has ended it is never given again") {
  internal::DeleteBias bias;
  bias.End();
  bias.End();
  CHECK(!IsGiven(bias));
  bias.Revoke();
  bias.Restore();
  CHECK(!IsGiven(bias));
}

TEST_CASE("revoking the bias waits for the read sections in which it was given") {
  internal::DeleteBias bias;
  std::atomic<bool> is_in{false};
  std::atomic<bool> is_out{false};
  std::thread holder([&] {
    const internal::RcuReadGuard section;
    if (!bias.IsGiven(section)) std::abort();
    is_in = true;
    for (int i = 0; i < 1'000'000; ++i) internal::Relax();
    is_out = true;
  });
  while (!is_in) internal::Relax();
  bias.Revoke();
  CHECK(is_out);
  holder.join();
}

// One thread sends, receives and deletes, one and ten messages at a time, while another runs interfere() again and
// again. Then the messages that are left are received and deleted, and the queue is empty.
template <typename Interfere>
void DeleteDuring(StandardQueue<int>& queue, int messages, Interfere interfere) {
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) interfere();
  });
  const auto receive = [&](std::size_t most) {
    auto deliveries = queue.Receive({.max_messages = most});
    if (!deliveries.ok()) std::abort();
    return std::move(*deliveries);
  };
  for (int i = 0; i < messages; ++i) {
    if (!queue.Send(i).ok()) std::abort();
    if (i % 40 < 20) {
      for (auto& delivery : receive(1)) delivery.Delete().IgnoreError();
    } else if (i % 10 == 9) {
      receive(10).Delete().IgnoreError();
    }
  }
  done = true;
  other.join();
  queue.Counts();  // runs all timeouts
  for (auto rest = receive(10); !rest.empty(); rest = receive(10)) rest.Delete().IgnoreError();
}

TEST_CASE("a message that is deleted while its visibility timeout ends is removed once") {
  ManualClock clock;
  const int messages = Messages(1'000'000);
  auto queue =
      Make<StandardQueue<int>>(clock, {.visibility_timeout = absl::Milliseconds(100), .retention = Hours(14 * 24)});
  DeleteDuring(queue, messages, [&] {
    clock.Advance(absl::Milliseconds(100));  // after which the sweep restores the bias, until it runs again
    queue.Counts();                          // runs all timeouts
  });
  CHECK(queue.Counts().total() == 0);
  CHECK(queue.Statistics().number_of_messages_deleted == static_cast<std::uint64_t>(messages));
}

TEST_CASE("a message that is deleted while the queue is purged is removed once") {
  ManualClock clock;
  const int messages = Messages(1'000'000);
  Limits limits;
  limits.purge_interval = absl::ZeroDuration();
  auto queue = Make<StandardQueue<int>>(clock, {.limits = limits});
  DeleteDuring(queue, messages, [&] {
    if (!queue.Purge().ok()) std::abort();
  });
  const QueueStatistics statistics = queue.Statistics();
  CHECK(queue.Counts().total() == 0);
  CHECK(statistics.number_of_messages_deleted + statistics.number_of_messages_purged ==
        static_cast<std::uint64_t>(messages));
}

TEST_CASE("a message that is deleted by its delivery and by its receipt at the same time is removed once") {
  const int messages = Messages(200'000);
  StandardQueue<int> queue;
  std::atomic<int> taken{0};
  std::optional<ReceiptHandle> receipt;
  std::thread other([&] {
    for (int i = 1; i <= messages; ++i) {
      while (taken.load() != i) internal::Relax();
      if (!queue.Delete(*receipt).ok()) std::abort();
      taken = -i;
    }
  });
  for (int i = 1; i <= messages; ++i) {
    if (!queue.Send(i).ok()) std::abort();
    auto delivery = queue.Receive();
    receipt = delivery->front().receipt();
    taken = i;
    delivery->Delete().IgnoreError();
    while (taken.load() != -i) internal::Relax();
  }
  other.join();
  CHECK(queue.Counts().total() == 0);
  CHECK(queue.Statistics().number_of_messages_deleted == static_cast<std::uint64_t>(messages));
}

}  // namespace
}  // namespace decouple::testing
