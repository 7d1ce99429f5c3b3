// expect: each member in Where\(\) must be one of what the member before it holds
#include "decouple/filter_expression.h"

struct Item {
  int count;
};
struct Order {
  int price;
};
constexpr auto DecoupleFields(const Item*) { return decouple::Fields(decouple::Field("count", &Item::count)); }
constexpr auto DecoupleFields(const Order*) { return decouple::Fields(decouple::Field("price", &Order::price)); }

auto expression = decouple::Where(&Order::price, &Item::count) > 100;
