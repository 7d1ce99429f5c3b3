// A standard queue: how it takes messages in.

#ifndef DECOUPLE_INTERNAL_STANDARD_CORE_H_
#define DECOUPLE_INTERNAL_STANDARD_CORE_H_

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
#include "decouple/error.h"
#include "decouple/internal/leasing.h"
#include "decouple/internal/message_slot.h"
#include "decouple/internal/queue_core.h"
#include "decouple/internal/queue_rules.h"
#include "decouple/internal/transfer.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"

namespace decouple::internal {

template <typename T>
class StandardCore final : public QueueCore<T> {
  using Base = QueueCore<T>;
  using typename Base::Mine;

 public:
  StandardCore(const Limits& limits, std::string name, std::uint64_t seed, Clock* clock)
      : Base(kStandardRules, nullptr, limits, std::move(name), seed, clock) {}

  absl::StatusOr<SendResult> Send(T&& body) {
    const std::size_t size = MessageSize(std::as_const(body));
    if (!checks_.IsBodyAllowed(body, size)) [[unlikely]]
      return checks_.CheckBody(body, size);
    Mine& mine = store_.mine();
    std::uint64_t ticket = 0;
    if (settings_.delay() != 0 || !admission_.TryAdmit(mine, 1, size, ticket)) [[unlikely]]
      return Send(std::move(body), SendOptions());
    const std::int64_t now = store_.Now();
    publishing_.PublishPlain(mine, ticket, now, ConstructFrom(body));
    store_.visible().Notify(1);
    if (ticket % kSlotsPerSegment == 0) [[unlikely]]
      this->WorkOff(mine, now);
    return SendResult{MessageId(this->identity(), ticket)};
  }

  absl::StatusOr<SendResult> Send(T&& body, SendOptions&& options) override {
    const std::size_t size = Base::SizeOf(body, options);
    absl::Status status = checks_.CheckBody(body, size);
    status.Update(checks_.CheckStandardSendOptions(options));
    if (!status.ok()) return status;
    Mine& mine = store_.mine();
    std::uint64_t ticket = 0;
    if (!admission_.TryAdmit(mine, 1, size, ticket)) {
      status = Admit(mine, size, ticket);
      if (!status.ok()) return status;
    }
    const std::int64_t now = store_.Now();
    Publish(mine, ticket, std::move(body), std::move(options), now);
    store_.visible().Notify(1);
    if (ticket % kSlotsPerSegment == 0) this->WorkOff(mine, now);
    return SendResult{MessageId(this->identity(), ticket)};
  }

  // Bodies without options, all of them with one ticket and one look at the clock.
  absl::StatusOr<SentBatch> SendBatch(std::span<T> bodies) {
    if (absl::Status status = CheckBatchSize(bodies.size(), settings_.limits()); !status.ok()) [[unlikely]]
      return status;
    std::size_t bytes = 0;
    bool all_allowed = settings_.delay() == 0;
    for (const T& body : bodies) {
      const std::size_t size = MessageSize(body);
      all_allowed = all_allowed && checks_.IsBodyAllowed(body, size);
      bytes += size;
    }
    if (absl::Status status = CheckBatchBytes(bytes, settings_.limits()); !status.ok()) [[unlikely]]
      return status;
    const auto n = static_cast<std::uint32_t>(bodies.size());
    Mine& mine = store_.mine();
    std::uint64_t ticket = 0;
    if (!all_allowed || !admission_.TryAdmit(mine, n, bytes, ticket)) [[unlikely]] {
      return SendOneByOne(bodies);
    }
    const std::int64_t now = store_.Now();
    T* body = bodies.data();
    publishing_.PublishPlainRun(mine, ticket, n, now,
                                [&body](MessageSlot<T>& slot) { return slot.Construct(std::move(*body++)); });
    store_.visible().Notify(n);
    WorkOffAfter(mine, ticket + n, n, now);
    return SentBatch(this->identity(), ticket, n);
  }

