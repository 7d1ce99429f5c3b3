// Runs the library's tasks where the user wants them to run: on a thread pool, in an event loop, …
//
//   Executor executor = [&](std::function<void()> task) { pool.Post(std::move(task)); };
//
// An executor takes a task and runs it once: later on a thread of its own, or at once on the calling thread. It is
// called from any thread and should not block.
//
// A pool that is full may drop the task, by destroying it and all its copies, or throw: no message or record is lost by
// that, and the call of the library within which it happens does not fail. What the task had to do waits, and is handed
// over again with the next message or record, by Deliver(), or, where the library looks by itself, a second later. A
// copy that is kept and never run holds up its subscription for as long. Of a task that is run twice, the second run
// does nothing.

#ifndef DECOUPLE_EXECUTOR_H_
#define DECOUPLE_EXECUTOR_H_

#include <functional>

namespace decouple::inline v0_1 {

using Executor = std::function<void(std::function<void()>)>;

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_EXECUTOR_H_
