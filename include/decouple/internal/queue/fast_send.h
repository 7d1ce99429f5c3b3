// The fast paths of sends to a standard queue: one body, and several. Each is one straight line: check, admit and take
// tickets within one read section, read the clock, write the slots, publish their words, and after one light fence look
// for waiting receivers and for skipped tickets. Everything else is StandardSender's.

#ifndef DECOUPLE_INTERNAL_QUEUE_FAST_SEND_H_
#define DECOUPLE_INTERNAL_QUEUE_FAST_SEND_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/batch.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/standard_sender.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

template <typename T>
struct FastSend {
  // Every rare case is a tail call to a noinline function, so this frame spills no callee-saved registers. Keep it so
  // (exp. 21).
  static absl::StatusOr<SendResult> Send(QueueBase& queue, T&& body) {
    QueueState& q = queue.state();
    const std::size_t size = MessageSize(std::as_const(body));
    LocalQueueState* const local = q.store.CachedLocal<T>();
    if (local == nullptr) [[unlikely]]
      return AfterCacheMiss(queue, body);
    if (q.config.delay() != 0 || IsEmptyText(body) || size > q.config.max_message_size()) [[unlikely]]
      return Slow(queue, body);
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const RcuReadGuard section(local->record, MembarrierAvailable());
      is_admitted = q.gate.TryAdmit(section, *local, 1, size, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return Slow(queue, body);
    std::int64_t now = 0;
    MessageSlot* const slot = MessageLane::CachedPlaceOf(ticket, local->cursor, kStride);
    if (slot == nullptr || !q.store.TryNow(now)) [[unlikely]]
      return Admitted(q, *local, ticket, std::addressof(body));
    ConstructBody<T>(*slot, std::move(body));
    slot->sent_at.store(now, std::memory_order_relaxed);
    MessageLane::PublishOnly(*slot, local->cursor.send_word());
    CompilerFence();  // the light fence of both TicketLane and EventCount, as `local` is not null
    if (q.store.lane().MaybeSkipped(ticket) || q.store.visible().HasWaitersAfterFence()) [[unlikely]]
      return Finish(q, local->cursor.send_segment, slot, ticket);
    return SendResult{MessageId(q.identity.value(), ticket)};
  }

  // Bodies without options: one claim of consecutive tickets and one read of the clock for all of them.
  static absl::StatusOr<SentBatch> SendBatch(QueueBase& queue, std::span<T> bodies) {
    QueueState& q = queue.state();
    std::size_t bytes = 0;
    std::size_t largest = 0;
    bool is_any_empty = false;
    if constexpr (HasFixedSize<T>) {
      bytes = bodies.size() * sizeof(T);
      largest = sizeof(T);
    } else {
      for (const T& body : bodies) {
        const std::size_t size = MessageSize(body);
        bytes += size;
        largest = std::max(largest, size);
        is_any_empty = is_any_empty || IsEmptyText(body);
      }
    }
    const Limits& limits = q.config.limits();
    const bool is_plain = bodies.size() - 1 < limits.max_batch_entries && bytes <= limits.max_batch_bytes &&
                          !is_any_empty && largest <= q.config.max_message_size() && q.config.delay() == 0;
    const auto n = static_cast<std::uint32_t>(bodies.size());
    q.store.local<T>();  // makes CachedLocal() hit if the thread has used another queue since
    LocalQueueState* const local = q.store.CachedLocal<T>();
    if (local == nullptr || !is_plain) [[unlikely]]
      return SendBatchSlow(queue, bodies, bytes);
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const RcuReadGuard section(local->record, MembarrierAvailable());
      is_admitted = q.gate.TryAdmit(section, *local, n, bytes, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return SendBatchSlow(queue, bodies, bytes);
    const std::int64_t now = q.store.Now();
    T* body = bodies.data();
    q.store.lane().PublishRunOnly(ticket, n, local->cursor, kStride, [&](MessageSlot& slot, SlotState ready) {
      ConstructBody<T>(slot, std::move(*body++));
      slot.sent_at.store(now, std::memory_order_relaxed);
      return ready;
    });
    DECOUPLE_ASSERT(body == bodies.data() + n);
    CompilerFence();  // as in Send()
    if (q.store.lane().MaybeSkipped(ticket) || q.store.visible().HasWaitersAfterFence()) [[unlikely]]
      StandardSender(q).NotifyReceiversOfRun(*local, ticket, n);
    StandardSender(q).RunTimeoutsOncePerSegment(*local, ticket + n, n, now);
    return Access::Make<SentBatch>(q.identity.value(), ticket, n);
  }

 private:
  static constexpr std::uint32_t kStride = BodyLayout<T>::kStride;

  // This thread's cached state belongs to another queue. Look it up, then try again.
  [[gnu::noinline]] static absl::StatusOr<SendResult> AfterCacheMiss(QueueBase& queue, T& body) {
    queue.state().store.local<T>();
    if (queue.state().store.CachedLocal<T>() == nullptr) return Slow(queue, body);
    return Send(queue, std::move(body));
  }
  [[gnu::noinline]] static absl::StatusOr<SendResult> Slow(QueueBase& queue, T& body) {
    return queue.Send(std::addressof(body), SendOptions());
  }
  [[gnu::noinline]] static absl::StatusOr<SendResult> Admitted(QueueState& q, LocalQueueState& local,
                                                               std::uint64_t ticket, void* body) {
    return StandardSender(q).SendAdmitted(local, ticket, body);
  }
  [[gnu::noinline]] static absl::StatusOr<SendResult> Finish(QueueState& q, MessageSegment* segment, MessageSlot* slot,
                                                             std::uint64_t ticket) {
    StandardSender(q).NotifyReceivers({segment, slot}, ticket);
    return SendResult{MessageId(q.identity.value(), ticket)};
  }

  [[gnu::noinline]] static absl::StatusOr<SentBatch> SendBatchSlow(QueueBase& queue, std::span<T> bodies,
                                                                   std::size_t bytes) {
    if (queue.deleted()) return DoesNotExistError(queue);
    absl::Status status = CheckBatchSize(bodies.size(), queue.limits());
    status.Update(CheckBatchBytes(bytes, queue.limits()));
    if (!status.ok()) return status;
    SendOutcomes results;
    for (T& body : bodies) results.push_back(Send(queue, std::move(body)));
    return Access::Make<SentBatch>(std::move(results));
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_FAST_SEND_H_
