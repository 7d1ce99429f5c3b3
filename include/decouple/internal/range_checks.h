// Whether what a user gives is in its range.

#ifndef DECOUPLE_INTERNAL_RANGE_CHECKS_H_
#define DECOUPLE_INTERNAL_RANGE_CHECKS_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"

namespace decouple::internal {

// `what` in the range, or an error that says so.
inline absl::Status CheckDuration(Error error, const char* what, absl::Duration value, absl::Duration least,
                                  absl::Duration most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return MakeError(error, absl::StrCat(what, " of ", absl::FormatDuration(value), "; allowed are ",
                                       absl::FormatDuration(least), " to ", absl::FormatDuration(most)));
}

template <typename Number>
absl::Status CheckNumber(Error error, const char* what, Number value, Number least, Number most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return MakeError(error, absl::StrCat(what, " of ", value, "; allowed are ", least, " to ", most));
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_RANGE_CHECKS_H_
