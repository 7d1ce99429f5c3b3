// expect: movable without throwing
#include "decouple/standard_queue.h"

struct Body {
  Body() = default;
  Body(Body&&) noexcept(false) {}
};

decouple::StandardQueue<Body> queue;
