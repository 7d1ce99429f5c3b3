// What a body's type need not have.

#include "queue_testing.h"
#include "without_address_of.h"

namespace decouple::testing {

TEMPLATE_TEST_CASE("a body's type may have no operator&", "", StandardQueue<WithoutAddressOf>,
                   FifoQueue<WithoutAddressOf>) {
  ManualClock clock;
  auto failed = Make<TestType>(clock);
  auto queue = Make<TestType>(clock, {.redrive = Redrive{.to = failed, .max_receives = 1}});
  REQUIRE(Send(queue, WithoutAddressOf(7)).ok());
  CHECK(ReceiveOne(queue).body().number == 7);
  clock.Advance(Seconds(30));
  CHECK(ReceivesNothing(queue));
  CHECK(ReceiveOne(failed).body().number == 7);
  clock.Advance(Seconds(30));
  auto task = failed.StartMessageMoveTask({});
  REQUIRE(task.ok());
  CHECK(task->Run() == MessageMoveStatus::kCompleted);
  auto returned = ReceiveOne(queue);
  CHECK(returned.body().number == 7);
  CHECK(returned.Delete().ok());
}

}  // namespace decouple::testing
