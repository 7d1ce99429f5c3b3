// Tells whether two types are one, also across modules and without RTTI.
//
//   if (core.body_type() == kTypeIdentity<T>) …
//
// Each module that hides its symbols has a kTypeIdentity<T> of its own, so the address alone does not tell. Types are
// equal if their names and sizes are, as the language has it for types with linkage: what two modules of a process call
// by one name has one definition. The name is the ABI's where there is RTTI, which all compilers spell alike, and the
// compiler's own otherwise. Types of anonymous namespaces are equal only to themselves.

#ifndef DECOUPLE_INTERNAL_BASE_TYPE_IDENTITY_H_
#define DECOUPLE_INTERNAL_BASE_TYPE_IDENTITY_H_

#include <cstddef>
#include <string_view>

#if defined(__cpp_rtti)
#include <typeinfo>
#endif

namespace decouple::inline v0_1::internal {

class TypeIdentity {
 public:
  template <typename T>
  static constexpr TypeIdentity Of() {
    TypeIdentity type;
    type.spelling_ = __PRETTY_FUNCTION__;
    type.size_ = sizeof(T);
#if defined(__cpp_rtti)
    type.info_ = &typeid(T);
#endif
    return type;
  }

  bool operator==(const TypeIdentity& other) const {
    if (this == &other) return true;
    if (size_ != other.size_ || IsOfOneFile() || other.IsOfOneFile()) return false;
#if defined(__cpp_rtti)
    // Not their operator==, which may go by the address.
    if (info_ != nullptr && other.info_ != nullptr) return std::string_view(info_->name()) == other.info_->name();
#endif
    return std::string_view(spelling_) == other.spelling_;
  }

 private:
  constexpr TypeIdentity() = default;

  // In the words of g++ and of clang.
  bool IsOfOneFile() const {
    const std::string_view text = spelling_;
    return text.find("{anonymous}") != text.npos || text.find("(anonymous namespace)") != text.npos;
  }

  const char* spelling_ = nullptr;  // with the words around it, which are the same for all types
#if defined(__cpp_rtti)
  const std::type_info* info_ = nullptr;
#else
  const void* info_ = nullptr;  // so that modules without RTTI may be asked by others
#endif
  std::size_t size_ = 0;
};

template <typename T>
inline constexpr TypeIdentity kTypeIdentity = TypeIdentity::Of<T>();

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_TYPE_IDENTITY_H_
