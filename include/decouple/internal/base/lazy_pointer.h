// An object that is created on its first use, by whichever thread comes first.

#ifndef DECOUPLE_INTERNAL_BASE_LAZY_POINTER_H_
#define DECOUPLE_INTERNAL_BASE_LAZY_POINTER_H_

#include <atomic>
#include <memory>

namespace decouple::inline v0_1::internal {

// Slow path of GetOrCreate(), out of line: most calls find the object.
template <typename Object, typename... Arguments>
[[gnu::noinline]] Object* Create(std::atomic<Object*>& pointer, const Arguments&... arguments) {
  Object* object = nullptr;
  // Release: publishes what the constructor wrote. Acquire: see GetOrCreate(), if another thread was first.
  auto fresh = std::make_unique<Object>(arguments...);
  if (pointer.compare_exchange_strong(object, fresh.get(), std::memory_order_acq_rel)) object = fresh.release();
  return object;
}

// The object that `pointer` points to, created now of `arguments` if there is none; the same one for all threads. The
// owner of `pointer` deletes it.
template <typename Object, typename... Arguments>
[[gnu::always_inline]] inline Object* GetOrCreate(std::atomic<Object*>& pointer, const Arguments&... arguments) {
  // Acquire: pairs with the release in Create().
  Object* const object = pointer.load(std::memory_order_acquire);
  return object != nullptr ? object : Create(pointer, arguments...);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_LAZY_POINTER_H_
