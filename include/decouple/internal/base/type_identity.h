// Tells whether two types are one, also across modules and without RTTI.
//
//   if (core.body_type() == kTypeIdentity<T>) …
//
// Each module that hides its symbols has a kTypeIdentity<T> of its own, so the address alone does not tell. Types are
// equal if their names and sizes are, as the language has it for types with linkage: what two modules of a process call
// by one name has one definition. The name is the ABI's where there is RTTI, which all compilers spell alike, and the
// compiler's own otherwise. Types of anonymous namespaces, of functions and without names are equal only to themselves,
// as each file may have one of that name; but clang without RTTI does not tell that a type is of a function.

#ifndef DECOUPLE_INTERNAL_BASE_TYPE_IDENTITY_H_
#define DECOUPLE_INTERNAL_BASE_TYPE_IDENTITY_H_

#include <algorithm>
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

  // Whether another file may have another type of this name, or of one within it, such as a template's argument.
  bool IsOfOneFile() const {
#if defined(__cpp_rtti)
    if (info_ != nullptr && NamesTypeOfFunction(info_->name())) return true;
#endif
    // In the words of g++ and of clang: types of anonymous namespaces, of functions, without names, and of lambdas.
    const std::string_view text = spelling_;
    for (const std::string_view word :
         {"{anonymous}", "(anonymous ", ")::", ") const::", "<unnamed ", "(unnamed ", "<lambda", "(lambda "}) {
      if (text.find(word) != text.npos) return true;
    }
    return false;
  }

#if defined(__cpp_rtti)
  // Whether a name of the ABI has a name that is local to a function, which begins with Z where a type may begin. Steps
  // over what may have that letter otherwise: identifiers, whose length comes first, and the numbers of substitutions.
  static bool NamesTypeOfFunction(std::string_view name) {
    for (std::size_t at = 0; at < name.size(); ++at) {
      const char letter = name[at];
      if (letter == 'Z') return true;
      if (letter == 'S' && at + 1 < name.size() && name[at + 1] >= 'a' && name[at + 1] <= 'z') {
        ++at;  // of the standard library, as St
      } else if (letter == 'S' || letter == 'T' || letter == 'A') {
        at = std::min(name.find('_', at), name.size());  // the number of a substitution, or of an array's elements
      } else if (name.substr(at, 3) == "L_Z") {
        at += 2;                   // a function that is an argument
      } else if (letter == 'L') {  // a value that is an argument: its type, the digits, and E
        ++at;
        const bool is_nested = at < name.size() && name[at] == 'N';
        if (is_nested) ++at;
        while (at < name.size() && (IsDigit(name[at]) || name[at] == 'S')) {  // an enumeration's name
          at = IsDigit(name[at]) ? BehindIdentifier(name, at) : std::min(name.find('_', at), name.size() - 1) + 1;
          if (!is_nested) break;
        }
        if (at < name.size() && name[at] == 'Z') return true;
        if (is_nested) at = std::min(name.find('E', at), name.size() - 1) + 1;
        at = std::min(name.find('E', at), name.size());
      } else if (IsDigit(letter) && letter != '0') {
        at = BehindIdentifier(name, at) - 1;
      }
    }
    return false;
  }

  static bool IsDigit(char letter) { return letter >= '0' && letter <= '9'; }

  // Behind the identifier whose length begins at `at`.
  static std::size_t BehindIdentifier(std::string_view name, std::size_t at) {
    std::size_t length = 0;
    for (; at < name.size() && IsDigit(name[at]); ++at) {
      length = std::min(name.size(), length * 10 + static_cast<std::size_t>(name[at] - '0'));
    }
    return std::min(name.size(), at + length);
  }
#endif

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
