// expect: is protected within this context|is a protected member
#include "decouple/standard_queue.h"

auto core(const decouple::Queue<int>& queue) { return queue.core_; }
