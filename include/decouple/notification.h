// What a function gets that is subscribed to a topic.
//
//   topic.Subscribe([](const decouple::Notification<Order>& placed) -> absl::Status {
//     return Mail(placed.body(), placed.subject());        // an error: it is tried again, or not, as the code says
//   });
//
// It refers to the message: the body and all else is shared with all who get it, and is valid during the call.

#ifndef DECOUPLE_NOTIFICATION_H_
#define DECOUPLE_NOTIFICATION_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "decouple/attributes.h"
#include "decouple/message.h"
#include "decouple/publication.h"

namespace decouple {

template <typename T>
class Notification {
 public:
  // For the library itself.
  Notification(const T& body, const Publication& publication, int attempt)
      : body_(body), publication_(publication), attempt_(attempt) {}

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

#endif  // DECOUPLE_NOTIFICATION_H_