  absl::StatusOr<SendBatchResults> SendBatch(std::span<SendBatchEntry<T>> entries) override {
    auto results = this->CheckSendBatch(
        entries, [this](const SendOptions& options) { return checks_.CheckStandardSendOptions(options); });
    if (results.ok()) SendValid(entries, *results);
    return results;
  }

  bool TakeOver(Transfer<T>& transfer) override {
    Mine& mine = store_.mine();
    std::uint64_t ticket = 0;
    if (!admission_.TryAdmitOne(mine, transfer.bytes, ticket)) return false;
    mine.counts.taken_over.Add(1);
    mine.counts.taken_over_bytes.Add(transfer.bytes);
    const std::int64_t sent_at = transfer.is_dead_letter ? transfer.sent_at : store_.Now();
    publishing_.PublishTakenOver(mine, ticket, std::move(transfer.particulars), sent_at, transfer.ConstructBody());
    store_.visible().Notify(1);
    return true;
  }

  Acceptance Accept(const Published& published) override {
    if (const Acceptance checked = this->CheckPublished(published); checked != Acceptance::kTaken) return checked;
    Mine& mine = store_.mine();
    const std::size_t bytes = published.body->bytes();
    std::uint64_t ticket = 0;
    if (!admission_.TryAdmit(mine, 1, bytes, ticket) && !admission_.TryAdmitOne(mine, bytes, ticket)) {
      if (this->closed()) return Acceptance::kClosed;
      this->MakeRoom(mine);
      if (!admission_.TryAdmitOne(mine, bytes, ticket)) return Acceptance::kFull;
    }
    std::unique_ptr<Particulars> particulars;
    if (!published.group.empty() || published.is_replayed) [[unlikely]] {
      particulars = std::make_unique<Particulars>();
      particulars->group = published.group;
      particulars->is_replayed = published.is_replayed;
    }
    const std::int64_t now = this->NowOf(published);
    publishing_.Publish(mine, ticket, std::move(particulars), now, Later(now, settings_.delay()),
                        [&](MessageSlot<T>& slot) { return slot.Share(published.body); });
    store_.visible().Notify(1);
    if (ticket % kSlotsPerSegment == 0) [[unlikely]]
      this->WorkOff(mine, now);
    return Acceptance::kTaken;
  }

  [[gnu::noinline]] ReceiveResult<T> Receive(const ReceiveOptions& options) override {
    ReceiveResult<T> result;
    if (!TryReceivePlain(options, *result)) [[unlikely]]
      ReceiveInGeneral(options, result);
    return result;
  }

 private:
  using Base::admission_;
  using Base::checks_;
  using Base::publishing_;
  using Base::settings_;
  using Base::store_;

  // The usual case. False: there is more to it; what was received until now is among the deliveries.
  [[gnu::always_inline]] bool TryReceivePlain(const ReceiveOptions& options, Deliveries<T>& deliveries) {
    if (!checks_.IsPlain(options)) [[unlikely]]
      return false;
    const auto most = static_cast<std::uint32_t>(options.max_messages);
    return most == 1 ? TryReceiveNext(deliveries) : TryReceiveReady(most, deliveries);
  }

  [[gnu::always_inline]] bool TryReceiveNext(Deliveries<T>& deliveries) {
    Mine& mine = store_.mine();
    std::int64_t now = 0;
    const auto request = [&] {
      now = store_.Now();
      return LeaseRequest{1, now, Later(now, settings_.visibility_timeout())};
    };
    if (leasing_.LeaseNext(ThreadRecords::Current(), mine, request, this->SinkTo(deliveries)) == 0) return false;
    if (store_.earliest().get() <= now) [[unlikely]]
      this->WorkOff(mine, now);
    return true;
  }

