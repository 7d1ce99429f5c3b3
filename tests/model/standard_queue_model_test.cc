// A standard queue compared with a plain model of one: the same random operations on both have the same outcomes.

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model_testing.h"
#include "queue_testing.h"
#include "seed.h"

namespace decouple::testing {

// The rules of a standard queue in the plainest way: a map of messages, and times compared with now. The model leaves
// open in which order messages are received.
class StandardQueueModel {
 public:
  enum class State { kGone, kReady, kInFlight, kDelayed };

  struct Message {
    absl::Time sent_at;
    absl::Time visible_at;
    absl::Time first_received_at;
    std::uint32_t receive_count = 0;
  };

  absl::Duration retention = Hours(96);
  std::uint32_t max_receives = 1000;
  std::int64_t max_in_flight = 120'000;

  State StateOf(int body, absl::Time now) const {
    const auto found = messages_.find(body);
    return found == messages_.end() ? State::kGone : StateOf(found->second, now);
  }

  State StateOf(const Message& message, absl::Time now) const {
    if (now >= message.sent_at + retention) return State::kGone;
    if (now >= message.visible_at) return State::kReady;
    return message.receive_count == 0 ? State::kDelayed : State::kInFlight;
  }

  MessageCounts Counts(absl::Time now) const {
    MessageCounts counts;
    for (const auto& [body, message] : messages_) {
      const State state = StateOf(message, now);
      counts.ready += state == State::kReady ? 1 : 0;
      counts.in_flight += state == State::kInFlight ? 1 : 0;
      counts.delayed += state == State::kDelayed ? 1 : 0;
    }
    return counts;
  }

  void Send(int body, absl::Time now, absl::Duration delay) { messages_[body] = {now, now + delay, {}, 0}; }

  // Returns the receive count.
  std::uint32_t Receive(int body, absl::Time now, absl::Duration timeout) {
    Message& message = messages_.at(body);
    if (message.receive_count == 0) message.first_received_at = now;
    message.visible_at = now + timeout;
    return ++message.receive_count;
  }

  void Delete(int body, std::uint32_t receive, absl::Time now) {
    if (StateOf(body, now) != State::kGone && messages_.at(body).receive_count == receive) messages_.erase(body);
  }

  std::optional<Error> ChangeVisibility(int body, std::uint32_t receive, absl::Time now, absl::Duration timeout) {
    if (StateOf(body, now) == State::kGone) return Error::kInvalidParameterValue;
    Message& message = messages_.at(body);
    if (message.receive_count != receive) return Error::kMessageNotInflight;
    const bool releases = timeout == absl::ZeroDuration();
    if (!releases && now + timeout > message.first_received_at + Hours(12)) return Error::kInvalidParameterValue;
    message.visible_at = now + timeout;
    return std::nullopt;
  }

  void Purge() { messages_.clear(); }

  // Whether a visible message is to be moved to the dead-letter queue instead of being received.
  bool IsDeadLetter(int body, absl::Time now) const {
    return StateOf(body, now) == State::kReady && messages_.at(body).receive_count >= max_receives;
  }
  void Remove(int body) { messages_.erase(body); }

  std::int64_t CountDeadLetters(absl::Time now) const {
    return std::count_if(messages_.begin(), messages_.end(),
                         [&](const auto& entry) { return IsDeadLetter(entry.first, now); });
  }

  void Forget(absl::Time now) {
    std::erase_if(messages_, [&](const auto& entry) { return StateOf(entry.second, now) == State::kGone; });
  }

  // The next instant at which something happens by itself.
  absl::Time NextEvent(absl::Time now) const {
    absl::Time next = absl::InfiniteFuture();
    for (const auto& [body, message] : messages_) {
      for (const absl::Time at : {message.visible_at, message.sent_at + retention}) {
        if (at > now) next = std::min(next, at);
      }
    }
    return next;
  }

  const Message& at(int body) const { return messages_.at(body); }
  std::size_t size() const { return messages_.size(); }

