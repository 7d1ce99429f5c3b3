// What goes with a body that is published on a topic: what the publisher says and gets (PublishOptions, PublishResult),
// what every receiver is shown (Publication), and what a subscribed function is called with (Notification).
//
//   topic.Publish(Order{45}, {.subject = "new order", .attributes = {{"price", 120}}});
//
//   topic.Subscribe([](const decouple::Notification<Order>& placed) -> absl::Status {
//     return Mail(placed.body(), placed.subject());        // an error: it is tried again, or not, as the code says
//   });
//
//   if (const Publication* from = delivery.publication()) Log(from->topic(), from->id, from->subject);
//
// Names and ranges are SNS's. All are plain values but Notification, which refers to the message: the body and all else
// is shared with every receiver, and valid during the call. A publication does not change once it is published.

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

namespace decouple {

struct PublishOptions {
  // 1 … 100 printable characters of ASCII, the first of which is no space. Empty: none.
  std::string subject = {};
  MessageAttributes attributes = {};
  // MessageGroupId: 1 … 128 letters, digits and punctuation. A FIFO topic keeps the order within a group and needs one;
  // standard queues take it as the message's tenant. Empty: none.
  std::string group = {};
  // MessageDeduplicationId, of FIFO topics only: 1 … 128 letters, digits and punctuation. Empty: none.
  std::string deduplication_id = {};
};

struct PublishResult {
  MessageId message_id;
  // Of FIFO topics only. That and the id of the first publish, if this one was a duplicate.
  std::optional<SequenceNumber> sequence_number = std::nullopt;
};

// What every receiver of a published message is shown of it.
struct Publication {
  Publication() = default;

  // That which Publish() gave; the message has another in each queue.
  MessageId id;
  // Of FIFO topics only.
  std::optional<SequenceNumber> sequence_number = std::nullopt;
  absl::Time published_at;
  // Empty: none was given.
  std::string subject;
  MessageAttributes attributes;
  std::string group;
  std::string deduplication_id;

  // The name of the topic (where the service says TopicArn).
  const std::string& topic() const { return *topic_name_; }

 private:
  friend struct internal::Access;

  Publication(PublishOptions&& options, std::shared_ptr<const std::string> topic_name)
      : subject(std::move(options.subject)),
        attributes(std::move(options.attributes)),
        group(std::move(options.group)),
        deduplication_id(std::move(options.deduplication_id)),
        topic_name_(std::move(topic_name)) {}

  std::shared_ptr<const std::string> topic_name_;  // all messages of a topic share it
};

// What a subscribed function is called with.
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
  // 1 for the first.
  int attempt() const { return attempt_; }

 private:
  friend struct internal::Access;

  Notification(const T& body, const Publication& publication, int attempt)
      : body_(body), publication_(publication), attempt_(attempt) {}

  const T& body_;
  const Publication& publication_;
  const int attempt_;
};

// Whether a delivery that failed so is not tried again: the subscriber says that the message itself is at fault, as
// with an HTTP status of 4xx. All other codes are a passing trouble of the subscriber's; so is an exception.
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

}  // namespace decouple

#endif  // DECOUPLE_PUBLICATION_H_
