// What accompanies a body that is published on a topic: what the publisher passes and gets (PublishOptions,
// PublishResult), what every receiver sees (Publication), and the argument of a subscribed function (Notification).
//
//   topic.Publish(Order{45}, {.subject = "new order", .attributes = {{"price", 120}}}).IgnoreError();
//
//   auto mail = topic.Subscribe([](const decouple::Notification<Order>& placed) -> absl::Status {
//     return Mail(placed.body(), placed.subject());        // the code of an error decides whether it is tried again
//   });
//
//   if (const decouple::Publication* from = delivery.publication()) Log(from->topic(), from->id, from->subject);
//
// Names and ranges are SNS's. All are plain values except Notification, which refers to the message: the body and
// everything else is shared with all receivers, and valid during the call. A publication is immutable.

#ifndef DECOUPLE_PUBLICATION_H_
#define DECOUPLE_PUBLICATION_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "decouple/internal/base/access.h"
#include "decouple/message.h"
#include "decouple/message_attributes.h"

namespace decouple::inline v0_1 {

struct PublishOptions {
  // 1 … 100 printable ASCII characters, not beginning with a space. Empty: no subject.
  std::string subject = {};
  MessageAttributes attributes = {};
  // MessageGroupId: 1 … 128 letters, digits and punctuation; an empty text is an error. A FIFO topic keeps the order
  // within a group and requires a group; standard queues take it as the message's tenant. By default there is no group.
  std::optional<std::string> group = std::nullopt;
  // MessageDeduplicationId, for FIFO topics only: 1 … 128 letters, digits and punctuation; an empty text is an error.
  // By default there is none, which a FIFO topic takes only with content-based deduplication.
  std::optional<std::string> deduplication_id = std::nullopt;
};

struct PublishResult {
  MessageId message_id;
  // Set by FIFO topics only. After a duplicate publish, this and the id are those of the first publish.
  std::optional<SequenceNumber> sequence_number = std::nullopt;
};

// What every receiver of a published message can see of its publication.
struct Publication {
  Publication() = default;

  // The id that Publish() returned; in each queue the message has another id.
  MessageId id;
  // Set by FIFO topics only.
  std::optional<SequenceNumber> sequence_number = std::nullopt;
  absl::Time published_at;
  // Empty if none was given.
  std::string subject;
  MessageAttributes attributes;
  // Each is empty if there is none.
  std::string group;
  std::string deduplication_id;

  // The name of the topic (the service's TopicArn); empty for a publication that is of none, as a default-constructed
  // one.
  const std::string& topic() const {
    static const std::string& none = *new std::string;  // never destroyed: statics may ask when the program ends
    return topic_name_ == nullptr ? none : *topic_name_;
  }

 private:
  friend struct internal::Access;

  Publication(PublishOptions&& options, std::shared_ptr<const std::string> topic_name)
      : subject(std::move(options.subject)),
        attributes(std::move(options.attributes)),
        group(std::move(options.group).value_or(std::string())),
        deduplication_id(std::move(options.deduplication_id).value_or(std::string())),
        topic_name_(std::move(topic_name)) {}

  std::shared_ptr<const std::string> topic_name_;  // shared by all publications of a topic
};

// The argument of a subscribed function.
template <typename T>
class Notification {
 public:
  const T& body() const { return body_; }
  const Publication& publication() const { return publication_; }
  const MessageId& id() const { return publication_.id; }
  const std::string& topic() const { return publication_.topic(); }
  const std::string& subject() const { return publication_.subject; }
  const MessageAttributes& attributes() const { return publication_.attributes; }
  absl::Time published_at() const { return publication_.published_at; }
  // 1 for the first attempt to deliver the message to this function.
  int attempt() const { return attempt_; }

 private:
  friend struct internal::Access;

  Notification(const T& body, const Publication& publication, int attempt)
      : body_(body), publication_(publication), attempt_(attempt) {}

  const T& body_;
  const Publication& publication_;
  const int attempt_;
};

// Whether a delivery that failed with `status` is not tried again, because the subscriber says by the code that the
// message itself is at fault (like an HTTP status 4xx). All other codes, and exceptions, are temporary failures.
inline bool IsPermanentFailure(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_PUBLICATION_H_