 private:
  std::map<int, Message> messages_;
};

class StandardQueueComparison {
 public:
  explicit StandardQueueComparison(std::uint64_t seed)
      : chance_(seed), held_(chance_), queue_(Make<StandardQueue<int>>(clock_, {.name = "model", .seed = seed | 1})) {}

  void Run(int operations) {
    for (int i = 0; i < operations; ++i) {
      Step();
      if (i % 16 == 0) CompareCounts();
    }
    CompareCounts();
  }

 private:
  using Queue = StandardQueue<int>;

  void Step() {
    const int dice = chance_.Pick(100);
    if (dice < 25) {
      Send();
    } else if (dice < 30) {
      SendBatch();
    } else if (dice < 55) {
      Receive();
    } else if (dice < 72) {
      Delete();
    } else if (dice < 82) {
      ChangeVisibility();
    } else if (dice < 88) {
      Drop();
    } else if (dice < 97) {
      Advance();
    } else if (dice < 98) {
      SetAttributes();
    } else if (chance_.Pick(10) == 0) {
      Purge();
    } else {
      CompareCounts();
    }
  }

  SendOptions PickOptions() {
    SendOptions options;
    if (chance_.Pick(4) == 0) options.delay = Seconds(chance_.Pick(900));
    if (chance_.Pick(4) == 0) options.attributes = {{"n", chance_.Pick(100)}};
    if (with_groups_ && chance_.Pick(2) == 0) options.group = "tenant-" + std::to_string(chance_.Pick(3));
    return options;
  }

  void Send() {
    if (model_.size() > 300) return Purge();
    const int body = next_body_++;
    if (chance_.Pick(2) == 0) {
      Require(queue_.Send(body).ok(), "send");
      model_.Send(body, clock_.Now(), absl::ZeroDuration());
      return;
    }
    SendOptions options = PickOptions();
    model_.Send(body, clock_.Now(), options.delay.value_or(absl::ZeroDuration()));
    Require(queue_.Send(body, std::move(options)).ok(), "send with options");
  }

  void SendBatch() {
    std::vector<SendBatchEntry<int>> entries;
    for (int n = chance_.Pick(10) + 1; n > 0; --n) {
      entries.push_back({std::to_string(n), next_body_++, PickOptions()});
      model_.Send(entries.back().body, clock_.Now(), entries.back().options.delay.value_or(absl::ZeroDuration()));
    }
    const auto results = queue_.SendBatch(entries);
    Require(results.ok() && results->size() == entries.size(), "send batch");
    for (const auto& result : *results) Require(result.ok(), "send batch entry");
  }

  void Receive() {
    const absl::Time now = clock_.Now();
    const int most = chance_.Pick(10) + 1;
    const absl::Duration timeout = chance_.PickTimeout();
    const MessageCounts counts = model_.Counts(now);
    const std::int64_t dead_letters_before = model_.CountDeadLetters(now);
    const std::int64_t room = model_.max_in_flight - counts.in_flight;
    auto received = queue_.Receive({.max_messages = static_cast<std::size_t>(most), .visibility_timeout = timeout});
    if (counts.ready > 0 && room <= 0) {
      Require(ErrorIn(received) == Error::kOverLimit, "over limit");
      return;
    }
    TakeDeadLetters();
    const std::int64_t receivable = counts.ready - dead_letters_before;
    Require(received.ok(), "receive");
    const auto expected = std::max<std::int64_t>(0, std::min({std::int64_t{most}, receivable, room}));
    const auto got = static_cast<std::int64_t>(received->size());
    INFO("got " << got << ", expected " << expected << " of " << most << "; in flight " << counts.in_flight << " of "
                << model_.max_in_flight);
    if (timeout ==
        absl::ZeroDuration()) {  // received messages are ready again at once, so the receive may stop at any number
      Require(got <= expected && (got > 0) == (expected > 0), "some of what is ready");
    } else {
      Require(got == expected, "as many as are ready");
    }
    for (auto& delivery : *received) {
      const int body = delivery.body();
      Require(model_.StateOf(body, now) == StandardQueueModel::State::kReady, "only what is ready");
      Require(delivery.receive_count() == model_.Receive(body, now, timeout), "receive count");
      Require(delivery.sent_at() == model_.at(body).sent_at, "sent at");
      Require(delivery.first_received_at() == model_.at(body).first_received_at, "first received at");
      held_.Add(std::move(delivery));
    }
  }

