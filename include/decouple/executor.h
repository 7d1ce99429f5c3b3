// Runs the library's tasks where the user wants them to run: on a thread pool, in an event loop, …
//
//   Executor executor = [&](std::function<void()> task) { pool.Post(std::move(task)); };
//
// An executor takes a task and runs it once: later on a thread of its own, or at once on the calling thread. It is
// called from any thread, must not throw and should not block.

#ifndef DECOUPLE_EXECUTOR_H_
#define DECOUPLE_EXECUTOR_H_

#include <functional>

namespace decouple::inline v0_1 {

using Executor = std::function<void(std::function<void()>)>;

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_EXECUTOR_H_
