// expect: destructible without throwing
#include "decouple/standard_queue.h"

struct Body {
  Body() = default;
  Body(Body&&) noexcept {}
  ~Body() noexcept(false) {}
};

decouple::StandardQueue<Body> queue;
