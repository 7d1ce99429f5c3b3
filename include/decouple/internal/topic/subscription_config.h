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

// What can change while the subscription lives.
struct SubscriptionSettings {
  std::optional<DeliveryPolicy> delivery;  // none: the default
  DeliveryPolicy default_delivery;
  std::optional<int> max_receives_per_second;
  std::int64_t max_waiting = std::numeric_limits<std::int64_t>::max();
  std::shared_ptr<Endpoint> dead_letters;  // null: none

  const DeliveryPolicy& effective_delivery() const { return delivery ? *delivery : default_delivery; }
};

struct SubscriptionConfig {
  std::string name;
  Executor executor;  // empty: none
  SubscriptionSettings settings;
};

// Which settings to change, and to what. A default-constructed one changes nothing.
struct SettingsChange {
  std::optional<std::optional<DeliveryPolicy>> delivery;  // an inner none: the default
  std::optional<std::optional<int>> max_receives_per_second;
  std::optional<std::int64_t> max_waiting;
  std::optional<std::shared_ptr<Endpoint>> dead_letters;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_SUBSCRIPTION_CONFIG_H_
