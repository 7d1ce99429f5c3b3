// Which topics may send to a queue.
//
//   auto audited = StandardQueue<Order>::Create({.senders = AllowSenders{{placed, cancelled}}});
//
// This is what is left of SQS's access policy within one process. It does not restrict Send(): every holder of a
// queue's handle may send. Topics are compared by identity, not by name. All of these are plain values.

#ifndef DECOUPLE_ACCESS_POLICY_H_
#define DECOUPLE_ACCESS_POLICY_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "decouple/internal/base/access.h"

namespace decouple::inline v0_1 {

template <typename T>
class Topic;

// Refers to a topic of any kind and body type, without keeping it alive.
class TopicReference {
 public:
  template <typename T>
  TopicReference(const Topic<T>& topic) : identity_(topic.identity()) {}  // NOLINT: any topic is one

  friend bool operator==(const TopicReference&, const TopicReference&) = default;

 private:
  friend struct internal::Access;

  std::uint64_t identity_;
};

// A topic that is not allowed cannot subscribe the queue: kAccessDenied. If the queue is subscribed already, the
// topic's deliveries to it fail permanently from then on.
struct AllowAllSenders {
  friend bool operator==(const AllowAllSenders&, const AllowAllSenders&) = default;
};
struct AllowSenders {
  std::vector<TopicReference> topics;  // empty: no topic may send

  friend bool operator==(const AllowSenders&, const AllowSenders&) = default;
};
using SendersPolicy = std::variant<AllowAllSenders, AllowSenders>;

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_ACCESS_POLICY_H_
