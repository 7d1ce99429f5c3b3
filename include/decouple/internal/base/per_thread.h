// One value per thread of an object that several threads use: Local() is the calling thread's, which it writes with
// plain stores; ForEach() reads the values of all threads. Only one core writes to a value, so counting is free.
//
// Local() is one compare if the thread's last use of this type of object was of this one, and a look into the thread's
// record if it used this one recently. A thread that ends leaves its value to the thread that takes over its record, so
// there are no more values than there were threads at the same time.

#ifndef DECOUPLE_INTERNAL_BASE_PER_THREAD_H_
#define DECOUPLE_INTERNAL_BASE_PER_THREAD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/module_layout.h"
#include "decouple/internal/base/process.h"
#include "decouple/internal/base/thread_registry.h"

namespace decouple::inline v0_1::internal {

// No id is given twice in a process, whatever the type of the value and the module, so a cached id never stands for
// another object.
inline std::uint64_t NextOwnerId() {
  return Process().last_owner_id.fetch_add(1, std::memory_order_relaxed) + 1;  // relaxed: it has only to be unique
}

template <typename Value>
class DECOUPLE_INTERNAL_LAYOUT_TAG PerThread {
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

  // The calling thread's value, which is created on its first use.
  //
  // The object that a thread used last is kept for each User apart: a thread that alternates between two objects, as a
  // worker does that takes from one queue and puts into another, finds both if they have different users.
  template <typename User = void>
  [[gnu::always_inline]] Value& Local() {
    if (Value* const cached = CachedLocal<User>()) [[likely]]
      return *cached;
    return LocalSlow(ThreadRegistry::Current(), cached_<User>);
  }

  // Same as Local(), and RecentLocal() finds the value from now on.
  template <typename User = void>
  Value& RenewLocal() {
    return LocalSlow(ThreadRegistry::Current(), cached_<User>);
  }

  // Cached lookup; null on a miss. Non-null implies membarrier: LightFence() is a compiler barrier.
  template <typename User = void>
  [[gnu::always_inline]] Value* CachedLocal() const {
    const Cached& cached = cached_<User>;
    if (cached.owner_id != id_) [[unlikely]]
      return nullptr;
    Value* const value = cached.value;
    if (value == nullptr) __builtin_unreachable();  // so that callers compile to one check
    return value;
  }

  // Same as CachedLocal(), for a thread that goes from one object to the next: non-null if it used this one recently.
  // Does not count as the last use.
  [[gnu::always_inline]] Value* RecentLocal() const {
    if (!Membarrier::IsAvailable()) [[unlikely]]
      return nullptr;
    const ThreadRecord::Shortcut& shortcut = ShortcutIn(ThreadRegistry::Current());
    if (shortcut.owner_id != id_) [[unlikely]]
      return nullptr;
    Value* const value = &static_cast<Node*>(shortcut.kept)->value;
    if (value == nullptr) __builtin_unreachable();  // as in CachedLocal()
    return value;
  }

  // Calls visit(value) for each thread's value. The owners may write meanwhile: fields that are read here are atomics
  // with the owner as their only writer.
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

  // The object of this type that the thread used last; none while owner_id is 0. Filled only where membarrier is
  // available. It stays valid to the end of the thread, as long as the object lives: until then nobody else takes over
  // the thread's record, and with it the value.
  struct Cached {
    std::uint64_t owner_id = 0;
    Value* value = nullptr;

    // Field by field: as one, they would be read back from two stores, and stall on store forwarding.
    void Set(std::uint64_t id, Value& its_value) {
      owner_id = id;
      value = &its_value;
    }
  };

  ThreadRecord::Shortcut& ShortcutIn(ThreadRecord& record) const {
    return record.shortcuts[id_ % record.shortcuts.size()];
  }

  // Slow path: the thread used another object of this type meanwhile, or this one never.
  [[gnu::noinline]] Value& LocalSlow(ThreadRecord& record, Cached& cached) {
    ThreadRecord::Shortcut& shortcut = ShortcutIn(record);
    Value& value = shortcut.owner_id == id_ ? static_cast<Node*>(shortcut.kept)->value : FindOrCreate(record, shortcut);
    if (Membarrier::IsAvailable()) {
      cached.Set(id_, value);
      cached_<void>.Set(id_, value);  // a user that knows its type most often goes on to code that does not
    }
    return value;
  }

  Value& FindOrCreate(ThreadRecord& record, ThreadRecord::Shortcut& shortcut) {
    Node* node = first_.load(std::memory_order_acquire);
    while (node != nullptr && node->record != &record) node = node->next;
    if (node == nullptr) {
      node = new Node;
      node->record = &record;
      node->next = first_.load(std::memory_order_relaxed);
      // Release: publishes the node's fields to ForEach() and to the next owner of the record.
      while (!first_.compare_exchange_weak(node->next, node, std::memory_order_acq_rel)) {
      }
    }
    shortcut = {id_, node};
    return node->value;
  }

  template <typename User>
  static inline constinit thread_local Cached cached_{};

  const std::uint64_t id_ = NextOwnerId();
  std::atomic<Node*> first_{nullptr};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_PER_THREAD_H_
