// A body type that has no operator&, as types with an overloaded one have none that gives their address: everything
// that takes the address of a user's object has to do that by std::addressof().

#ifndef DECOUPLE_TESTS_WITHOUT_ADDRESS_OF_H_
#define DECOUPLE_TESTS_WITHOUT_ADDRESS_OF_H_

#include "decouple/body_fields.h"

namespace decouple::testing {

struct WithoutAddressOf {
  explicit WithoutAddressOf(int n) : number(n) {}
  void operator&() const = delete;  // NOLINT(google-runtime-operator): that is what is tested

  int number;
};

constexpr auto DecoupleFields(const WithoutAddressOf*) { return Fields(Field("number", &WithoutAddressOf::number)); }

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_WITHOUT_ADDRESS_OF_H_
