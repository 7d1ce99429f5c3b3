// The ways of a message into a standard queue: a send, a batch of sends, a delivery by a topic, and a transfer from
// another queue.
//
// Each of the three fast paths (Send, SendBatch of bodies, Enqueue) is one straight line: check, admit and take tickets
// within one read section, read the clock, write the slots, publish their words, and after one light fence look for
// waiting receivers and for skipped tickets. The slow paths do the same by way of MessageWriter, with waiting for room,
// delays and metadata.
//
// StandardSender is the sending half of StandardQueueCore, which adds the receiving half.

#ifndef DECOUPLE_INTERNAL_QUEUE_STANDARD_SENDER_H_
#define DECOUPLE_INTERNAL_QUEUE_STANDARD_SENDER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/batch.h"
#include "decouple/clock.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/message_writer.h"
#include "decouple/internal/queue/queue_core.h"
#include "decouple/internal/queue/queue_rules.h"
#include "decouple/internal/queue/redrive/message_transfer.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class StandardSender : public QueueCore<T> {
  using Base = QueueCore<T>;

 public:
  using typename Base::Lane;
  using typename Base::LocalState;
  using typename Base::Message;
  using typename Base::Store;

  // Fast path. Every rare case is a tail call to a noinline function, so this frame spills no callee-saved registers.
  // Keep it so (exp. 21).
  absl::StatusOr<SendResult> Send(T&& body) {
    const std::size_t size = MessageSize(std::as_const(body));
    LocalState* const local = store_.CachedLocal();
    if (local == nullptr) [[unlikely]]
      return SendAfterCacheMiss(std::move(body));
    if (config_.delay() != 0 || !IsBodyAllowed(config_, body, size)) [[unlikely]]
      return SendSlow(std::move(body));
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const RcuReadGuard section(local->record, MembarrierAvailable());
      is_admitted = capacity_gate_.TryAdmit(section, *local, 1, size, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return SendSlow(std::move(body));
    std::int64_t now = 0;
    MessageSlot<T>* const slot = Lane::CachedPlaceOf(ticket, local->cursor);
    if (slot == nullptr || !store_.TryNow(now)) [[unlikely]]
      return SendAdmitted(*local, ticket, std::move(body));
    const SlotState ready = MessageWriter<T>::WritePlain(*slot, local->cursor.send_word(), now, ConstructFrom(body));
    Lane::PublishOnly(*slot, ready);
    CompilerFence();  // the light fence of both TicketLane and EventCount, as `local` is not null
    if (store_.lane().MaybeSkipped(ticket) || store_.visible().HasWaitersAfterFence()) [[unlikely]]
      return FinishSend(local->cursor.send_segment, slot, ticket);
    return SendResult{MessageId(this->identity(), ticket)};
  }

  absl::StatusOr<SendResult> Send(T&& body, SendOptions&& options) final {
    const std::size_t size = Base::SizeOf(body, options);
    absl::Status status = checks_.CheckBody(body, size);
    status.Update(checks_.CheckStandardSendOptions(options));
    if (!status.ok()) return status;
    LocalState& local = store_.local();
    std::uint64_t ticket = 0;
    if (!capacity_gate_.TryAdmit(local, 1, size, ticket)) {
      status = Admit(local, size, ticket);
      if (!status.ok()) return status;
    }
    const std::int64_t now = store_.Now();
    Publish(local, ticket, std::move(body), std::move(options), now);
    store_.visible().Notify(1);
    RunTimeoutsOncePerSegment(local, ticket + 1, 1, now);
    return SendResult{MessageId(this->identity(), ticket)};
  }

  // Fast path for bodies without options: one claim of consecutive tickets and one read of the clock for all of them.
  absl::StatusOr<SentBatch> SendBatch(std::span<T> bodies) {
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
    const Limits& limits = config_.limits();
    const bool is_plain = bodies.size() - 1 < limits.max_batch_entries && bytes <= limits.max_batch_bytes &&
                          !is_any_empty && largest <= config_.max_message_size() && config_.delay() == 0;
    const auto n = static_cast<std::uint32_t>(bodies.size());
    store_.local();  // makes CachedLocal() hit if the thread has used another queue since
    LocalState* const local = store_.CachedLocal();
    if (local == nullptr || !is_plain) [[unlikely]]
      return SendBatchSlow(bodies, bytes);
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const RcuReadGuard section(local->record, MembarrierAvailable());
      is_admitted = capacity_gate_.TryAdmit(section, *local, n, bytes, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return SendBatchSlow(bodies, bytes);
    const std::int64_t now = store_.Now();
    T* body = bodies.data();
    writer_.PublishPlainRun(*local, ticket, n, now,
                            [&body](MessageSlot<T>& slot) { return slot.Construct(std::move(*body++)); });
    DECOUPLE_ASSERT(body == bodies.data() + n);
    CompilerFence();  // as in Send()
    if (store_.lane().MaybeSkipped(ticket) || store_.visible().HasWaitersAfterFence()) [[unlikely]]
      NotifyReceiversOfRun(*local, ticket, n);
    RunTimeoutsOncePerSegment(*local, ticket + n, n, now);
    return Access::Make<SentBatch>(this->identity(), ticket, n);
  }

  absl::StatusOr<SendOutcomes> SendBatch(std::span<SendBatchEntry<T>> entries) final {
    auto results = this->CheckSendBatch(
        entries, [this](const SendOptions& options) { return checks_.CheckStandardSendOptions(options); });
    if (results.ok()) SendValidEntries(entries, *results);
    return results;
  }

  bool EnqueueTransfer(Transfer<T>& transfer) final {
    DECOUPLE_ASSERT(transfer.metadata != nullptr);
    LocalState& local = store_.local();
    std::uint64_t ticket = 0;
    if (!capacity_gate_.TryAdmitOne(local, transfer.bytes, ticket)) return false;
    local.counts.taken_over.Add(1);
    local.counts.taken_over_bytes.Add(transfer.bytes);
    const std::int64_t sent_at = transfer.is_dead_letter ? transfer.sent_at : store_.Now();
    writer_.PublishTransferred(local, ticket, std::move(transfer.metadata), sent_at, transfer.ConstructBody());
    store_.visible().Notify(1);
    return true;
  }

  // Fast path, as Send(). A topic goes from queue to queue, so the thread's state is looked up by RecentLocal().
  Acceptance Enqueue(const TopicDelivery& delivery) final {
    const std::size_t bytes = delivery.body->bytes();
    LocalState* const local = store_.RecentLocal();
    if (local == nullptr) [[unlikely]]
      return EnqueueAfterCacheMiss(delivery);
    if (!delivery.IsPlain() || !this->senders().AllowsEverybody() || config_.delay() != 0 ||
        !IsBodyAllowed(config_, *static_cast<const T*>(delivery.body->body()), bytes)) [[unlikely]]
      return EnqueueSlow(delivery);
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const RcuReadGuard section(local->record, MembarrierAvailable());
      is_admitted = capacity_gate_.TryAdmit(section, *local, 1, bytes, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return EnqueueSlow(delivery);
    MessageSlot<T>* const slot = Lane::CachedPlaceOf(ticket, local->cursor);
    if (slot == nullptr || delivery.clock != &this->clock_) [[unlikely]]
      return EnqueueAdmitted(*local, ticket, delivery);
    Lane::PublishOnly(
        *slot, MessageWriter<T>::WritePlain(*slot, local->cursor.send_word(), delivery.now, ShareFrom(delivery)));
    CompilerFence();  // as in Send()
    if (store_.lane().MaybeSkipped(ticket) || store_.visible().HasWaitersAfterFence()) [[unlikely]]
      return FinishEnqueue(local->cursor.send_segment, slot, ticket);
    return Acceptance::kTaken;
  }

 protected:
  StandardSender(const Limits& limits, std::string name, std::uint64_t seed, Clock* clock)
      : Base(kStandardRules, nullptr, limits, std::move(name), seed, clock) {}

  using Base::checks_;
  using Base::config_;
  using Base::store_;

 private:
  using Base::capacity_gate_;
  using Base::writer_;

  // Slow path: this thread's cached state belongs to another queue. Look it up, then retry.
  [[gnu::noinline]] absl::StatusOr<SendResult> SendAfterCacheMiss(T&& body) {
    store_.local();
    return store_.CachedLocal() != nullptr ? Send(std::move(body)) : SendSlow(std::move(body));
  }
  // Slow path, as above: the thread has used many other queues since.
  [[gnu::noinline]] Acceptance EnqueueAfterCacheMiss(const TopicDelivery& delivery) {
    store_.local();
    return store_.RecentLocal() != nullptr ? Enqueue(delivery) : EnqueueSlow(delivery);
  }

  [[gnu::noinline]] absl::StatusOr<SendResult> SendSlow(T&& body) { return Send(std::move(body), SendOptions()); }

  // Slow paths once the message has its ticket: the thread sends into a part of the lane that it does not know yet, or
  // the clock must be asked another way.
  [[gnu::noinline]] absl::StatusOr<SendResult> SendAdmitted(LocalState& local, std::uint64_t ticket, T&& body) {
    PublishAdmitted(local, ticket, store_.Now(), ConstructFrom(body));
    return SendResult{MessageId(this->identity(), ticket)};
  }
  [[gnu::noinline]] Acceptance EnqueueAdmitted(LocalState& local, std::uint64_t ticket, const TopicDelivery& delivery) {
    PublishAdmitted(local, ticket, this->NowOf(delivery), ShareFrom(delivery));
    return Acceptance::kTaken;
  }
  template <typename Construct>
  void PublishAdmitted(LocalState& local, std::uint64_t ticket, std::int64_t now, Construct construct) {
    writer_.PublishPlain(local, ticket, now, construct);
    store_.visible().Notify(1);
    RunTimeoutsOncePerSegment(local, ticket + 1, 1, now);
  }

  // Slow paths once the message is published: a receiver waits for it, or its ticket may have been skipped.
  [[gnu::noinline]] absl::StatusOr<SendResult> FinishSend(typename Store::Segment* segment, MessageSlot<T>* slot,
                                                          std::uint64_t ticket) {
    NotifyReceivers({segment, slot}, ticket);
    return SendResult{MessageId(this->identity(), ticket)};
  }
  [[gnu::noinline]] Acceptance FinishEnqueue(typename Store::Segment* segment, MessageSlot<T>* slot,
                                             std::uint64_t ticket) {
    NotifyReceivers({segment, slot}, ticket);
    return Acceptance::kTaken;
  }
  void NotifyReceivers(Message message, std::uint64_t ticket) {
    if (store_.lane().WasSkipped(ticket)) writer_.RequeueSkipped(message);
    store_.visible().Notify(1);
  }

  [[gnu::noinline]] void NotifyReceiversOfRun(LocalState& local, std::uint64_t first, std::uint32_t n) {
    writer_.RequeueSkippedInRun(local, first, n);
    store_.visible().Notify(n);
  }

  absl::Status Admit(LocalState& local, std::size_t size, std::uint64_t& ticket) {
    return capacity_gate_.Admit(local, size, this->clock_, ticket, [&] { return this->MakeRoom(local); });
  }

  void Publish(LocalState& local, std::uint64_t ticket, T&& body, SendOptions&& options, std::int64_t now) {
    const std::int64_t delay = options.delay ? absl::ToInt64Nanoseconds(*options.delay) : config_.delay();
    std::unique_ptr<MessageMetadata> metadata;
    if (!options.attributes.empty() || options.group) {
      metadata = std::make_unique<MessageMetadata>();
      metadata->attributes = std::move(options.attributes);
      if (options.group) metadata->group = *std::move(options.group);
    }
    writer_.PublishMessage(local, ticket, std::move(metadata), now, SaturatingAdd(now, delay), ConstructFrom(body));
  }

  [[gnu::noinline]] absl::StatusOr<SentBatch> SendBatchSlow(std::span<T> bodies, std::size_t bytes) {
    if (this->deleted()) return DoesNotExistError(*this);
    absl::Status status = CheckBatchSize(bodies.size(), config_.limits());
    status.Update(CheckBatchBytes(bytes, config_.limits()));
    if (!status.ok()) return status;
    SendOutcomes results;
    for (T& body : bodies) results.push_back(Send(std::move(body)));
    return Access::Make<SentBatch>(std::move(results));
  }

  [[gnu::noinline]] Acceptance EnqueueSlow(const TopicDelivery& delivery) {
    if (const Acceptance checked = this->CheckTopicDelivery(delivery); checked != Acceptance::kTaken) return checked;
    LocalState& local = store_.local();
    const std::size_t bytes = delivery.body->bytes();
    std::uint64_t ticket = 0;
    if (!capacity_gate_.TryAdmit(local, 1, bytes, ticket) && !capacity_gate_.TryAdmitOne(local, bytes, ticket)) {
      if (this->closed()) return Acceptance::kClosed;
      this->MakeRoom(local);
      if (!capacity_gate_.TryAdmitOne(local, bytes, ticket)) return Acceptance::kFull;
    }
    std::unique_ptr<MessageMetadata> metadata;
    if (!delivery.group.empty() || delivery.is_replayed) [[unlikely]] {
      metadata = std::make_unique<MessageMetadata>();
      metadata->group = delivery.group;
      metadata->is_replayed = delivery.is_replayed;
    }
    const std::int64_t now = this->NowOf(delivery);
    writer_.PublishMessage(local, ticket, std::move(metadata), now, SaturatingAdd(now, config_.delay()),
                           ShareFrom(delivery));
    store_.visible().Notify(1);
    RunTimeoutsOncePerSegment(local, ticket + 1, 1, now);
    return Acceptance::kTaken;
  }

  // The message takes over one reference to the body.
  static auto ShareFrom(const TopicDelivery& delivery) {
    return [body = delivery.body](MessageSlot<T>& slot) { return slot.Share(body); };
  }

  static auto ConstructFrom(T& body) {
    return [&body](MessageSlot<T>& slot) { return slot.Construct(std::move(body)); };
  }

  // Sends the entries whose result is not an error: with consecutive tickets that are taken at once, or one by one if
  // the queue is closed or bounded.
  void SendValidEntries(std::span<SendBatchEntry<T>> entries, SendOutcomes& results) {
    std::uint32_t valid = 0;
    std::size_t valid_bytes = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!results[i].ok()) continue;
      ++valid;
      valid_bytes += Base::SizeOf(entries[i].body, entries[i].options);
    }
    if (valid == 0) return;
    LocalState& local = store_.local();
    std::uint64_t ticket = 0;
    if (!capacity_gate_.TryAdmit(local, valid, valid_bytes, ticket)) {
      for (std::size_t i = 0; i < entries.size(); ++i) {
        if (results[i].ok()) results[i] = Send(std::move(entries[i].body), std::move(entries[i].options));
      }
      return;
    }
    const std::uint64_t end = ticket + valid;
    const std::int64_t now = store_.Now();
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!results[i].ok()) continue;
      Publish(local, ticket, std::move(entries[i].body), std::move(entries[i].options), now);
      results[i] = SendResult{MessageId(this->identity(), ticket)};
      ++ticket;
    }
    DECOUPLE_ASSERT(ticket == end);
    store_.visible().Notify(valid);
    RunTimeoutsOncePerSegment(local, end, valid, now);
  }

  // Runs some timeouts if one of the `n` tickets up to `end` was the first of a segment. Requires: all of these are
  // published, because running timeouts may claim at the head, and would wait for them.
  void RunTimeoutsOncePerSegment(LocalState& local, std::uint64_t end, std::uint32_t n, std::int64_t now) {
    if ((end - 1) % kSlotsPerSegment < n) [[unlikely]]
      this->RunSomeTimeoutsForSender(local, now);
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_SENDER_H_
