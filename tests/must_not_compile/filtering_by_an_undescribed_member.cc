// expect: ThisMemberIsNotAmongItsDecoupleFields
#include "decouple/filter_expression.h"

struct Order {
  int price;
  int secret;
};
constexpr auto DecoupleFields(const Order*) { return decouple::Fields(decouple::Field("price", &Order::price)); }

auto expression = decouple::Where(&Order::secret) > 100;
