// expect: a message body must be movable and destructible without throwing
#include "decouple/topic.h"

struct Throwing {
  Throwing() = default;
  Throwing(Throwing&&) noexcept(false) {}
};

decouple::Topic<Throwing> topic;
