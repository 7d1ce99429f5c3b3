#include "decouple/error.h"

#include <set>
#include <string>

#include "catch.h"

namespace decouple::testing {

TEST_CASE("an error is read back from the status that carries it, with its message") {
  const absl::Status status = internal::MakeError(Error::kOverLimit, "too many");
  CHECK(ErrorOf(status) == Error::kOverLimit);
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(status.message() == "too many");
}

TEST_CASE("a status that is not of the library carries no error") {
  CHECK_FALSE(ErrorOf(absl::OkStatus()).has_value());
  CHECK_FALSE(ErrorOf(absl::InternalError("x")).has_value());
  absl::Status foreign = absl::InternalError("x");
  foreign.SetPayload(internal::kErrorPayloadUrl, absl::Cord("NoErrorOfOurs"));
  CHECK_FALSE(ErrorOf(foreign).has_value());
}

TEST_CASE("each error has the service's name and is read back from a status") {
  CHECK(ErrorName(Error::kReceiptHandleIsInvalid) == "ReceiptHandleIsInvalid");
  CHECK(ErrorName(Error::kTooManyEntriesInBatchRequest) == "TooManyEntriesInBatchRequest");
  CHECK(ErrorName(Error::kQueueFull) == "QueueFull");
  std::set<std::string> names;
  for (std::size_t i = 0; i < internal::kErrors.size(); ++i) {
    const auto error = static_cast<Error>(i);
    names.insert(std::string(ErrorName(error)));
    CHECK(ErrorOf(internal::MakeError(error, "")) == error);
  }
  CHECK(names.size() == internal::kErrors.size());
}

TEST_CASE("the name of a status is that of its error, and empty if it carries none") {
  CHECK(ErrorName(internal::MakeError(Error::kOverLimit, "too many")) == "OverLimit");
  CHECK(ErrorName(absl::OkStatus()).empty());
  CHECK(ErrorName(absl::InternalError("x")).empty());
}

}  // namespace decouple::testing
