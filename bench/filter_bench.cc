// The cost of a publish as the number of filtered subscriptions grows, of which one or none gets the message. They
// filter by an exact value, which the index finds, or by a range, which is tested policy by policy. The peer tests each
// policy by hand. With very many subscriptions, where one gets the message, the cost is that of its queue's cold
// memory.

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks.h"
#include "decouple/body_fields.h"
#include "decouple/filter_expression.h"
#include "decouple/filter_policy.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"

namespace {

using decouple::Attribute;
using decouple::Where;

struct Order {
  std::int64_t customer = 0;
  std::int64_t price = 0;
};
constexpr auto DecoupleFields(const Order*) {
  return decouple::Fields(decouple::Field("customer", &Order::customer), decouple::Field("price", &Order::price));
}

std::string Name(std::int64_t i) { return "customer-" + std::to_string(i); }

struct ByAttribute {
  static constexpr const char* kName = "attribute";
  static auto Filter(std::int64_t i) { return Attribute("customer") == Name(i) && Attribute("price") > 100; }
  static decouple::PublishOptions Options(std::int64_t i) {
    return {.attributes = {{"customer", Name(i)}, {"price", 120}}};
  }
};

struct ByField {
  static constexpr const char* kName = "field";
  static auto Filter(std::int64_t i) { return Where(&Order::customer) == i && Where(&Order::price) > 100; }
  static decouple::PublishOptions Options(std::int64_t) { return {}; }
};

struct ByRange {
  static constexpr const char* kName = "range";
  static auto Filter(std::int64_t i) { return Where(&Order::customer) >= i && Where(&Order::customer) < i + 1; }
  static decouple::PublishOptions Options(std::int64_t) { return {}; }
};

// Sends and receives once, as a queue's first message allocates memory.
void WarmUp(std::vector<decouple::StandardQueue<Order>>& queues) {
  for (auto& queue : queues) {
    queue.Send(Order{}).IgnoreError();
    for (auto& delivery : *queue.Receive()) delivery.Delete().IgnoreError();
  }
}

// All filters on one topic; every message matches one of them.
template <typename Kind, std::int64_t subscriptions>
void Indexed(benchmark::State& state) {
  std::vector<decouple::StandardQueue<Order>> queues(subscriptions);
  decouple::Topic<Order> topic;
  for (std::int64_t i = 0; i < subscriptions; ++i) {
    topic.Subscribe(queues[static_cast<std::size_t>(i)], {.filter = Kind::Filter(i)})->Detach();
  }
  WarmUp(queues);
  std::int64_t next = 0;
  for (auto _ : state) {
    topic.Publish(Order{next, 120}, Kind::Options(next)).IgnoreError();
    auto received = queues[static_cast<std::size_t>(next)].Receive();
    if (received->size() != 1) state.SkipWithError("a message is missing");
    for (auto& delivery : *received) delivery.Delete().IgnoreError();
    next = (next + 7'919) % subscriptions;
  }
  CountMessages(state, 1);
}

// No subscription gets the message.
template <typename Kind, std::int64_t subscriptions>
void ForNone(benchmark::State& state) {
  std::vector<decouple::StandardQueue<Order>> queues(subscriptions);
  decouple::Topic<Order> topic;
  for (std::int64_t i = 0; i < subscriptions; ++i) {
    topic.Subscribe(queues[static_cast<std::size_t>(i)], {.filter = Kind::Filter(i)})->Detach();
  }
  for (auto _ : state) topic.Publish(Order{-1, 120}, Kind::Options(-1)).IgnoreError();
  CountMessages(state, 1);
}

// Same as Indexed(), by hand: each policy is tested, and the message is sent to the queues of those that match.
template <typename Kind, std::int64_t subscriptions>
void OneByOne(benchmark::State& state) {
  std::vector<decouple::StandardQueue<Order>> queues(subscriptions);
  std::vector<decouple::FilterPolicy> policies;
  for (std::int64_t i = 0; i < subscriptions; ++i) policies.push_back(Kind::Filter(i).Policy().value());
  WarmUp(queues);
  std::int64_t next = 0;
  for (auto _ : state) {
    const decouple::PublishOptions options = Kind::Options(next);
    const Order order{next, 120};
    for (std::size_t i = 0; i < policies.size(); ++i) {
      if (policies[i].Matches(options.attributes, order)) queues[i].Send(order).IgnoreError();
    }
    for (auto& delivery : *queues[static_cast<std::size_t>(next)].Receive()) delivery.Delete().IgnoreError();
    next = (next + 7'919) % subscriptions;
  }
  CountMessages(state, 1);
}

template <typename Kind, std::int64_t subscriptions>
void AddKind() {
  const std::string what = std::string("filter_") + Kind::kName + "_" + std::to_string(subscriptions);
  Add(what, "decouple", Indexed<Kind, subscriptions>);
  Add(what + "_none", "decouple", ForNone<Kind, subscriptions>);
  Add(what, "one_by_one", OneByOne<Kind, subscriptions>);
}

template <typename Kind>
void AddAll() {
  AddKind<Kind, 1>();
  AddKind<Kind, 10>();
  AddKind<Kind, 100>();
  AddKind<Kind, 1'000>();
  AddKind<Kind, 10'000>();
}

}  // namespace

void RegisterFilters() {
  AddAll<ByAttribute>();
  AddAll<ByField>();
  AddAll<ByRange>();
}
