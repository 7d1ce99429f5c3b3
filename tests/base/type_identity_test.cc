#include "decouple/internal/base/type_identity.h"

#include <cstdint>
#include <string>

#include "catch.h"

namespace decouple::testing {

struct NamedOrder {
  std::uint64_t number = 0;
};
struct NamedInvoice {
  std::uint64_t number = 0;
};

namespace {

using internal::kTypeIdentity;
using internal::TypeIdentity;

struct OrderOfThisFile {
  std::uint64_t number = 0;
};

// As another module has it: the same, at another address.
template <typename T>
const TypeIdentity kIdentityElsewhere = TypeIdentity::Of<T>();

TEST_CASE("a type is the same in every module") {
  CHECK(kTypeIdentity<NamedOrder> == kTypeIdentity<NamedOrder>);
  CHECK(kTypeIdentity<NamedOrder> == kIdentityElsewhere<NamedOrder>);
  CHECK(kTypeIdentity<std::string> == kIdentityElsewhere<std::string>);
  CHECK(kTypeIdentity<int> == kIdentityElsewhere<int>);
}

TEST_CASE("types of equal layout are not the same") {
  CHECK(kTypeIdentity<NamedOrder> != kTypeIdentity<NamedInvoice>);
  CHECK(kTypeIdentity<NamedOrder> != kIdentityElsewhere<NamedInvoice>);
  CHECK(kTypeIdentity<std::uint64_t> != kIdentityElsewhere<std::int64_t>);
  CHECK(kTypeIdentity<std::string> != kIdentityElsewhere<const char*>);
}

TEST_CASE("a type of an anonymous namespace is the same as itself only, as each file may have one of that name") {
  CHECK(kTypeIdentity<OrderOfThisFile> == kTypeIdentity<OrderOfThisFile>);
  CHECK(kTypeIdentity<OrderOfThisFile> != kIdentityElsewhere<OrderOfThisFile>);
}

}  // namespace
}  // namespace decouple::testing
