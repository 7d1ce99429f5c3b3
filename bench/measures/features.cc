// The cost of each feature: an attribute, a message group on a standard queue (fair queues), a topic, a filter, and
// reading statistics.

#include <cstddef>
#include <string>
#include <utility>

#include "decouple/filter_expression.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "measures/measures.h"

namespace {

using Queue = decouple::StandardQueue<std::size_t>;

constexpr std::size_t kCycles = 200'000;

void ReceiveAndDelete(Queue& queue) {
  for (auto& delivery : *queue.Receive()) delivery.Delete().IgnoreError();
}

// send() sends one message into `queue`.
template <typename Send>
void Measure(const char* name, Queue& queue, Send send) {
  const double nanos = MedianNanos(kCycles, [&] {
    for (std::size_t i = 0; i < kCycles; ++i) {
      send();
      ReceiveAndDelete(queue);
    }
  });
  Print(name, nanos, "ns");
}

}  // namespace

void MeasureFeatures() {
  {
    Queue queue;
    Measure("feature_none", queue, [&] { queue.Send(1).IgnoreError(); });
    Measure("feature_attribute", queue, [&] { queue.Send(1, {.attributes = {{"price", 120}}}).IgnoreError(); });
    Print("feature_statistics_once",
          MedianNanos(1'000,
                      [&] {
                        for (int i = 0; i < 1'000; ++i) static_cast<void>(queue.Statistics());
                      }),
          "ns");
  }
  {
    Queue queue;
    Measure("feature_group", queue, [&] { queue.Send(1, {.group = "customer-7"}).IgnoreError(); });
  }
  {
    Queue queue;
    decouple::Topic<std::size_t> topic;
    topic.Subscribe(queue)->Detach();
    Measure("feature_topic", queue, [&] { topic.Publish(1).IgnoreError(); });
    Measure("feature_topic_attribute", queue, [&] {
      topic.Publish(1, {.attributes = {{"price", 120}}}).IgnoreError();
    });
  }
  {
    Queue queue;
    decouple::Topic<std::size_t> topic;
    topic.Subscribe(queue, {.filter = decouple::Attribute("price") > 100})->Detach();
    Measure("feature_topic_attribute_filter", queue, [&] {
      topic.Publish(1, {.attributes = {{"price", 120}}}).IgnoreError();
    });
  }
}
