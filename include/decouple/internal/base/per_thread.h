// A value of an object for each thread that uses it: Local() is the caller's own, which it writes with plain stores;
// ForEach() reads them all. What one thread owns never bounces between cores, so counting is free.
//
// Local() is one compare when the thread used this object last of all of its type, and a look into the thread's record
// when it used it lately. A thread that ends leaves its value to the next thread that takes over its record, so there
// are no more values than threads at a time.

#ifndef DECOUPLE_INTERNAL_BASE_PER_THREAD_H_
#define DECOUPLE_INTERNAL_BASE_PER_THREAD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/thread_registry.h"

namespace decouple::internal {

// Never given twice, whatever the type of the value, so a shortcut never lies.
inline std::uint64_t NextOwnerId() {
  static constinit std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

template <typename Value>
class PerThread {
 public:
  PerThread() = default;
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  ~PerThread() {
    for (Node* node = first_.load(std::memory_order_acquire); node != nullptr;) {
      Node* const next = node->next;
      delete node;
      node = next;
    }
  }

  [[gnu::always_inline]] Value& Local() {
    if (Value* const known = CachedLocal()) [[likely]]
      return *known;
    return LocalSlow(ThreadRegistry::Current());
  }

  // The same if it is as simple as that, else null. Who has got one here knows that light fences are free: so a path
  // that begins with it need not ask at each of them.
  [[gnu::always_inline]] Value* CachedLocal() const {
    if (last_.owner_id != id_) [[unlikely]]
      return nullptr;
    Value* const value = last_.value;
    if (value == nullptr) __builtin_unreachable();  // so that nobody asks twice
    return value;
  }

  // The same as CachedLocal() for who goes from one object to the next: the caller's own if it used this one lately. It does
  // not count as used last.
  [[gnu::always_inline]] Value* RecentLocal() const {
    if (ThreadRegistry::ReadersMustFence()) [[unlikely]]
      return nullptr;
    const ThreadRecord::Shortcut& shortcut = ShortcutIn(ThreadRegistry::Current());
    if (shortcut.owner_id != id_) [[unlikely]]
      return nullptr;
    Value* const value = &static_cast<Node*>(shortcut.kept)->value;
    if (value == nullptr) __builtin_unreachable();  // as in CachedLocal()
    return value;
  }

  // Values of other threads may change meanwhile: their fields are atomics of which only the owner is a writer.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Node* node = first_.load(std::memory_order_acquire); node != nullptr; node = node->next) {
      visit(node->value);
    }
  }

 private:
  struct alignas(kCacheLine) Node {
    Value value{};
    const ThreadRecord* record = nullptr;
    Node* next = nullptr;
  };

  // What a thread used last.
  struct Last : ThreadMemory {
    Value* value = nullptr;
  };

  ThreadRecord::Shortcut& ShortcutIn(ThreadRecord& record) const {
    return record.shortcuts[id_ % record.shortcuts.size()];
  }

  [[gnu::noinline]] Value& LocalSlow(ThreadRecord& record) {
    ThreadRecord::Shortcut& shortcut = ShortcutIn(record);
    Value& value = shortcut.owner_id == id_ ? static_cast<Node*>(shortcut.kept)->value : Find(record, shortcut);
    if (!ThreadRegistry::ReadersMustFence()) {
      ThreadRegistry::List(last_);
      last_.owner_id = id_;
      last_.value = &value;
    }
    return value;
  }

  Value& Find(ThreadRecord& record, ThreadRecord::Shortcut& shortcut) {
    Node* node = first_.load(std::memory_order_acquire);
    while (node != nullptr && node->record != &record) node = node->next;
    if (node == nullptr) {
      node = new Node;
      node->record = &record;
      node->next = first_.load(std::memory_order_relaxed);
      // Publishes the node's fields to ForEach() and to the next owner of the record.
      while (!first_.compare_exchange_weak(node->next, node, std::memory_order_acq_rel)) {
      }
    }
    shortcut = {id_, node};
    return node->value;
  }

  static inline constinit thread_local Last last_{};

  const std::uint64_t id_ = NextOwnerId();
  std::atomic<Node*> first_{nullptr};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_PER_THREAD_H_
