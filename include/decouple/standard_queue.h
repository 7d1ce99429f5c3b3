// A queue hands each message to one receiver at a time and keeps it until that receiver deletes it.
//
//   decouple::StandardQueue<Job> jobs;
//   jobs.Send(Job{"encode", "cat.mp4"}).IgnoreError();
//   for (auto& job : jobs.Receive({.wait = absl::Seconds(20)}).value()) {
//     if (Encode(job.body()).ok()) job.Delete().IgnoreError();  // else it is visible again after 30 s
//   }
//
// Delivery is at least once, in about the order of sending. A message leaves the queue by deletion, when its retention
// ends, or by a purge; all of these are counted.
//
// T is any type that can be moved and destroyed without throwing; it need not be copyable. A body is never copied, is
// immutable once sent, and is destroyed on whichever thread is the last to need it: so its destructor may use the
// queue, but must not be waited for by a thread that does.
// Its move must use no queue: a body is moved when it is sent, and when it is one of few that stay while those around it
// went.
//
// A StandardQueue is a handle, as a std::shared_ptr is: copies are the same queue, which lives as long as one of them.
// All members may be called from any thread at the same time. Send, Receive and Delete take no lock and, in the steady
// state, no memory; they cost O(messages concerned), and now and then a bounded share of what timeouts have left to do.
// Nothing throws: when memory runs out the process ends.

#ifndef DECOUPLE_STANDARD_QUEUE_H_
#define DECOUPLE_STANDARD_QUEUE_H_

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/batch.h"
#include "decouple/delivery.h"
#include "decouple/error.h"
#include "decouple/internal/queue_core.h"
#include "decouple/internal/queue_settings.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"
#include "decouple/statistics.h"

namespace decouple {

template <typename T>
class StandardQueue {
 public:
  using Body = T;

  // With the documented defaults.
  StandardQueue() : StandardQueue(StandardQueueOptions()) {}

  // kInvalidAttributeValue: an option is out of its range.
  static absl::StatusOr<StandardQueue> Create(StandardQueueOptions options) {
    if (absl::Status status = internal::CheckQueueAttributes(AttributesOf(options), options.limits); !status.ok()) {
      return status;
    }
    return StandardQueue(std::move(options));
  }

  // Sends a message. With options: a delay, attributes, a group.
  // kInvalidParameterValue: too large, or an option out of its range. kMissingParameter: an empty string.
  // kQueueClosed. kQueueFull: there was no room (in the time that Block gives). The body is consumed only on success.
  absl::StatusOr<SendResult> Send(T&& body) noexcept { return core_->Send(std::move(body)); }
  absl::StatusOr<SendResult> Send(T&& body, SendOptions options) noexcept {
    return core_->Send(std::move(body), std::move(options));
  }
  absl::StatusOr<SendResult> Send(const T& body) requires std::copy_constructible<T> { return core_->Send(T(body)); }
  absl::StatusOr<SendResult> Send(const T& body, SendOptions options) requires std::copy_constructible<T> {
    return core_->Send(T(body), std::move(options));
  }

  // Sends up to ten messages; see batch.h. The bodies and options of entries that were sent are moved from.
  absl::StatusOr<SendBatchResults> SendBatch(std::span<SendBatchEntry<T>> entries) noexcept {
    return core_->SendBatch(entries);
  }

  // What is there, up to `max_messages`, at once; waits, if asked to, only while there is nothing. May give nothing.
  // kInvalidParameterValue: an option out of its range. kOverLimit: too many in flight (with a wait: nothing instead).
  // kQueueClosed: closed and drained. Closing the queue ends a wait.
  ReceiveResult<T> Receive(const ReceiveOptions& options = {}) noexcept { return core_->Receive(options); }

  // By receipt, as by the delivery itself (see Delivery). kReceiptHandleIsInvalid: it is of another queue.
  absl::Status Delete(const ReceiptHandle& receipt) noexcept { return core_->receipts().Delete(receipt); }
  absl::Status ChangeVisibility(const ReceiptHandle& receipt, absl::Duration visibility_timeout) noexcept {
    return core_->receipts().ChangeVisibility(receipt, visibility_timeout);
  }
  absl::StatusOr<StatusBatchResults> DeleteBatch(std::span<const DeleteBatchEntry> entries) noexcept {
    return core_->DeleteBatch(entries);
  }
  absl::StatusOr<StatusBatchResults> ChangeVisibilityBatch(
      std::span<const ChangeVisibilityBatchEntry> entries) noexcept {
    return core_->ChangeVisibilityBatch(entries);
  }

  // Removes every message that was sent before, in flight and delayed ones too. O(messages).
  // kPurgeQueueInProgress: the last purge was less than 60 s ago.
  absl::Status Purge() noexcept { return core_->Purge(); }

  // Changes options; all, or on kInvalidAttributeValue none.
  absl::Status SetAttributes(const QueueAttributes& attributes) noexcept { return core_->SetAttributes(attributes); }

  // First works off all timeouts that are due: O(threads + what is due).
  MessageCounts Counts() const noexcept { return core_->Counts(); }
  // O(messages in flight or delayed + segments).
  QueueStatistics Statistics() const noexcept { return core_->Statistics(); }

  // No more sends from now on: they fail with kQueueClosed. Who waits for a message wakes at once. What is there can
  // still be received and deleted. Closing twice is closing once.
  void Close() noexcept { core_->Close(); }
  bool closed() const noexcept { return core_->closed(); }
  // Closed, and every message is gone.
  bool drained() const noexcept { return core_->drained(); }

  const std::string& name() const { return core_->name(); }

  // Whether both are handles of one queue.
  friend bool operator==(const StandardQueue&, const StandardQueue&) = default;

 private:
  using Core = internal::QueueCore<T>;

  explicit StandardQueue(StandardQueueOptions options)
      : core_(new Core(AttributesOf(options), options.limits, std::move(options.name), options.seed, options.clock),
              [](Core* core) { core->Abandon(); }) {}

  static QueueAttributes AttributesOf(const StandardQueueOptions& options) {
    return {.visibility_timeout = options.visibility_timeout,
            .retention = options.retention,
            .delay = options.delay,
            .receive_wait = options.receive_wait,
            .max_message_size = options.max_message_size.value_or(options.limits.largest_max_message_size),
            .max_in_flight = options.max_in_flight.value_or(options.limits.max_in_flight),
            .capacity = options.capacity};
  }

  std::shared_ptr<Core> core_;
};

}  // namespace decouple

#endif  // DECOUPLE_STANDARD_QUEUE_H_
