// The choice of the tenant to serve next.

#include "decouple/internal/message/fair_scheduler.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "catch.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::testing {
namespace {

using internal::FairScheduler;
using internal::Tenant;

constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();
constexpr std::int64_t kFiveMinutes = 300'000'000'000;

bool Take() { return true; }

TEST_CASE("quiet tenants are served in the order of their positions") {
  FairScheduler fair;
  std::vector<internal::MessageSlot> slots(3);
  Tenant* const a = fair.AddMessage("a", 0);
  Tenant* const b = fair.AddMessage("b", 0);
  fair.AddMessage("a", 0);
  fair.Enqueue(a, 5, 5, {nullptr, &slots[0]});
  fair.Enqueue(b, 3, 3, {nullptr, &slots[1]});
  fair.Enqueue(a, 9, 4, {nullptr, &slots[2]});  // further back than its ticket
  CHECK(fair.NextQuiet(kAny, 0, 0, Take)->slot == &slots[1]);
  CHECK(fair.NextQuiet(kAny, 0, 0, Take)->slot == &slots[0]);
  CHECK(fair.NextQuiet(kAny, 0, 0, Take)->slot == &slots[2]);
  CHECK_FALSE(fair.NextQuiet(kAny, 0, 0, Take));
  CHECK_FALSE(fair.IsAnyWaiting());
}

TEST_CASE("a quiet tenant's message is taken only if it is before the given position, and may be taken") {
  FairScheduler fair;
  internal::MessageSlot slot;
  fair.Enqueue(fair.AddMessage("a", 0), 7, 7, {nullptr, &slot});
  CHECK_FALSE(fair.NextQuiet(7, 0, 0, Take));
  CHECK_FALSE(fair.NextQuiet(8, 0, 0, [] { return false; }));
  CHECK(fair.IsAnyWaiting());
  CHECK(fair.NextQuiet(8, 0, 0, Take)->slot == &slot);
}

TEST_CASE("a withdrawn message is not served, and withdrawing one that was taken says so") {
  FairScheduler fair;
  internal::MessageSlot slot;
  Tenant* const tenant = fair.AddMessage("a", 0);
  fair.Enqueue(tenant, 7, 7, {nullptr, &slot});
  CHECK(fair.Withdraw(tenant, 7, 7));
  CHECK_FALSE(fair.IsAnyWaiting());
  CHECK_FALSE(fair.Withdraw(tenant, 7, 7));
}

// A tenant with `in_flight` messages in flight, and one that waits.
Tenant* Busy(FairScheduler& fair, const std::string& group, int in_flight, std::int64_t all_in_flight,
             internal::MessageSlot& waiting) {
  Tenant* const tenant = fair.AddMessage(group, 0);
  fair.Enqueue(tenant, 1, 1, {nullptr, &waiting});
  for (int i = 0; i < in_flight; ++i) {
    fair.AddMessage(group, 0);
    fair.AddInFlight(tenant, all_in_flight, 0);
  }
  return tenant;
}

TEST_CASE("a tenant is noisy with thirty messages in flight that are more than a tenth of all") {
  struct {
    int in_flight;
    std::int64_t all;
    bool is_noisy;
  } const cases[] = {{29, 29, false}, {30, 30, true}, {30, 299, true}, {30, 300, false}, {31, 309, true}};
  for (const auto& c : cases) {
    CAPTURE(c.in_flight, c.all);
    FairScheduler fair;
    internal::MessageSlot slot;
    Busy(fair, "a", c.in_flight, c.all, slot);
    CHECK((fair.CountsAt(c.all, 0).noisy_groups == 1) == c.is_noisy);
    CHECK(fair.NextQuiet(kAny, c.all, 0, Take).has_value() == !c.is_noisy);
  }
}

TEST_CASE("of noisy tenants the one with the fewest messages in flight is next") {
  FairScheduler fair;
  internal::MessageSlot slots[2];
  Busy(fair, "more", 40, 40, slots[0]);
  Busy(fair, "less", 35, 75, slots[1]);
  CHECK_FALSE(fair.NextQuiet(kAny, 75, 0, Take));
  CHECK(fair.NextNoisy(75, 0, Take)->slot == &slots[1]);
  CHECK(fair.NextNoisy(75, 0, Take)->slot == &slots[0]);
  CHECK_FALSE(fair.NextNoisy(75, 0, Take));
}

TEST_CASE("a tenant is noisy that took more than a tenth of the recent processing time") {
  for (const std::int64_t others : {89, 91}) {
    CAPTURE(others);
    FairScheduler fair;
    internal::MessageSlot slot;
    Tenant* const tenant = Busy(fair, "a", 1, 1, slot);
    Tenant* const other = fair.AddMessage("b", 0);
    fair.AddInFlight(other, 2, 0);
    fair.RemoveInFlight(tenant, 10, 0);
    fair.RemoveInFlight(other, others, 0);
    CHECK((fair.CountsAt(0, 0).noisy_groups == 1) == (others < 90));
  }
}

TEST_CASE("a noisy tenant is quiet again when nothing of it waits, or five minutes after its last send") {
  FairScheduler fair;
  internal::MessageSlot slots[2];
  Tenant* const tenant = Busy(fair, "a", 30, 30, slots[0]);
  REQUIRE(fair.CountsAt(30, 0).noisy_groups == 1);
  SECTION("nothing waits") {
    REQUIRE(fair.NextNoisy(30, 0, Take));
    CHECK(fair.CountsAt(301, 0).noisy_groups == 0);
    fair.Enqueue(tenant, 2, 2, {nullptr, &slots[1]});
    CHECK(fair.CountsAt(301, 0).noisy_groups == 0);  // by now thirty are less than a tenth
  }
  SECTION("it sends no more") {
    CHECK(fair.CountsAt(30, kFiveMinutes - 1).noisy_groups == 1);
    CHECK(fair.CountsAt(30, kFiveMinutes).noisy_groups == 0);
  }
}

TEST_CASE("a tenant without messages is forgotten once its processing time no longer counts") {
  FairScheduler fair;
  Tenant* const tenant = fair.AddMessage("a", 0);
  fair.AddInFlight(tenant, 1, 0);
  fair.RemoveInFlight(tenant, 100, 0);
  fair.RemoveMessage(tenant);
  // A tenth of what it took makes no other tenant noisy, as long as that counts; then it is all that counts.
  const auto noisy = [&](std::int64_t now) {
    internal::MessageSlot slot;
    Tenant* const other = fair.AddMessage("b", now);
    fair.AddInFlight(other, 1, now);
    fair.RemoveInFlight(other, 10, now);
    fair.Enqueue(other, 1, 1, {nullptr, &slot});
    const bool is_noisy = fair.CountsAt(0, now).noisy_groups == 1;
    REQUIRE(fair.Withdraw(other, 1, 1));
    fair.RemoveMessage(other);
    return is_noisy;
  };
  CHECK_FALSE(noisy(0));
  CHECK(noisy(3 * kFiveMinutes));
}

}  // namespace
}  // namespace decouple::testing
