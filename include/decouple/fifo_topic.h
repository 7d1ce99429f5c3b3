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
    using Core = internal::FifoTopicCore<T>;
    absl::Status status = Core::CheckContentBased(options.content_based_deduplication);
    // 0 as attributes() gives it.
    if (options.archive_retention && *options.archive_retention != absl::ZeroDuration()) {
      status.Update(Core::CheckArchiveRetention(*options.archive_retention));
    }
    if (!status.ok()) return status;
    return FifoTopic(options);
  }

 private:
  explicit FifoTopic(const FifoTopicOptions& options)
      : Topic<T>(std::make_shared<internal::FifoTopicCore<T>>(options)) {}
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_FIFO_TOPIC_H_
