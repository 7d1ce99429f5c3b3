#include "decouple/internal/base/type_identity.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "catch.h"

namespace decouple::testing {

struct NamedOrder {
  std::uint64_t number = 0;
};
struct NamedInvoice {
  std::uint64_t number = 0;
};

struct NamedZebra {};
enum class NamedZone { kZenith = 1, kZone2 = 2, kZone100 = 100 };
struct XZ {};  // short, so that a digit before it may be taken for its length
template <NamedZone, typename T>
struct CrateOfZone {
  T content{};
};
template <typename T, int kNumber>
struct BoxOfZebras {
  T content{};
};

inline auto MakeZebraOfFunction() {
  struct ZebraOfFunction {
    int number = 0;
  };
  return ZebraOfFunction();
}
inline auto MakeNamedLambda() {
  return [] {};
}

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

TEST_CASE("a type of a function or without a name is the same as itself only, also as an argument") {
  using Zebra = decltype(MakeZebraOfFunction());
  CHECK(kTypeIdentity<Zebra> == kTypeIdentity<Zebra>);
  CHECK(kTypeIdentity<Zebra> != kIdentityElsewhere<Zebra>);
  CHECK(kTypeIdentity<std::vector<Zebra>> != kIdentityElsewhere<std::vector<Zebra>>);
  using Crate = CrateOfZone<NamedZone::kZone100, Zebra>;
  CHECK(kTypeIdentity<Crate> != kIdentityElsewhere<Crate>);
  using Lambda = decltype(MakeNamedLambda());
  CHECK(kTypeIdentity<Lambda> == kTypeIdentity<Lambda>);
  CHECK(kTypeIdentity<Lambda> != kIdentityElsewhere<Lambda>);
}

TEST_CASE("a type with linkage is the same in every module, whatever letters and numbers its name has") {
  CHECK(kTypeIdentity<BoxOfZebras<NamedZebra, 26>> == kIdentityElsewhere<BoxOfZebras<NamedZebra, 26>>);
  CHECK(kTypeIdentity<std::array<NamedZebra, 100>> == kIdentityElsewhere<std::array<NamedZebra, 100>>);
  CHECK(kTypeIdentity<NamedZebra[10]> == kIdentityElsewhere<NamedZebra[10]>);
  CHECK(kTypeIdentity<std::map<NamedZebra, std::vector<NamedZebra>>> ==
        kIdentityElsewhere<std::map<NamedZebra, std::vector<NamedZebra>>>);
  CHECK(kTypeIdentity<std::integral_constant<NamedZone, NamedZone::kZenith>> ==
        kIdentityElsewhere<std::integral_constant<NamedZone, NamedZone::kZenith>>);
  CHECK(kTypeIdentity<CrateOfZone<NamedZone::kZone2, XZ>> == kIdentityElsewhere<CrateOfZone<NamedZone::kZone2, XZ>>);
  CHECK(kTypeIdentity<CrateOfZone<NamedZone::kZone100, XZ>> ==
        kIdentityElsewhere<CrateOfZone<NamedZone::kZone100, XZ>>);
  CHECK(kTypeIdentity<void (NamedZebra::*)(int) const> == kIdentityElsewhere<void (NamedZebra::*)(int) const>);
  CHECK(kTypeIdentity<BoxOfZebras<std::string, -1>> == kIdentityElsewhere<BoxOfZebras<std::string, -1>>);
}

}  // namespace
}  // namespace decouple::testing
