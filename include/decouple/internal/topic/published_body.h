// A published body together with its publication, in one allocation that all queues share.

#ifndef DECOUPLE_INTERNAL_TOPIC_PUBLISHED_BODY_H_
#define DECOUPLE_INTERNAL_TOPIC_PUBLISHED_BODY_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/message.h"
#include "decouple/publication.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class PublishedBody final : public SharedBody {
 public:
  PublishedBody(T&& body, Publication&& publication, std::size_t bytes)
      : SharedBody(std::addressof(body_), &publication_, bytes),
        body_(std::move(body)),
        publication_(std::move(publication)) {}

  // For a FIFO topic, which knows these only under the lock of the group. Requires: no other thread has a reference
  // yet.
  void Complete(MessageId id, SequenceNumber sequence_number, absl::Time published_at) {
    publication_.id = id;
    publication_.sequence_number = sequence_number;
    publication_.published_at = published_at;
  }

 private:
  const T body_;
  Publication publication_;
};

// A body converted for queues of another type; it shares the publication of the original.
template <typename U>
class ConvertedBody final : public SharedBody {
 public:
  ConvertedBody(U&& body, SharedBody& original, std::size_t bytes)
      : SharedBody(std::addressof(body_), original.publication(), bytes),
        body_(std::move(body)),
        original_(BodyReference::On(original)) {}

 private:
  const U body_;
  const BodyReference original_;  // keeps the publication alive
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_TOPIC_PUBLISHED_BODY_H_
