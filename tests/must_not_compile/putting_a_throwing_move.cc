// expect: a record's body must be movable and destructible without throwing
#include "decouple/stream.h"

struct Throwing {
  Throwing() = default;
  Throwing(Throwing&&) {}
};

int main() { decouple::Stream<Throwing> stream; }
