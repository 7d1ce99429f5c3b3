// A shared object that includes the library: built with hidden symbols and without, by either compiler, and with
// headers of another version and of another revision.

#include "shared_queue.h"

#include "decouple/standard_queue.h"

namespace {

using LetterQueue = decouple::StandardQueue<Letter>;

LetterQueue& QueueAt(void* queue) { return *static_cast<LetterQueue*>(queue); }

void* MakeQueue() { return new LetterQueue; }
void DestroyQueue(void* queue) { delete static_cast<LetterQueue*>(queue); }

void Send(void* queue, int messages) {
  for (int i = 0; i < messages; ++i) QueueAt(queue).Send(Letter{i, "from a plugin"}).IgnoreError();
}

int Drain(void* queue, int most) {
  int received = 0;
  while (received < most) {
    auto letters = QueueAt(queue).Receive({.wait = absl::Seconds(5)});
    if (letters->empty()) break;
    letters->front().Delete().IgnoreError();
    ++received;
  }
  return received;
}

bool Alternate(void* queue, int messages) {
  LetterQueue own;
  const auto before = QueueAt(queue).Counts().ready;
  for (int i = 0; i < messages; ++i) {
    QueueAt(queue).Send(Letter{i, "to the host's queue, long enough for the heap"}).IgnoreError();
    own.Send(Letter{i, "own"}).IgnoreError();
  }
  for (int i = 0; i < messages; ++i) {
    auto letters = own.Receive();
    if (letters->empty() || letters->front().body().text != "own") return false;
    letters->front().Delete().IgnoreError();
  }
  return own.Receive()->empty() && QueueAt(queue).Counts().ready == before + messages;
}

void* Process() { return &decouple::internal::Process(); }

bool HasRecord() {
  const decouple::internal::ThreadRecord* const own = &decouple::internal::ThreadRegistry::Current();
  const auto* record = decouple::internal::ThreadRegistry::First();
  while (record != nullptr && record != own) record = record->next;
  return record != nullptr;
}

}  // namespace

extern "C" [[gnu::visibility("default")]] const Plugin decouple_test_plugin;
const Plugin decouple_test_plugin = {&MakeQueue, &DestroyQueue, &Alternate, &Send, &Drain, &Process, &HasRecord};
