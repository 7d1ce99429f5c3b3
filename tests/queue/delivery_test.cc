// What a receive gives, as a range and as a value or an error.

#include "decouple/delivery.h"

#include <algorithm>
#include <concepts>
#include <iterator>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/result.h"
#include "queue_testing.h"

namespace decouple::testing {

static_assert(std::ranges::contiguous_range<Deliveries<int>> && std::ranges::contiguous_range<const Deliveries<int>>);
static_assert(std::ranges::sized_range<Deliveries<int>> && std::ranges::common_range<Deliveries<int>>);
static_assert(std::same_as<Deliveries<int>::value_type, std::ranges::range_value_t<Deliveries<int>>>);
static_assert(std::same_as<Deliveries<int>::reference, std::ranges::range_reference_t<Deliveries<int>>>);
static_assert(std::same_as<Deliveries<int>::difference_type, std::ranges::range_difference_t<Deliveries<int>>>);
static_assert(std::movable<Deliveries<int>> && std::movable<Delivery<int>> && !std::copyable<Deliveries<int>>);

TEST_CASE("deliveries are a range: first, last, by number, sorted, moved out of") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock);
  SendAll(queue, 3, 1, 2);
  auto deliveries = queue.Receive({.max_messages = 10}).value();
  CHECK(deliveries.front().body() == 3);
  CHECK(deliveries.back().body() == 2);
  CHECK(std::as_const(deliveries).back().body() == 2);
  const auto body = [](const Delivery<int>& delivery) { return delivery.body(); };
  std::ranges::sort(deliveries, {}, body);
  CHECK(deliveries.front().body() == 1);
  CHECK(deliveries[2].body() == 3);
  CHECK(std::ranges::equal(deliveries, std::vector{1, 2, 3}, {}, body));
  std::vector<Deliveries<int>::value_type> kept(std::make_move_iterator(deliveries.begin()),
                                                std::make_move_iterator(deliveries.end()));
  CHECK(kept.back().Delete().ok());
  CHECK(queue.Counts() == MessageCounts{.in_flight = 2});
}

// The macros that users of absl::StatusOr write, in their two usual forms.
#define ASSIGN_OR_RETURN_BY_NAME(name, target, expression) \
  auto name = (expression);                                \
  if (!name.ok()) return std::move(name).status();         \
  target = *std::move(name)
#define VALUE_OR_RETURN(expression)                                 \
  __extension__({                                                   \
    auto&& value_or_error = (expression);                           \
    if (!value_or_error.ok()) return value_or_error.status();       \
    std::forward<decltype(value_or_error)>(value_or_error).value(); \
  })

absl::Status DeleteOne(StandardQueue<int>& queue) {
  ASSIGN_OR_RETURN_BY_NAME(received, auto deliveries, queue.Receive());
  return deliveries.Delete();
}
absl::StatusOr<int> BodyOfOne(StandardQueue<int>& queue) {
  auto deliveries = VALUE_OR_RETURN(queue.Receive());
  if (deliveries.empty()) return absl::NotFoundError("no message");
  return deliveries.front().body();
}
ReceiveResult<int> ReceiveUnlessEmpty(StandardQueue<int>& queue) {
  ASSIGN_OR_RETURN_BY_NAME(received, auto deliveries, queue.Receive());
  if (deliveries.empty()) return absl::NotFoundError("no message");
  return deliveries;
}
// A macro or a matcher that names absl::StatusOr deduces its type.
template <typename T>
bool IsOkStatusOr(const absl::StatusOr<T>& result) {
  return result.ok();
}

TEST_CASE("the result of a receive works with the macros that handle an absl::StatusOr") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock);
  SendAll(queue, 1, 2, 3, 4, 5);
  CHECK(DeleteOne(queue).ok());
  CHECK(BodyOfOne(queue).value() == 2);
  CHECK(ReceiveUnlessEmpty(queue)->front().body() == 3);
  absl::StatusOr<Deliveries<int>> converted = queue.Receive();
  CHECK(converted->front().body() == 4);
  CHECK(IsOkStatusOr(queue.Receive().ToStatusOr()));
  CHECK(queue.Counts() == MessageCounts{.in_flight = 4});
  CHECK(absl::IsNotFound(ReceiveUnlessEmpty(queue).status()));
  queue.Purge().IgnoreError();
  queue.Close();
  CHECK(ErrorIn(DeleteOne(queue)) == Error::kQueueClosed);
  CHECK(ErrorIn(BodyOfOne(queue)) == Error::kQueueClosed);
  CHECK(ErrorIn(ReceiveUnlessEmpty(queue)) == Error::kQueueClosed);
  converted = queue.Receive();
  CHECK(ErrorIn(converted) == Error::kQueueClosed);
}

TEST_CASE("a result converts to an absl::StatusOr of the same value or error") {
  const Result<std::string> value(std::string("x"));
  CHECK(value.ToStatusOr().value() == "x");
  CHECK(*value == "x");  // it was copied
  const Result<std::string> error = absl::NotFoundError("gone");
  CHECK(error.ToStatusOr().status() == absl::NotFoundError("gone"));
  static_assert(std::is_convertible_v<Result<Deliveries<int>>, absl::StatusOr<Deliveries<int>>>);
}

}  // namespace decouple::testing
