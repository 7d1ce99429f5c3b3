// A body with what was said of it, in one allocation, for all who get it.

#ifndef DECOUPLE_INTERNAL_PAYLOAD_H_
#define DECOUPLE_INTERNAL_PAYLOAD_H_

#include <cstddef>
#include <utility>

#include "absl/time/time.h"
#include "decouple/internal/shared_body.h"
#include "decouple/message.h"
#include "decouple/publication.h"

namespace decouple::internal {

template <typename T>
class Payload final : public SharedBody {
 public:
  Payload(T&& body, Publication&& publication, std::size_t bytes)
      : SharedBody(&body_, &publication_, bytes), body_(std::move(body)), publication_(std::move(publication)) {}

  // What is known of it only when its turn has come. Nobody else has seen it before.
  void Complete(MessageId id, SequenceNumber sequence_number, absl::Time published_at) {
    publication_.id = id;
    publication_.sequence_number = sequence_number;
    publication_.published_at = published_at;
  }

 private:
  const T body_;
  Publication publication_;
};

// The body as queues of another type get it.
template <typename U>
class ConvertedPayload final : public SharedBody {
 public:
  ConvertedPayload(U&& body, SharedBody& of, std::size_t bytes)
      : SharedBody(&body_, of.publication(), bytes), body_(std::move(body)), of_(BodyHold::On(of)) {}

 private:
  const U body_;
  const BodyHold of_;  // keeps the publication
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_PAYLOAD_H_
