// Objects that exist from their first use on.

#ifndef DECOUPLE_INTERNAL_BASE_LAZY_POINTER_H_
#define DECOUPLE_INTERNAL_BASE_LAZY_POINTER_H_

#include <atomic>
#include <memory>

namespace decouple::internal {

// See GetOrCreate(), which is in line wherever it is used: most calls find the object.
template <typename Object>
[[gnu::noinline]] Object* Create(std::atomic<Object*>& pointer) {
  Object* object = nullptr;
  auto fresh = std::make_unique<Object>();
  if (pointer.compare_exchange_strong(object, fresh.get(), std::memory_order_acq_rel)) object = fresh.release();
  return object;
}

// The object that `pointer` points to, made now if there is none; one and the same for all threads. Who owns `pointer`
// deletes it.
template <typename Object>
[[gnu::always_inline]] inline Object* GetOrCreate(std::atomic<Object*>& pointer) {
  // Acquire, as in the exchange: pairs with the winner's release, which publishes what the constructor wrote.
  Object* const object = pointer.load(std::memory_order_acquire);
  return object != nullptr ? object : Create(pointer);
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_LAZY_POINTER_H_
