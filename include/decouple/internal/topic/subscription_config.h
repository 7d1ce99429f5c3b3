// How a subscription delivers: the options of Topic::Subscribe(), checked and without the topic's type of bodies.

#ifndef DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CONFIG_H_
#define DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CONFIG_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "decouple/delivery_policy.h"
#include "decouple/executor.h"
#include "decouple/internal/topic/endpoint.h"

namespace decouple::inline v0_1::internal {

struct SubscriptionConfig {
  std::string name;
  DeliveryPolicy delivery;
  std::optional<int> max_receives_per_second;
  std::int64_t max_waiting = std::numeric_limits<std::int64_t>::max();
  std::shared_ptr<Endpoint> dead_letters;  // null: none
  Executor executor;                       // empty: none
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CONFIG_H_
