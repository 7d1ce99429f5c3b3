// The second translation unit of headers_test: the two link only if every definition may stand in both.
#include "decouple/decouple.h"
#include "decouple/decouple.h"  // NOLINT: twice on purpose

int QueueInAnotherTranslationUnit() {
  decouple::StandardQueue<int> queue;
  queue.Send(42).IgnoreError();
  return queue.Receive().value().front().body();
}
