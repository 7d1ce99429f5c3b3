#include <decouple/json/filter_policy.h>
#include <decouple/standard_queue.h>
#include <decouple/topic.h>

#include <cstdio>
#include <string>

int main() {
  decouple::Topic<std::string> topic;
  decouple::StandardQueue<std::string> queue;
  const auto policy = decouple::FilterPolicy::Parse(R"({"from": ["outside"]})", decouple::FilterScope::kMessageBody);
  auto subscription = topic.Subscribe(queue, {.filter = policy}).value();
  if (!topic.Publish(R"({"from": "inside"})").ok() || !topic.Publish(R"({"from": "outside"})").ok()) return 1;
  if (queue.Counts().ready != 1) return 1;
  std::printf("%s\n", queue.Receive()->front().body().c_str());
}
