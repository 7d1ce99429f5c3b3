// Objects that exist from their first use on.

#ifndef DECOUPLE_INTERNAL_GET_OR_CREATE_H_
#define DECOUPLE_INTERNAL_GET_OR_CREATE_H_

#include <atomic>
#include <memory>

namespace decouple::internal {

// The object that `pointer` points to, made now if there is none; one and the same for all threads. Who owns `pointer`
// deletes it.
template <typename Object>
Object* GetOrCreate(std::atomic<Object*>& pointer) {
  // The acquires pair with the winner's release: they publish what the constructor wrote.
  Object* object = pointer.load(std::memory_order_acquire);
  if (object != nullptr) [[likely]]
    return object;
  auto fresh = std::make_unique<Object>();
  if (pointer.compare_exchange_strong(object, fresh.get(), std::memory_order_acq_rel)) object = fresh.release();
  return object;
}

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_GET_OR_CREATE_H_
