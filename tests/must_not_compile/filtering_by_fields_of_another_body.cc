// expect: conversion from|no viable conversion
#include "decouple/filter_expression.h"
#include "decouple/topic.h"

struct Order {
  int price;
};
constexpr auto DecoupleFields(const Order*) { return decouple::Fields(decouple::Field("price", &Order::price)); }

decouple::SubscriptionFilter<int> filter = decouple::Where(&Order::price) > 100;
