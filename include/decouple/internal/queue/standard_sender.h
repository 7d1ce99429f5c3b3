// How a standard queue takes messages in: what is sent to it, what a topic brings, what another queue gives up.

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

namespace decouple::internal {

template <typename T>
class StandardSender : public QueueCore<T> {
  using Base = QueueCore<T>;

 public:
  using typename Base::Lane;
  using typename Base::LocalState;
  using typename Base::Message;
  using typename Base::Store;

  // Without options. Whatever is not usual is gone on with in a function of its own, as the last thing that is done
  // here: so this one needs to save no registers (a sixth of its instructions).
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
    MessageSlot<T>* const slot = Lane::KnownPlaceOf(ticket, local->cursor);
    if (slot == nullptr || !store_.TryNow(now)) [[unlikely]]
      return SendAdmitted(*local, ticket, std::move(body));
    const SlotState ready = MessageWriter<T>::WritePlain(*slot, local->cursor.send_word(), now, ConstructFrom(body));
    Lane::PublishOnly(*slot, ready);
    CompilerFence();  // for both: see TicketLane and EventCount
    if (store_.lane().MaybeSkipped(ticket) || store_.visible().HasWaitersAfterFence()) [[unlikely]]
      return SendTopicDelivery(local->cursor.send_segment, slot, ticket);
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
    WorkOffAfter(local, ticket + 1, 1, now);
    return SendResult{MessageId(this->identity(), ticket)};
  }

