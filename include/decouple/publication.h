// What is said of a message when it is published on a topic, beside its body. All who get the message see the same one.
//
//   if (const Publication* from = delivery.publication()) Log(from->topic(), from->id, from->subject);
//
// A plain value, which does not change once the message is published.

#ifndef DECOUPLE_PUBLICATION_H_
#define DECOUPLE_PUBLICATION_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "decouple/attributes.h"
#include "decouple/message.h"

namespace decouple {

struct Publication {
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
  const std::string& topic() const { return *topic_name; }

  // For the library itself: all messages of a topic share its name.
  std::shared_ptr<const std::string> topic_name;
};

}  // namespace decouple

#endif  // DECOUPLE_PUBLICATION_H_
