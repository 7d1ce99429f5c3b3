// What is said with a publish beside the body, and what it gives.
//
//   topic.Publish(Order{45}, {.subject = "new order", .attributes = {{"price", 120}}});
//
// Names and ranges are SNS's. Plain values.

#ifndef DECOUPLE_PUBLISH_OPTIONS_H_
#define DECOUPLE_PUBLISH_OPTIONS_H_

#include <optional>
#include <string>

#include "decouple/attributes.h"
#include "decouple/message.h"

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

}  // namespace decouple

#endif  // DECOUPLE_PUBLISH_OPTIONS_H_