  // Messages that have arrived in the dead-letter queue were received too often, and were not given by this call.
  void TakeDeadLetters() {
    for (;;) {
      auto letters = *dead_.Receive({.max_messages = 10});
      if (letters.empty()) return;
      for (auto& letter : letters) {
        Require(model_.IsDeadLetter(letter.body(), clock_.Now()), "only what was received too often");
        const auto& message = model_.at(letter.body());
        Require(letter.sent_at() == message.sent_at, "the time of sending stays");
        Require(letter.receive_count() == message.receive_count + 1, "the receives go on");
        Require(letter.first_received_at() == message.first_received_at, "the first receive stays");
        model_.Remove(letter.body());
        Require(letter.Delete().ok(), "delete a dead letter");
      }
    }
  }

  void Delete() {
    Held* const held = held_.Pick();
    if (held == nullptr) return;
    Require(held_.Delete(queue_, *held).ok(), "delete");
    model_.Delete(held->body, held->receive, clock_.Now());
    if (chance_.Pick(2) == 0) held_.Drop(held);
  }

  void ChangeVisibility() {
    Held* const held = held_.Pick();
    if (held == nullptr) return;
    const absl::Duration timeout = chance_.PickTimeout();
    const absl::Status status = held_.ChangeVisibility(queue_, *held, timeout);
    const auto expected = model_.ChangeVisibility(held->body, held->receive, clock_.Now(), timeout);
    INFO("status " << status.ToString() << ", expected " << (expected ? ErrorName(*expected) : "OK"));
    Require(ErrorIn(status) == expected, "change visibility");
  }

  void Drop() {
    if (Held* const held = held_.Pick()) held_.Drop(held);
  }

  void Advance() {
    chance_.Advance(clock_, model_.NextEvent(clock_.Now()));
    model_.Forget(clock_.Now());
  }

  void SetAttributes() {
    QueueAttributes attributes;
    if (chance_.Pick(3) == 0) {
      model_.max_receives = static_cast<std::uint32_t>(chance_.Pick(6)) + 1;
      attributes.redrive = Redrive{.to = dead_, .max_receives = static_cast<int>(model_.max_receives)};
    } else if (chance_.Pick(2) == 0) {
      attributes.retention = model_.retention = chance_.Pick(2) == 0 ? Hours(96) : Minutes(chance_.Pick(60) + 1);
      model_.Forget(clock_.Now());
    } else {
      attributes.max_in_flight = model_.max_in_flight = chance_.Pick(2) == 0 ? 120'000 : chance_.Pick(20) + 1;
    }
    with_groups_ = with_groups_ || chance_.Pick(4) == 0;
    Require(queue_.SetAttributes(attributes).ok(), "set attributes");
  }

  void Purge() {
    const bool too_soon = clock_.Now() < purged_at_ + Minutes(1);
    Require(ErrorIn(queue_.Purge()) == (too_soon ? std::optional(Error::kPurgeQueueInProgress) : std::nullopt),
            "purge");
    if (too_soon) {
      clock_.Advance(Minutes(1));
      model_.Forget(clock_.Now());
      return;
    }
    purged_at_ = clock_.Now();
    model_.Purge();
  }

  void CompareCounts() { testing::CompareCounts(queue_.Counts(), model_.Counts(clock_.Now())); }

  Chance chance_;
  ManualClock clock_;
  HeldReceives held_;
  Queue dead_ = Make<Queue>(clock_, {.retention = Hours(14 * 24)});
  Queue queue_;
  StandardQueueModel model_;
  int next_body_ = 0;
  bool with_groups_ = false;
  absl::Time purged_at_ = absl::InfinitePast();
};

TEST_CASE("a standard queue does what a plain model of it does, in any sequence of operations") {
  ForEachSeed(200, [](std::uint64_t seed) { StandardQueueComparison(seed).Run(10'000); });
}

}  // namespace decouple::testing