  // Bodies without options, all of them with one ticket and one look at the clock.
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
    store_.local();  // the thread may have used another queue meanwhile
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
    writer_.PublishPlainRunOnly(*local, ticket, n, now,
                                [&body](MessageSlot<T>& slot) { return slot.Construct(std::move(*body++)); });
    CompilerFence();  // for both, as in Send()
    if (store_.lane().MaybeSkipped(ticket) || store_.visible().HasWaitersAfterFence()) [[unlikely]]
      AnnounceRun(*local, ticket, n);
    WorkOffAfter(*local, ticket + n, n, now);
    return Access::Make<SentBatch>(this->identity(), ticket, n);
  }

  absl::StatusOr<SendBatchResults> SendBatch(std::span<SendBatchEntry<T>> entries) final {
    auto results = this->CheckSendBatch(
        entries, [this](const SendOptions& options) { return checks_.CheckStandardSendOptions(options); });
    if (results.ok()) SendValid(entries, *results);
    return results;
  }

  bool EnqueueTransfer(Transfer<T>& transfer) final {
    LocalState& local = store_.local();
    std::uint64_t ticket = 0;
    if (!capacity_gate_.TryAdmitOne(local, transfer.bytes, ticket)) return false;
    local.counts.taken_over.Add(1);
    local.counts.taken_over_bytes.Add(transfer.bytes);
    const std::int64_t sent_at = transfer.is_dead_letter ? transfer.sent_at : store_.Now();
    writer_.PublishTakenOver(local, ticket, std::move(transfer.metadata), sent_at, transfer.ConstructBody());
    store_.visible().Notify(1);
    return true;
  }

  // Written as Send() is.
  Acceptance Enqueue(const TopicDelivery& published) final {
    const std::size_t bytes = published.body->bytes();
    LocalState* const local = store_.RecentLocal();
    if (local == nullptr) [[unlikely]]
      return EnqueueAfterCacheMiss(published);
    if (!published.IsPlain() || !this->senders().AllowsEverybody() || config_.delay() != 0 ||
        !IsBodyAllowed(config_, *static_cast<const T*>(published.body->body()), bytes)) [[unlikely]]
      return EnqueueSlow(published);
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const RcuReadGuard section(local->record, MembarrierAvailable());
      is_admitted = capacity_gate_.TryAdmit(section, *local, 1, bytes, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return EnqueueSlow(published);
    MessageSlot<T>* const slot = Lane::KnownPlaceOf(ticket, local->cursor);
    if (slot == nullptr || published.clock != &this->clock_) [[unlikely]]
      return AcceptAdmitted(*local, ticket, published);
    Lane::PublishOnly(
        *slot, MessageWriter<T>::WritePlain(*slot, local->cursor.send_word(), published.now, ShareFrom(published)));
    CompilerFence();  // for both, as in Send()
    if (store_.lane().MaybeSkipped(ticket) || store_.visible().HasWaitersAfterFence()) [[unlikely]]
      return EnqueueTopicDelivery(local->cursor.send_segment, slot, ticket);
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

  // By a thread that used another queue meanwhile.
  [[gnu::noinline]] absl::StatusOr<SendResult> SendAfterCacheMiss(T&& body) {
    store_.local();
    return store_.CachedLocal() != nullptr ? Send(std::move(body)) : SendSlow(std::move(body));
  }
  // By one that used many others.
  [[gnu::noinline]] Acceptance EnqueueAfterCacheMiss(const TopicDelivery& published) {
    store_.local();
    return store_.RecentLocal() != nullptr ? Enqueue(published) : EnqueueSlow(published);
  }

  [[gnu::noinline]] absl::StatusOr<SendResult> SendSlow(T&& body) { return Send(std::move(body), SendOptions()); }

  // What is left of a send, or of what a topic brings, once it has its ticket.
  [[gnu::noinline]] absl::StatusOr<SendResult> SendAdmitted(LocalState& local, std::uint64_t ticket, T&& body) {
    PublishAdmitted(local, ticket, store_.Now(), ConstructFrom(body));
    return SendResult{MessageId(this->identity(), ticket)};
  }
  [[gnu::noinline]] Acceptance AcceptAdmitted(LocalState& local, std::uint64_t ticket, const TopicDelivery& published) {
    PublishAdmitted(local, ticket, this->NowOf(published), ShareFrom(published));
    return Acceptance::kTaken;
  }
  template <typename Construct>
  void PublishAdmitted(LocalState& local, std::uint64_t ticket, std::int64_t now, Construct construct) {
    writer_.PublishPlain(local, ticket, now, construct);
    store_.visible().Notify(1);
    WorkOffAfter(local, ticket + 1, 1, now);
  }

  // And once it is published, where somebody waits for it, or it may have been skipped.
  [[gnu::noinline]] absl::StatusOr<SendResult> SendTopicDelivery(typename Store::Segment* segment, MessageSlot<T>* slot,
                                                                 std::uint64_t ticket) {
    Announce({segment, slot}, ticket);
    return SendResult{MessageId(this->identity(), ticket)};
  }
  [[gnu::noinline]] Acceptance EnqueueTopicDelivery(typename Store::Segment* segment, MessageSlot<T>* slot,
                                                    std::uint64_t ticket) {
    Announce({segment, slot}, ticket);
    return Acceptance::kTaken;
  }
  void Announce(Message message, std::uint64_t ticket) {
    if (store_.lane().WasSkipped(ticket)) writer_.RequeueSkipped(message);
    store_.visible().Notify(1);
  }

  [[gnu::noinline]] void AnnounceRun(LocalState& local, std::uint64_t first, std::uint32_t n) {
    writer_.RequeueSkippedOfRun(local, first, n);
    store_.visible().Notify(n);
  }

  absl::Status Admit(LocalState& local, std::size_t size, std::uint64_t& ticket) {
    return capacity_gate_.Admit(local, size, this->clock_, ticket, [&] { return this->MakeRoom(local); });
  }

  void Publish(LocalState& local, std::uint64_t ticket, T&& body, SendOptions&& options, std::int64_t now) {
    const std::int64_t delay = options.delay ? absl::ToInt64Nanoseconds(*options.delay) : config_.delay();
    std::unique_ptr<MessageMetadata> metadata;
    if (!options.attributes.empty() || !options.group.empty()) {
      metadata = std::make_unique<MessageMetadata>();
      metadata->attributes = std::move(options.attributes);
      metadata->group = std::move(options.group);
    }
    writer_.Publish(local, ticket, std::move(metadata), now, SaturatingAdd(now, delay), ConstructFrom(body));
  }

  [[gnu::noinline]] absl::StatusOr<SentBatch> SendBatchSlow(std::span<T> bodies, std::size_t bytes) {
    absl::Status status = CheckBatchSize(bodies.size(), config_.limits());
    status.Update(CheckBatchBytes(bytes, config_.limits()));
    if (!status.ok()) return status;
    SendBatchResults results;
    for (T& body : bodies) results.push_back(Send(std::move(body)));
    return Access::Make<SentBatch>(std::move(results));
  }

  [[gnu::noinline]] Acceptance EnqueueSlow(const TopicDelivery& published) {
    if (const Acceptance checked = this->CheckTopicDelivery(published); checked != Acceptance::kTaken) return checked;
    LocalState& local = store_.local();
    const std::size_t bytes = published.body->bytes();
    std::uint64_t ticket = 0;
    if (!capacity_gate_.TryAdmit(local, 1, bytes, ticket) && !capacity_gate_.TryAdmitOne(local, bytes, ticket)) {
      if (this->closed()) return Acceptance::kClosed;
      this->MakeRoom(local);
      if (!capacity_gate_.TryAdmitOne(local, bytes, ticket)) return Acceptance::kFull;
    }
    std::unique_ptr<MessageMetadata> metadata;
    if (!published.group.empty() || published.is_replayed) [[unlikely]] {
      metadata = std::make_unique<MessageMetadata>();
      metadata->group = published.group;
      metadata->is_replayed = published.is_replayed;
    }
    const std::int64_t now = this->NowOf(published);
    writer_.Publish(local, ticket, std::move(metadata), now, SaturatingAdd(now, config_.delay()), ShareFrom(published));
    store_.visible().Notify(1);
    WorkOffAfter(local, ticket + 1, 1, now);
    return Acceptance::kTaken;
  }

  // The message takes over a hold.
  static auto ShareFrom(const TopicDelivery& published) {
    return [body = published.body](MessageSlot<T>& slot) { return slot.Share(body); };
  }

  static auto ConstructFrom(T& body) {
    return [&body](MessageSlot<T>& slot) { return slot.Construct(std::move(body)); };
  }

  // Those whose result is not an error: with one ticket for all, or one by one if the queue is not open to everybody.
  void SendValid(std::span<SendBatchEntry<T>> entries, SendBatchResults& results) {
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
    const std::int64_t now = store_.Now();
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!results[i].ok()) continue;
      Publish(local, ticket, std::move(entries[i].body), std::move(entries[i].options), now);
      results[i] = SendResult{MessageId(this->identity(), ticket)};
      ++ticket;
    }
    store_.visible().Notify(valid);
    this->WorkOffAfter(local, ticket, valid, now);
  }

  // Now and then, once all `n` tickets up to `end` are published: working off looks at the head, and would wait for us.
  void WorkOffAfter(LocalState& local, std::uint64_t end, std::uint32_t n, std::int64_t now) {
    if ((end - 1) % kSlotsPerSegment < n) [[unlikely]]
      this->WorkOffBehindTheHead(local, now);
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_SENDER_H_
