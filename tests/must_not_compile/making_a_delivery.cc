// expect: is private within this context|calling a private constructor
#include "decouple/standard_queue.h"

decouple::Delivery<int> delivery(decouple::internal::HeldMessage{});
