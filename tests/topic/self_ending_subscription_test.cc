#include <memory>
#include <optional>

#include "catch.h"
#include "decouple/subscription.h"
#include "decouple/topic.h"

namespace decouple::testing {
namespace {

TEST_CASE("a function that holds a weak pointer to its subscription's owner ends it, and is freed") {
  Topic<int> topic;
  auto own = std::make_shared<std::optional<Subscription<int>>>();
  auto held_by_function = std::make_shared<int>(0);
  const std::weak_ptr<int> is_kept = held_by_function;
  *own = topic
             .Subscribe([weak = std::weak_ptr(own), count = std::move(held_by_function)](const int& body) {
               ++*count;
               const auto owner = weak.lock();
               if (owner != nullptr && body == 2) owner->reset();
             })
             .value();
  for (int body = 1; body <= 3; ++body) REQUIRE(topic.Publish(body).ok());
  REQUIRE_FALSE(is_kept.expired());
  topic.Deliver();
  CHECK_FALSE(own->has_value());
  CHECK(topic.Subscriptions().empty());
  CHECK(is_kept.expired());
}

TEST_CASE("a function with a weak pointer to its subscription's owner is freed with the owner") {
  Topic<int> topic;
  auto own = std::make_shared<std::optional<Subscription<int>>>();
  auto held_by_function = std::make_shared<int>(0);
  const std::weak_ptr<int> is_kept = held_by_function;
  *own = topic.Subscribe([weak = std::weak_ptr(own), count = std::move(held_by_function)](const int&) {}).value();
  own.reset();
  CHECK(is_kept.expired());
}

}  // namespace
}  // namespace decouple::testing
