// expect: a record processor needs ProcessRecords
#include "decouple/consumer_group.h"

struct Processor {
  void LeaseLost() {}
};

int main() {
  decouple::Stream<int> stream;
  auto group = decouple::ConsumerGroup<int>::Create(stream, {.name = "g"});
  group->AddWorker("w", [](decouple::ShardId) { return Processor(); });
}
