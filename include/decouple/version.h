// Which version of the library this is, for the preprocessor and for messages.
//
//   #if DECOUPLE_VERSION >= 10203                       // 1.2.3 or later
//
//   std::cerr << "decouple " << DECOUPLE_VERSION_STRING << "\n";
//
// Versions are semantic (semver.org): before 1.0.0 a change of MINOR may break programs, a change of PATCH does not.

#ifndef DECOUPLE_VERSION_H_
#define DECOUPLE_VERSION_H_

#define DECOUPLE_VERSION_MAJOR 0
#define DECOUPLE_VERSION_MINOR 1
#define DECOUPLE_VERSION_PATCH 0

// Two decimal digits each for MINOR and PATCH: 1.2.3 is 10203.
#define DECOUPLE_VERSION (DECOUPLE_VERSION_MAJOR * 10000 + DECOUPLE_VERSION_MINOR * 100 + DECOUPLE_VERSION_PATCH)

#define DECOUPLE_VERSION_STRING "0.1.0"

#endif  // DECOUPLE_VERSION_H_
