// Counts all allocations by operator new in a program that links allocations.cc.
#ifndef DECOUPLE_TESTS_ALLOCATIONS_H_
#define DECOUPLE_TESTS_ALLOCATIONS_H_

#include <cstdint>

namespace decouple::testing {

std::uint64_t Allocations();

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_ALLOCATIONS_H_
