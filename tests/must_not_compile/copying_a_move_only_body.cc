// expect: cannot bind|no matching
#include <memory>

#include "decouple/standard_queue.h"

void Send(decouple::StandardQueue<std::unique_ptr<int>>& queue, const std::unique_ptr<int>& body) {
  queue.Send(body).IgnoreError();
}
