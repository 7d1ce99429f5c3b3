#include "decouple/internal/base/identity.h"

#include <cstdint>
#include <optional>

#include "catch.h"

using decouple::internal::Identity;
using decouple::internal::IdentityOf;

TEST_CASE("of those that live, each has an identity of its own") {
  const Identity first(1, "a");
  const Identity second(1, "a");
  const Identity third(1, "a");
  CHECK(first.value() == IdentityOf(1, "a"));
  CHECK(second.value() != first.value());
  CHECK(third.value() != first.value());
  CHECK(third.value() != second.value());
  CHECK(Identity(2, "a").value() != first.value());
  CHECK(Identity(1, "b").value() != first.value());
  CHECK(Identity(0, "a").value() != Identity(0, "a").value());
}

TEST_CASE("what is made and destroyed in the same order has the same identities again") {
  const auto run = [] {
    std::optional<Identity> first;
    std::optional<Identity> second;
    first.emplace(7, "a");
    second.emplace(7, "a");
    const std::uint64_t of_second = second->value();
    const std::uint64_t of_first = first->value();
    first.reset();
    const Identity third(7, "a");
    CHECK(third.value() == of_first);  // which is free again
    second.reset();
    const Identity fourth(7, "a");
    CHECK(fourth.value() == of_second);
    return of_second;
  };
  CHECK(run() == run());
}
