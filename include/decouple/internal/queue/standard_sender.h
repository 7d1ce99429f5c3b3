// How a standard queue takes messages in: what is sent to it, what a topic brings, what another queue gives up.

#ifndef DECOUPLE_INTERNAL_STANDARD_INTAKE_H_
#define DECOUPLE_INTERNAL_STANDARD_INTAKE_H_

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
#include "absl/utility/utility.h"
#include "decouple/batch.h"
#include "decouple/clock.h"
#include "decouple/internal/message_slot.h"
#include "decouple/internal/particulars.h"
#include "decouple/internal/published.h"
#include "decouple/internal/publishing.h"
#include "decouple/internal/queue_core.h"
#include "decouple/internal/queue_rules.h"
#include "decouple/internal/transfer.h"
#include "decouple/message.h"
#include "decouple/queue_options.h"

namespace decouple::internal {

template <typename T>
class StandardIntake : public QueueCore<T> {
  using Base = QueueCore<T>;

 public:
  using typename Base::Lane;
  using typename Base::Message;
  using typename Base::Mine;
  using typename Base::Store;

  // Without options. Whatever is not usual is gone on with in a function of its own, as the last thing that is done
  // here: so this one needs to save no registers (a sixth of its instructions).
  absl::StatusOr<SendResult> Send(T&& body) {
    const std::size_t size = MessageSize(std::as_const(body));
    Mine* const mine = store_.KnownMine();
    if (mine == nullptr) [[unlikely]]
      return SendAnew(std::move(body));
    if (settings_.delay() != 0 || !IsBodyAllowed(settings_, body, size)) [[unlikely]]
      return SendInGeneral(std::move(body));
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const ReadSection section(mine->record, FencesAreFree());
      is_admitted = admission_.TryAdmit(section, *mine, 1, size, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return SendInGeneral(std::move(body));
    std::int64_t now = 0;
    MessageSlot<T>* const slot = Lane::KnownPlaceOf(ticket, mine->view);
    if (slot == nullptr || !store_.TryNow(now)) [[unlikely]]
      return SendAdmitted(*mine, ticket, std::move(body));
    const SlotWord ready = Publishing<T>::WritePlain(*slot, mine->view.send_word(), now, ConstructFrom(body));
    Lane::JustPublish(*slot, ready);
    FreeFence();  // for both: see TicketLane and EventCount
    if (store_.lane().MayHaveSkipped(ticket) || store_.visible().HasWaitersAfterFence()) [[unlikely]]
      return SendPublished(mine->view.send_segment, slot, ticket);
    return SendResult{MessageId(this->identity(), ticket)};
  }

  absl::StatusOr<SendResult> Send(T&& body, SendOptions&& options) final {
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
    WorkOffAfter(mine, ticket + 1, 1, now);
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
    const Limits& limits = settings_.limits();
    const bool is_plain = bodies.size() - 1 < limits.max_batch_entries && bytes <= limits.max_batch_bytes &&
                          !is_any_empty && largest <= settings_.max_message_size() && settings_.delay() == 0;
    const auto n = static_cast<std::uint32_t>(bodies.size());
    store_.mine();  // the thread may have used another queue meanwhile
    Mine* const mine = store_.KnownMine();
    if (mine == nullptr || !is_plain) [[unlikely]]
      return SendBatchInGeneral(bodies, bytes);
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const ReadSection section(mine->record, FencesAreFree());
      is_admitted = admission_.TryAdmit(section, *mine, n, bytes, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return SendBatchInGeneral(bodies, bytes);
    const std::int64_t now = store_.Now();
    T* body = bodies.data();
    publishing_.JustPublishPlainRun(*mine, ticket, n, now,
                                    [&body](MessageSlot<T>& slot) { return slot.Construct(std::move(*body++)); });
    FreeFence();  // for both, as in Send()
    if (store_.lane().MayHaveSkipped(ticket) || store_.visible().HasWaitersAfterFence()) [[unlikely]]
      AnnounceRun(*mine, ticket, n);
    WorkOffAfter(*mine, ticket + n, n, now);
    return absl::StatusOr<SentBatch>(absl::in_place, this->identity(), ticket, n);
  }

  absl::StatusOr<SendBatchResults> SendBatch(std::span<SendBatchEntry<T>> entries) final {
    auto results = this->CheckSendBatch(
        entries, [this](const SendOptions& options) { return checks_.CheckStandardSendOptions(options); });
    if (results.ok()) SendValid(entries, *results);
    return results;
  }

  bool TakeOver(Transfer<T>& transfer) final {
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

  // Written as Send() is.
  Acceptance Accept(const Published& published) final {
    const std::size_t bytes = published.body->bytes();
    Mine* const mine = store_.MineKnownLately();
    if (mine == nullptr) [[unlikely]]
      return AcceptAnew(published);
    if (!published.IsPlain() || !this->senders().AllowsEverybody() || settings_.delay() != 0 ||
        !IsBodyAllowed(settings_, *static_cast<const T*>(published.body->body()), bytes)) [[unlikely]]
      return AcceptInGeneral(published);
    std::uint64_t ticket = 0;
    bool is_admitted = false;
    {
      const ReadSection section(mine->record, FencesAreFree());
      is_admitted = admission_.TryAdmit(section, *mine, 1, bytes, ticket);
    }
    if (!is_admitted) [[unlikely]]
      return AcceptInGeneral(published);
    MessageSlot<T>* const slot = Lane::KnownPlaceOf(ticket, mine->view);
    if (slot == nullptr || published.clock != &this->clock_) [[unlikely]]
      return AcceptAdmitted(*mine, ticket, published);
    Lane::JustPublish(*slot,
                      Publishing<T>::WritePlain(*slot, mine->view.send_word(), published.now, ShareFrom(published)));
    FreeFence();  // for both, as in Send()
    if (store_.lane().MayHaveSkipped(ticket) || store_.visible().HasWaitersAfterFence()) [[unlikely]]
      return AcceptPublished(mine->view.send_segment, slot, ticket);
    return Acceptance::kTaken;
  }

 protected:
  StandardIntake(const Limits& limits, std::string name, std::uint64_t seed, Clock* clock)
      : Base(kStandardRules, nullptr, limits, std::move(name), seed, clock) {}

  using Base::checks_;
  using Base::settings_;
  using Base::store_;

 private:
  using Base::admission_;
  using Base::publishing_;

  // By a thread that used another queue meanwhile.
  [[gnu::noinline]] absl::StatusOr<SendResult> SendAnew(T&& body) {
    store_.mine();
    return store_.KnownMine() != nullptr ? Send(std::move(body)) : SendInGeneral(std::move(body));
  }
  // By one that used many others.
  [[gnu::noinline]] Acceptance AcceptAnew(const Published& published) {
    store_.mine();
    return store_.MineKnownLately() != nullptr ? Accept(published) : AcceptInGeneral(published);
  }

  [[gnu::noinline]] absl::StatusOr<SendResult> SendInGeneral(T&& body) { return Send(std::move(body), SendOptions()); }

  // What is left of a send, or of what a topic brings, once it has its ticket.
  [[gnu::noinline]] absl::StatusOr<SendResult> SendAdmitted(Mine& mine, std::uint64_t ticket, T&& body) {
    PublishAdmitted(mine, ticket, store_.Now(), ConstructFrom(body));
    return SendResult{MessageId(this->identity(), ticket)};
  }
  [[gnu::noinline]] Acceptance AcceptAdmitted(Mine& mine, std::uint64_t ticket, const Published& published) {
    PublishAdmitted(mine, ticket, this->NowOf(published), ShareFrom(published));
    return Acceptance::kTaken;
  }
  template <typename Construct>
  void PublishAdmitted(Mine& mine, std::uint64_t ticket, std::int64_t now, Construct construct) {
    publishing_.PublishPlain(mine, ticket, now, construct);
    store_.visible().Notify(1);
    WorkOffAfter(mine, ticket + 1, 1, now);
  }

  // And once it is published, where somebody waits for it, or it may have been skipped.
  [[gnu::noinline]] absl::StatusOr<SendResult> SendPublished(typename Store::Segment* segment, MessageSlot<T>* slot,
                                                             std::uint64_t ticket) {
    Announce({segment, slot}, ticket);
    return SendResult{MessageId(this->identity(), ticket)};
  }
  [[gnu::noinline]] Acceptance AcceptPublished(typename Store::Segment* segment, MessageSlot<T>* slot,
                                               std::uint64_t ticket) {
    Announce({segment, slot}, ticket);
    return Acceptance::kTaken;
  }
  void Announce(Message message, std::uint64_t ticket) {
    if (store_.lane().WasSkipped(ticket)) publishing_.ListSkipped(message);
    store_.visible().Notify(1);
  }

  [[gnu::noinline]] void AnnounceRun(Mine& mine, std::uint64_t first, std::uint32_t n) {
    publishing_.ListSkippedOfRun(mine, first, n);
    store_.visible().Notify(n);
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

  [[gnu::noinline]] absl::StatusOr<SentBatch> SendBatchInGeneral(std::span<T> bodies, std::size_t bytes) {
    absl::Status status = CheckBatchSize(bodies.size(), settings_.limits());
    status.Update(CheckBatchBytes(bytes, settings_.limits()));
    if (!status.ok()) return status;
    SendBatchResults results;
    for (T& body : bodies) results.push_back(Send(std::move(body)));
    return SentBatch(std::move(results));
  }

  [[gnu::noinline]] Acceptance AcceptInGeneral(const Published& published) {
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
    publishing_.Publish(mine, ticket, std::move(particulars), now, Later(now, settings_.delay()), ShareFrom(published));
    store_.visible().Notify(1);
    WorkOffAfter(mine, ticket + 1, 1, now);
    return Acceptance::kTaken;
  }

  // The message takes over a hold.
  static auto ShareFrom(const Published& published) {
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

  // Now and then, once all `n` tickets up to `end` are published: working off looks at the head, and would wait for us.
  void WorkOffAfter(Mine& mine, std::uint64_t end, std::uint32_t n, std::int64_t now) {
    if ((end - 1) % kSlotsPerSegment < n) [[unlikely]]
      this->WorkOffBehindTheHead(mine, now);
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_STANDARD_INTAKE_H_