  [[gnu::noinline]] bool TryReceiveReady(std::uint32_t most, Deliveries<T>& deliveries) {
    Mine& mine = store_.mine();
    std::int64_t now = 0;
    const auto request = [&] {
      now = store_.Now();
      return LeaseRequest{most, now, Later(now, settings_.visibility_timeout())};
    };
    const std::uint32_t leased =
        leasing_.LeaseReady(ThreadRecords::Current(), mine, most, request, this->SinkTo(deliveries));
    if (leased != 0 && store_.earliest().get() <= now) [[unlikely]]
      this->WorkOff(mine, now);
    return leased == most;
  }

  [[gnu::noinline]] void ReceiveInGeneral(const ReceiveOptions& options, ReceiveResult<T>& result) {
    absl::Status status = checks_.CheckReceiveOptions(options);
    if (status.ok() && !options.attempt_id.empty()) {
      status = MakeError(Error::kInvalidParameterValue,
                         "a receive request attempt id for a standard queue; only FIFO queues take one");
    }
    if (status.ok()) {
      Base::Receive(leasing_, options, store_.Now(), result);
    } else {
      result = ReceiveResult<T>(std::move(status));
    }
  }

  absl::Status Admit(Mine& mine, std::size_t size, std::uint64_t& ticket) {
    return admission_.Admit(mine, size, this->clock_, ticket, [&] { return this->MakeRoom(mine); });
  }

  void Publish(Mine& mine, std::uint64_t ticket, T&& body, SendOptions&& options, std::int64_t now) {
    const std::int64_t delay = options.delay ? absl::ToInt64Nanoseconds(*options.delay) : settings_.delay();
    std::unique_ptr<Particulars> particulars;
    if (!options.attributes.empty() || !options.group.empty()) {
      particulars = std::make_unique<Particulars>();
      particulars->attributes = std::move(options.attributes);
      particulars->group = std::move(options.group);
    }
    publishing_.Publish(mine, ticket, std::move(particulars), now, Later(now, delay), ConstructFrom(body));
  }

  [[gnu::noinline]] SentBatch SendOneByOne(std::span<T> bodies) {
    SendBatchResults results;
    for (T& body : bodies) results.push_back(Send(std::move(body)));
    return SentBatch(std::move(results));
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
    Mine& mine = store_.mine();
    std::uint64_t ticket = 0;
    if (!admission_.TryAdmit(mine, valid, valid_bytes, ticket)) {
      for (std::size_t i = 0; i < entries.size(); ++i) {
        if (results[i].ok()) results[i] = Send(std::move(entries[i].body), std::move(entries[i].options));
      }
      return;
    }
    const std::int64_t now = store_.Now();
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!results[i].ok()) continue;
      Publish(mine, ticket, std::move(entries[i].body), std::move(entries[i].options), now);
      results[i] = SendResult{MessageId(this->identity(), ticket)};
      ++ticket;
    }
    store_.visible().Notify(valid);
    this->WorkOffAfter(mine, ticket, valid, now);
  }

  absl::Status CheckOwnAttributes(const QueueAttributes& attributes) override {
    const bool has_fifo_ones = attributes.content_based_deduplication || attributes.deduplication_scope ||
                               attributes.fifo_throughput_limit || attributes.max_calls_per_second;
    if (!has_fifo_ones) return absl::OkStatus();
    return MakeError(Error::kInvalidAttributeValue,
                     "deduplication, a throughput limit or a quota of calls for a standard queue; only FIFO queues "
                     "have them");
  }

  // Now and then, once all `n` tickets up to `end` are published: working off looks at the head, and would wait for us.
  void WorkOffAfter(Mine& mine, std::uint64_t end, std::uint32_t n, std::int64_t now) {
    if ((end - 1) % kSlotsPerSegment < n) [[unlikely]]
      this->WorkOff(mine, now);
  }

  void ApplyOwnAttributes(const QueueAttributes&) override {}
  void ForgetSends() override {}
  bool TryReceiveOne(Deliveries<T>& delivery) override {
    return this->TryReceive(leasing_, store_.mine(), Base::kToMove, store_.Now(), delivery);
  }

  Leasing<T> leasing_{store_, this->limit_, this->handover_, this->moves_};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_STANDARD_CORE_H_
