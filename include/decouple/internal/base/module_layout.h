// Which modules of a process agree on the layout of what they could share (process_state.h): those with the same
// MAJOR.MINOR, which is the inline namespace, and with the same revision, the same standard library, and the same way
// of getting pages. All others keep apart, each with a state of its own.
//
// Modules that do not agree must not share variables either. Those of one MAJOR.MINOR have one namespace, and g++ makes
// inline variables unique in the process (STB_GNU_UNIQUE), even between plugins that are loaded with RTLD_LOCAL. So
// classes that have such a variable, or a static of a function, are named with a tag of what has to agree. Constants
// need none.

#ifndef DECOUPLE_INTERNAL_BASE_MODULE_LAYOUT_H_
#define DECOUPLE_INTERNAL_BASE_MODULE_LAYOUT_H_

#include <cstdint>  // also defines the macros by which standard libraries tell which they are

#include "decouple/version.h"

// Goes up with every change of ProcessState, ThreadRecord, TscClock, HugePagePools, IdentityNumbers, JsonDocument,
// FieldType, FieldValue or Decimal, or of what their fields and functions mean, that goes out in a release with the
// same MAJOR.MINOR as the one before.
#define DECOUPLE_INTERNAL_REVISION 1

#if defined(__SANITIZE_ADDRESS__)
#define DECOUPLE_INTERNAL_HAS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DECOUPLE_INTERNAL_HAS_ADDRESS_SANITIZER 1
#endif
#endif
#if !defined(DECOUPLE_INTERNAL_HAS_ADDRESS_SANITIZER)
#define DECOUPLE_INTERNAL_HAS_ADDRESS_SANITIZER 0
#endif

#if defined(_LIBCPP_VERSION)
#define DECOUPLE_INTERNAL_STANDARD_LIBRARY 1
#elif defined(_GLIBCXX_DEBUG)
#define DECOUPLE_INTERNAL_STANDARD_LIBRARY 2
#else
#define DECOUPLE_INTERNAL_STANDARD_LIBRARY 0
#endif

#define DECOUPLE_INTERNAL_TEXT_OF(number) #number
#define DECOUPLE_INTERNAL_TAG_OF(revision, library, sanitizer)                          \
  [[gnu::abi_tag("r" DECOUPLE_INTERNAL_TEXT_OF(revision) "_" DECOUPLE_INTERNAL_TEXT_OF( \
      library) "_" DECOUPLE_INTERNAL_TEXT_OF(sanitizer))]]
#define DECOUPLE_INTERNAL_LAYOUT_TAG                                                       \
  DECOUPLE_INTERNAL_TAG_OF(DECOUPLE_INTERNAL_REVISION, DECOUPLE_INTERNAL_STANDARD_LIBRARY, \
                           DECOUPLE_INTERNAL_HAS_ADDRESS_SANITIZER)

namespace decouple::inline v0_1::internal {

// The same for modules that may share a state.
inline constexpr std::uint64_t kModuleLayout =
    DECOUPLE_VERSION_MAJOR * 10'000'000 + DECOUPLE_VERSION_MINOR * 10'000 + DECOUPLE_INTERNAL_REVISION * 10 +
    DECOUPLE_INTERNAL_HAS_ADDRESS_SANITIZER * 3 + DECOUPLE_INTERNAL_STANDARD_LIBRARY;

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_MODULE_LAYOUT_H_
