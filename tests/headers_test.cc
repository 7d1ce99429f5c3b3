#include "decouple/decouple.h"
#include "decouple/decouple.h"  // NOLINT: twice on purpose

#include "catch.h"

int QueueInAnotherTranslationUnit();

TEST_CASE("all headers twice in two translation units link") {
  decouple::StandardQueue<int> queue;
  REQUIRE(queue.Send(42).ok());
  CHECK(queue.Receive().value().front().body() == QueueInAnotherTranslationUnit());
}
