// A topic that keeps the order of messages within groups into every subscribed FIFO queue and takes a message that is
// published twice only once. It can archive what it published and replay a span of it to one subscription.
//
//   auto entries = decouple::FifoTopic<Entry>::Create({.archive_retention = absl::Hours(24)}).value();
//   auto audit = entries.Subscribe(audit_queue);
//   entries.Publish(Entry{"deposit", 100}, {.group = "customer-7", .deduplication_id = "4711"}).IgnoreError();
//   audit->Replay({.from = noon}).IgnoreError();
//
// Groups, deduplication ids and sequence numbers are as in a FIFO queue (fifo_queue.h) and travel with the message into
// the queues: a FIFO queue looks for duplicates itself; a standard queue takes the group as the tenant. When a queue
// does not take a message, later messages for that queue wait behind it. Functions cannot be subscribed. An archived
// message keeps its memory. What else a topic can do: topic.h.
//
// Locks. The groups and the deduplication ids are each spread over 32 stripes with one mutex each. A publish holds the
// mutexes of its id's stripe and of its group's stripe while it fans out, and in turn that of each subscription. So the
// messages of one stripe are published one at a time, and every queue sees them in the same order. Conversions to
// queues of another type and destructors of bodies may run under these mutexes and must not use the topic.

#ifndef DECOUPLE_FIFO_TOPIC_H_
#define DECOUPLE_FIFO_TOPIC_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/content_hash.h"
#include "decouple/error.h"
#include "decouple/internal/topic/fifo_topic_core.h"
#include "decouple/topic.h"
#include "decouple/topic_options.h"

namespace decouple::inline v0_1 {

template <typename T>
class FifoTopic : public Topic<T> {
 public:
  // A topic with the documented defaults.
  FifoTopic() : FifoTopic(FifoTopicOptions()) {}

  // kInvalidParameter: the archive's retention is out of its range, or content-based deduplication is on and T has no
  // content (content_hash.h).
  static absl::StatusOr<FifoTopic> Create(const FifoTopicOptions& options) {
    if (options.content_based_deduplication && !HasContent<T>) {
      return internal::MakeError(Error::kInvalidParameter,
                                 "content-based deduplication of bodies without a content; see content_hash.h");
    }
    if (options.archive_retention &&
        (*options.archive_retention < kMinRetention || *options.archive_retention > kMaxRetention)) {
      return internal::MakeError(
          Error::kInvalidParameter,
          absl::StrCat("archive retention of ", absl::FormatDuration(*options.archive_retention), "; allowed are ",
                       absl::FormatDuration(kMinRetention), " to ", absl::FormatDuration(kMaxRetention)));
    }
    return FifoTopic(options);
  }

 private:
  static constexpr absl::Duration kMinRetention = absl::Hours(24);
  static constexpr absl::Duration kMaxRetention = absl::Hours(365 * 24);

  explicit FifoTopic(const FifoTopicOptions& options)
      : Topic<T>(std::make_shared<internal::FifoTopicCore<T>>(options)) {}
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_FIFO_TOPIC_H_
