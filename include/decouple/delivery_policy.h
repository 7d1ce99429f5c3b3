// How often, and after which delays, a topic retries the delivery of a message that a subscriber did not take.
//
//   auto subscription = topic.Subscribe(
//       function, {.delivery = DeliveryPolicy{.min_delay = absl::Seconds(1), .max_delay = absl::Minutes(1),
//                                             .retries = 10, .backoff = BackoffFunction::kExponential}});
//
// SNS's healthyRetryPolicy. Of `retries` attempts after the first, the first `immediate_retries` follow at once, the
// next `pre_backoff_retries` come `min_delay` apart, and the last `post_backoff_retries` come `max_delay` apart. The
// delays of those in between grow from `min_delay` to `max_delay` by the backoff function. All delays together are at
// most 3 600 s. A plain value.

#ifndef DECOUPLE_DELIVERY_POLICY_H_
#define DECOUPLE_DELIVERY_POLICY_H_

#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"

namespace decouple::inline v0_1 {

// How delays grow from the lower bound to the upper: by equal steps; by steps that grow by one unit each; by equal
// factors; by steps that double. In this order, delays stay short for longer.
enum class BackoffFunction { kLinear, kArithmetic, kGeometric, kExponential };

struct DeliveryPolicy {
  absl::Duration min_delay = absl::Seconds(20);  // minDelayTarget: 1 s … max_delay
  absl::Duration max_delay = absl::Seconds(20);  // maxDelayTarget: … 3 600 s
  int retries = 3;                               // numRetries: 0 … 100
  // numNoDelayRetries, numMinDelayRetries and numMaxDelayRetries; together at most `retries`.
  int immediate_retries = 0;
  int pre_backoff_retries = 0;
  int post_backoff_retries = 0;
  BackoffFunction backoff = BackoffFunction::kLinear;

  // What the service does for queues: 100 015 retries in 23 days. It is outside of the ranges above.
  static constexpr DeliveryPolicy OfQueues();

  // The delay before the given retry, 1 … `retries`.
  absl::Duration DelayBefore(int retry) const;

  // The delays before all retries together. O(retries).
  absl::Duration TotalDelay() const;

  friend bool operator==(const DeliveryPolicy&, const DeliveryPolicy&) = default;
};

constexpr DeliveryPolicy DeliveryPolicy::OfQueues() {
  return {.min_delay = absl::Seconds(1),
          .max_delay = absl::Seconds(20),
          .retries = 100'015,
          .immediate_retries = 3,
          .pre_backoff_retries = 2,
          .post_backoff_retries = 100'000,
          .backoff = BackoffFunction::kExponential};
}

namespace internal {

// How far the i-th of n delays (i counts from 0) is on the way from the first to the last: 0 … 1.
inline double BackoffShare(BackoffFunction function, int i, int n) {
  const double last = n - 1;
  switch (function) {
    case BackoffFunction::kArithmetic:
      return i * (i + 1.0) / (last * (last + 1.0));
    case BackoffFunction::kExponential:
      return (std::exp2(i - last) - std::exp2(-last)) / (1 - std::exp2(-last));
    default:
      return i / last;
  }
}

}  // namespace internal

inline absl::Duration DeliveryPolicy::DelayBefore(int retry) const {
  int i = retry - 1;
  if (i < immediate_retries) return absl::ZeroDuration();
  i -= immediate_retries;
  if (i < pre_backoff_retries) return min_delay;
  i -= pre_backoff_retries;
  const int in_backoff = retries - immediate_retries - pre_backoff_retries - post_backoff_retries;
  if (i >= in_backoff) return max_delay;
  if (in_backoff == 1) return min_delay;
  const double share = internal::BackoffShare(backoff, i, in_backoff);
  if (backoff != BackoffFunction::kGeometric) return min_delay + (max_delay - min_delay) * share;
  return min_delay * std::pow(absl::FDivDuration(max_delay, min_delay), share);
}

inline absl::Duration DeliveryPolicy::TotalDelay() const {
  absl::Duration total;
  for (int retry = 1; retry <= retries; ++retry) total += DelayBefore(retry);
  return total;
}

namespace internal {

inline constexpr int kMaxRetries = 100;                                // SNS
inline constexpr absl::Duration kShortestDelay = absl::Seconds(1);     // SNS
inline constexpr absl::Duration kLongestDelay = absl::Seconds(3'600);  // SNS
inline constexpr absl::Duration kLongestTotal = absl::Seconds(3'600);  // SNS: of all retries of a message

inline absl::Status CheckDeliveryPolicy(const DeliveryPolicy& policy) {
  const auto refuse = [](const std::string& what) {
    return MakeError(Error::kInvalidParameter, absl::StrCat("delivery policy: ", what));
  };
  if (policy.retries < 0 || policy.retries > kMaxRetries) {
    return refuse(absl::StrCat(policy.retries, " retries; allowed are 0 to ", kMaxRetries));
  }
  if (policy.min_delay < kShortestDelay || policy.max_delay > kLongestDelay || policy.min_delay > policy.max_delay) {
    return refuse(absl::StrCat("delays from ", absl::FormatDuration(policy.min_delay), " to ",
                               absl::FormatDuration(policy.max_delay), "; allowed are ",
                               absl::FormatDuration(kShortestDelay), " to ", absl::FormatDuration(kLongestDelay),
                               ", the shorter one first"));
  }
  if (policy.immediate_retries < 0 || policy.pre_backoff_retries < 0 || policy.post_backoff_retries < 0 ||
      policy.immediate_retries + policy.pre_backoff_retries + policy.post_backoff_retries > policy.retries) {
    return refuse(absl::StrCat(policy.immediate_retries, " immediate retries, ", policy.pre_backoff_retries,
                               " before and ", policy.post_backoff_retries,
                               " after the backoff; each must be at least 0, and together they are at most all ",
                               policy.retries));
  }
  if (const absl::Duration total = policy.TotalDelay(); total > kLongestTotal) {
    return refuse(absl::StrCat(policy.retries, " retries with delays from ", absl::FormatDuration(policy.min_delay),
                               " to ", absl::FormatDuration(policy.max_delay), " last ", absl::FormatDuration(total),
                               " together; allowed are at most ", absl::FormatDuration(kLongestTotal)));
  }
  return absl::OkStatus();
}

}  // namespace internal

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_DELIVERY_POLICY_H_
