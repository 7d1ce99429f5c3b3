#include "decouple/delivery_policy.h"

#include <vector>

#include "absl/time/time.h"
#include "catch.h"
#include "decouple/error.h"

namespace {

using absl::Seconds;
using decouple::BackoffFunction;
using decouple::DeliveryPolicy;

std::vector<double> DelaysOf(const DeliveryPolicy& policy) {
  std::vector<double> delays;
  for (int retry = 1; retry <= policy.retries; ++retry) {
    delays.push_back(absl::ToDoubleSeconds(policy.DelayBefore(retry)));
  }
  return delays;
}

bool IsAllowed(const DeliveryPolicy& policy) {
  const absl::Status status = decouple::internal::CheckDeliveryPolicy(policy);
  if (!status.ok()) CHECK(decouple::ErrorOf(status) == decouple::Error::kInvalidParameter);
  return status.ok();
}

void CheckAbout(const std::vector<double>& delays, const std::vector<double>& expected) {
  REQUIRE(delays.size() == expected.size());
  for (std::size_t i = 0; i < delays.size(); ++i) CHECK(delays[i] == Approx(expected[i]).epsilon(1e-6));
}

}  // namespace

TEST_CASE("by default there are three retries, 20 s apart") { CheckAbout(DelaysOf({}), {20, 20, 20}); }

TEST_CASE("the phases follow each other") {
  CheckAbout(DelaysOf({.min_delay = Seconds(1),
                       .max_delay = Seconds(5),
                       .retries = 10,
                       .immediate_retries = 2,
                       .pre_backoff_retries = 1,
                       .post_backoff_retries = 2}),
             {0, 0, 1, 1, 2, 3, 4, 5, 5, 5});
}

TEST_CASE("each backoff function goes from the shorter delay to the longer one") {
  const auto delays = [](BackoffFunction function) {
    return DelaysOf({.min_delay = Seconds(1), .max_delay = Seconds(16), .retries = 5, .backoff = function});
  };
  CheckAbout(delays(BackoffFunction::kLinear), {1, 4.75, 8.5, 12.25, 16});
  CheckAbout(delays(BackoffFunction::kArithmetic), {1, 2.5, 5.5, 10, 16});
  CheckAbout(delays(BackoffFunction::kGeometric), {1, 2, 4, 8, 16});
  CheckAbout(delays(BackoffFunction::kExponential), {1, 2, 4, 8, 16});
}

TEST_CASE("each later backoff function keeps its delays short for longer") {
  const auto delays = [](BackoffFunction function) {
    return DelaysOf({.min_delay = Seconds(5), .max_delay = Seconds(260), .retries = 10, .backoff = function});
  };
  const auto linear = delays(BackoffFunction::kLinear);
  const auto arithmetic = delays(BackoffFunction::kArithmetic);
  const auto exponential = delays(BackoffFunction::kExponential);
  for (std::size_t i = 1; i < 9; ++i) {
    CHECK(linear[i] > arithmetic[i]);
    CHECK(arithmetic[i] > exponential[i]);
    CHECK(exponential[i] > exponential[i - 1]);
  }
}

TEST_CASE("a backoff of one retry takes the shorter delay") {
  CheckAbout(DelaysOf({.min_delay = Seconds(2), .max_delay = Seconds(9), .retries = 1}), {2});
}

TEST_CASE("queues are retried as the service does it") {
  const DeliveryPolicy policy = DeliveryPolicy::OfQueues();
  CHECK(policy.retries == 100'015);
  CHECK(policy.DelayBefore(3) == absl::ZeroDuration());
  CHECK(policy.DelayBefore(4) == Seconds(1));
  CHECK(policy.DelayBefore(6) == Seconds(1));
  CHECK(policy.DelayBefore(15) == Seconds(20));
  CHECK(policy.DelayBefore(100'015) == Seconds(20));
}

TEST_CASE("the ranges of a policy are checked on both sides") {
  CHECK(IsAllowed({.retries = 0}));
  CHECK(IsAllowed({.retries = 100}));
  CHECK_FALSE(IsAllowed({.retries = -1}));
  CHECK_FALSE(IsAllowed({.retries = 101}));
  CHECK(IsAllowed({.min_delay = Seconds(1)}));
  CHECK_FALSE(IsAllowed({.min_delay = absl::Milliseconds(999)}));
  CHECK(IsAllowed({.max_delay = Seconds(3'600), .retries = 1}));
  CHECK_FALSE(IsAllowed({.max_delay = Seconds(3'601), .retries = 1}));
  CHECK(IsAllowed({.min_delay = Seconds(7), .max_delay = Seconds(7)}));
  CHECK_FALSE(IsAllowed({.min_delay = Seconds(8), .max_delay = Seconds(7)}));
  CHECK(IsAllowed({.retries = 3, .immediate_retries = 1, .pre_backoff_retries = 1, .post_backoff_retries = 1}));
  CHECK_FALSE(IsAllowed({.retries = 2, .immediate_retries = 1, .pre_backoff_retries = 1, .post_backoff_retries = 1}));
  CHECK_FALSE(IsAllowed({.immediate_retries = -1}));
  CHECK_FALSE(IsAllowed({.pre_backoff_retries = -1}));
  CHECK_FALSE(IsAllowed({.post_backoff_retries = -1}));
}

TEST_CASE("all retries together last at most an hour") {
  CHECK(IsAllowed({.min_delay = Seconds(36), .max_delay = Seconds(36), .retries = 100}));
  CHECK_FALSE(IsAllowed({.min_delay = Seconds(36), .max_delay = Seconds(37), .retries = 100}));
  CHECK(IsAllowed({.min_delay = Seconds(1'200), .max_delay = Seconds(1'200)}));
  CHECK_FALSE(IsAllowed({.min_delay = Seconds(1'200), .max_delay = Seconds(1'201)}));
  CHECK(IsAllowed({.max_delay = Seconds(3'600), .retries = 2, .immediate_retries = 1, .post_backoff_retries = 1}));
  CHECK(DeliveryPolicy().TotalDelay() == Seconds(60));
  const absl::Status status =
      decouple::internal::CheckDeliveryPolicy({.min_delay = Seconds(3'000), .max_delay = Seconds(3'000)});
  CHECK(status.message().find("3 retries") != std::string::npos);
  CHECK(status.message().find("last 2h30m together; allowed are at most 1h") != std::string::npos);
}
