// expect: no match for .*operator>|invalid operands to binary
#include "decouple/filter_expression.h"

struct Order {
  const char* store;
};
constexpr auto DecoupleFields(const Order*) { return decouple::Fields(decouple::Field("store", &Order::store)); }

auto expression = decouple::Where(&Order::store) > 100;
