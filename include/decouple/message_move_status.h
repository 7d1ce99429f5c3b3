// The states of a task that moves messages from a dead-letter queue (message_move_task.h).

#ifndef DECOUPLE_MESSAGE_MOVE_STATUS_H_
#define DECOUPLE_MESSAGE_MOVE_STATUS_H_

namespace decouple::inline v0_1 {

// As SQS reports them. kCancelling: cancelled while a step runs, which ends the task.
enum class MessageMoveStatus { kRunning, kCompleted, kCancelling, kCancelled, kFailed };

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_MESSAGE_MOVE_STATUS_H_
