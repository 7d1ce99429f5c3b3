// Where work is done that is to be done elsewhere: on a thread pool of the user's, an event loop, …
//
//   Executor executor = [&](std::function<void()> task) { pool.Post(std::move(task)); };
//
// Takes a task and runs it once, later on a thread of its own or at once on the calling one. Called from any thread; it
// must not throw, and should not wait.

#ifndef DECOUPLE_EXECUTOR_H_
#define DECOUPLE_EXECUTOR_H_

#include <functional>

namespace decouple {

using Executor = std::function<void(std::function<void()>)>;

}  // namespace decouple

#endif  // DECOUPLE_EXECUTOR_H_
