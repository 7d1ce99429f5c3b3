// A body with what was said of it, in one allocation, for all who get it.

#ifndef DECOUPLE_INTERNAL_TOPIC_PUBLISHED_BODY_H_
#define DECOUPLE_INTERNAL_TOPIC_PUBLISHED_BODY_H_

#include <cstddef>
#include <utility>

#include "absl/time/time.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/message.h"
#include "decouple/publication.h"

namespace decouple::internal {

template <typename T>
class PublishedBody final : public SharedBody {
 public:
  PublishedBody(T&& body, Publication&& publication, std::size_t bytes)
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
class ConvertedBody final : public SharedBody {
 public:
  ConvertedBody(U&& body, SharedBody& of, std::size_t bytes)
      : SharedBody(&body_, of.publication(), bytes), body_(std::move(body)), of_(BodyReference::On(of)) {}

 private:
  const U body_;
  const BodyReference of_;  // keeps the publication
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_PUBLISHED_BODY_H_
