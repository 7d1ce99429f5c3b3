// A FIFO queue against a plain model of one: the same random operations on both, and the same outcome each time.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model_testing.h"
#include "queue_testing.h"
#include "seed.h"

namespace decouple::testing {

// The rules of a FIFO queue in the plainest way: lists of messages, and times compared with now. The model leaves open
// which group comes next.
class FifoModel {
 public:
  struct Message {
    int body;
    std::string group;
    absl::Time sent_at;
    absl::Time visible_at;
    absl::Time first_received_at;
    std::uint32_t receive_count = 0;
  };

  struct Sent {
    absl::Time at;
    SendResult result;
  };

  absl::Duration retention = Hours(96);
  absl::Duration delay = absl::ZeroDuration();
  std::int64_t max_in_flight = 120'000;
  std::uint32_t max_receives = 5;

  const std::map<std::string, std::deque<Message>>& groups() const { return groups_; }

  void Send(int body, const std::string& group, absl::Time now) {
    groups_[group].push_back({body, group, now, now + delay, {}, 0});
  }

  // A changed delay counts for the messages whose delay has not ended yet, from their sending.
  void SetDelay(absl::Duration new_delay, absl::Time now) {
    delay = new_delay;
    for (auto& [name, messages] : groups_) {
      for (Message& message : messages) {
        if (message.receive_count == 0 && message.visible_at > now) message.visible_at = message.sent_at + delay;
      }
    }
  }

  // Null if the message is gone.
  Message* Find(int body) {
    for (auto& [name, messages] : groups_) {
      for (Message& message : messages) {
        if (message.body == body) return &message;
      }
    }
    return nullptr;
  }

  void Remove(int body) {
    for (auto& [name, messages] : groups_) {
      std::erase_if(messages, [&](const Message& message) { return message.body == body; });
    }
  }

  // Removes the messages that are past their retention.
  void Forget(absl::Time now) {
    for (auto& [name, messages] : groups_) {
      std::erase_if(messages, [&](const Message& message) { return now >= message.sent_at + retention; });
    }
  }

  void Purge() {
    groups_.clear();
    sent_.clear();
  }

  // The messages of the group that a receive at `now` may return, without dead letters: those before the first that is
  // invisible.
  std::vector<int> Receivable(const std::string& group, absl::Time now) const {
    std::vector<int> bodies;
    for (const Message& message : groups_.at(group)) {
      if (message.visible_at > now) break;
      if (message.receive_count < max_receives) bodies.push_back(message.body);
    }
    return bodies;
  }

  bool IsDeadLetter(const Message& message, absl::Time now) const {
    return message.visible_at <= now && message.receive_count >= max_receives;
  }

  MessageCounts Counts(absl::Time now) const {
    MessageCounts counts;
    for (const auto& [name, messages] : groups_) {
      for (const Message& message : messages) {
        (message.visible_at <= now    ? counts.ready
         : message.receive_count == 0 ? counts.delayed
                                      : counts.in_flight) += 1;
      }
    }
    return counts;
  }

  // Returns the result of the send that this one is a duplicate of.
  std::optional<SendResult> FirstSend(const std::string& id, absl::Time now) const {
    const auto found = sent_.find(id);
    if (found == sent_.end() || now >= found->second.at + Minutes(5)) return std::nullopt;
    return found->second.result;
  }

  void Remember(const std::string& id, absl::Time now, const SendResult& result) { sent_[id] = {now, result}; }

  absl::Time NextEvent(absl::Time now) const {
    absl::Time next = absl::InfiniteFuture();
    const auto consider = [&](absl::Time at) {
      if (at > now) next = std::min(next, at);
    };
    for (const auto& [name, messages] : groups_) {
      for (const Message& message : messages) {
        consider(message.visible_at);
        consider(message.sent_at + retention);
      }
    }
    for (const auto& [id, sent] : sent_) consider(sent.at + Minutes(5));
    return next;
  }

  std::size_t size() const {
    std::size_t sum = 0;
    for (const auto& [name, messages] : groups_) sum += messages.size();
    return sum;
  }

 private:
  std::map<std::string, std::deque<Message>> groups_;
  std::map<std::string, Sent> sent_;
};

class FifoComparison {
 public:
  explicit FifoComparison(std::uint64_t seed)
      : chance_(seed),
        held_(chance_),
        dead_(Make<Queue>(clock_, {.name = "dead", .seed = seed | 1})),
        queue_(Make<Queue>(clock_,
                           {.redrive = Redrive{.to = dead_, .max_receives = 5}, .name = "model", .seed = seed | 1})) {}

  void Run(int operations) {
    for (int i = 0; i < operations; ++i) {
      Step();
      if (i % 16 == 0) CompareCounts(queue_.Counts(), model_.Counts(clock_.Now()));
    }
    CompareCounts(queue_.Counts(), model_.Counts(clock_.Now()));
  }

 private:
  using Queue = FifoQueue<int>;

  struct Attempt {
    absl::Time made_at;
    absl::Time visible_at;
    std::vector<std::pair<int, std::uint32_t>> receives;
  };

  void Step() {
    const int dice = chance_.Pick(100);
    if (dice < 35) {
      Send();
    } else if (dice < 60) {
      Receive();
    } else if (dice < 77) {
      Delete();
    } else if (dice < 84) {
      ChangeVisibility();
    } else if (dice < 89) {
      if (Held* const held = held_.Pick()) held_.Drop(held);
    } else if (dice < 98) {
      chance_.Advance(clock_, model_.NextEvent(clock_.Now()));
      model_.Forget(clock_.Now());
    } else if (dice < 99) {
      SetAttributes();
    } else if (chance_.Pick(10) == 0) {
      Purge();
    }
  }

  void Send() {
    if (model_.size() > 300) return Purge();
    const absl::Time now = clock_.Now();
    const int body = next_body_++;
    const std::string group = "group-" + std::to_string(chance_.Pick(6));
    // Now and then one of few ids, so that some are duplicates.
    const std::string id = std::to_string(chance_.Pick(3) == 0 ? -1 - chance_.Pick(5) : body);
    const auto sent = queue_.Send(body, {.group = group, .deduplication_id = id});
    Require(sent.ok(), "send");
    if (const auto first = model_.FirstSend(id, now)) {
      Require(sent->message_id == first->message_id, "a duplicate answers with the first one's id");
      Require(sent->sequence_number == first->sequence_number, "and with its sequence number");
      return;
    }
    Require(sent->sequence_number > last_sequence_number_, "sequence numbers grow");
    last_sequence_number_ = *sent->sequence_number;
    model_.Remember(id, now, *sent);
    model_.Send(body, group, now);
  }

  void Receive() {
    const absl::Time now = clock_.Now();
    const std::size_t most = static_cast<std::size_t>(chance_.Pick(10)) + 1;
    const absl::Duration timeout = chance_.PickTimeout();
    std::optional<std::string> attempt_id;
    if (chance_.Pick(4) == 0) attempt_id = "attempt-" + std::to_string(chance_.Pick(3));
    auto received = queue_.Receive({.max_messages = most, .visibility_timeout = timeout, .attempt_id = attempt_id});
    Require(received.ok(), "receive");
    if (attempt_id && IsRepeatable(*attempt_id, now)) {
      CheckRepeated(attempts_.at(*attempt_id), now + timeout, *received);
    } else {
      CheckReceived(most, timeout, *received);
      if (attempt_id && !received->empty()) Remember(*attempt_id, now, now + timeout, *received);
    }
    for (auto& delivery : *received) held_.Add(std::move(delivery));
  }

  void CheckReceived(std::size_t most, absl::Duration timeout, const Deliveries<int>& received) {
    const absl::Time now = clock_.Now();
    const std::int64_t room = model_.max_in_flight - model_.Counts(now).in_flight;
    TakeDeadLetters();
    std::size_t receivable = 0;
    for (const auto& [group, messages] : model_.groups()) receivable += model_.Receivable(group, now).size();
    const std::size_t expected =
        std::min({most, receivable, static_cast<std::size_t>(std::max<std::int64_t>(0, room))});
    INFO("got " << received.size() << ", expected " << expected << " of " << most << ", room for " << room);
    if (timeout == absl::ZeroDuration()) {  // what it gives is visible again, so it may stop at any number
      Require(received.size() <= expected && received.empty() == (expected == 0), "some of what there is");
    } else {
      Require(received.size() == expected, "as many as there are");
    }
    std::set<std::string> served;
    for (std::size_t i = 0; i < received.size();) {
      const std::string group(received[i].group());
      Require(served.insert(group).second, "one group after the other");
      const std::vector<int> bodies = model_.Receivable(group, now);
      std::size_t n = 0;
      for (; i < received.size() && received[i].group() == group; ++i, ++n) {
        Require(n < bodies.size() && received[i].body() == bodies[n], "in the order of the group");
        CheckDelivery(received[i], now, timeout);
      }
      Require(n == bodies.size() || i == received.size(), "all it can of a group before the next");
    }
    const bool saw_all = received.size() < most && static_cast<std::int64_t>(received.size()) < room;
    if (saw_all && timeout != absl::ZeroDuration()) {
      for (const auto& [group, messages] : model_.groups()) {
        Require(messages.empty() || !model_.IsDeadLetter(messages.front(), now), "no dead letter stays");
      }
    }
  }

  void CheckDelivery(const Delivery<int>& delivery, absl::Time now, absl::Duration timeout) {
    FifoModel::Message& message = *model_.Find(delivery.body());
    if (message.receive_count == 0) message.first_received_at = now;
    message.visible_at = now + timeout;
    Require(delivery.receive_count() == ++message.receive_count, "receive count");
    Require(delivery.sent_at() == message.sent_at, "sent at");
    Require(delivery.first_received_at() == message.first_received_at, "first received at");
    Require(delivery.visible_at() == message.visible_at, "visible at");
  }

  // What has arrived in the dead-letter queue was at the head of its group, in the group's order.
  void TakeDeadLetters() {
    for (;;) {
      auto letters = *dead_.Receive({.max_messages = 10});
      if (letters.empty()) return;
      for (auto& letter : letters) {
        const auto& messages = model_.groups().at(std::string(letter.group()));
        Require(!messages.empty() && messages.front().body == letter.body(), "dead letters keep their order");
        Require(model_.IsDeadLetter(messages.front(), clock_.Now()), "only what was received too often");
        Require(letter.sent_at() == clock_.Now(), "their retention starts anew");
        Require(letter.receive_count() == messages.front().receive_count + 1, "their receives go on");
        Require(letter.first_received_at() == messages.front().first_received_at, "their first receive stays");
        Require(letter.deduplication_id() == letter.id().ToString(), "their id is their deduplication id");
        model_.Remove(letter.body());
        Require(letter.Delete().ok(), "delete a dead letter");
      }
    }
  }

  bool IsRepeatable(const std::string& id, absl::Time now) {
    const auto found = attempts_.find(id);
    if (found == attempts_.end() || now >= found->second.made_at + Minutes(5)) return false;
    const Attempt& attempt = found->second;
    return attempt.visible_at > now && std::all_of(attempt.receives.begin(), attempt.receives.end(), [&](auto receive) {
             const FifoModel::Message* const message = model_.Find(receive.first);
             return message != nullptr && message->receive_count == receive.second &&
                    message->visible_at == attempt.visible_at;
           });
  }

  void CheckRepeated(Attempt& attempt, absl::Time visible_at, const Deliveries<int>& received) {
    Require(received.size() == attempt.receives.size(), "as many as the first time");
    for (std::size_t i = 0; i < received.size(); ++i) {
      Require(received[i].body() == attempt.receives[i].first, "the same messages");
      Require(received[i].receive_count() == attempt.receives[i].second, "the same receive");
      model_.Find(received[i].body())->visible_at = visible_at;
    }
    attempt.visible_at = visible_at;
  }

  void Remember(const std::string& id, absl::Time now, absl::Time visible_at, const Deliveries<int>& received) {
    Attempt attempt{now, visible_at, {}};
    for (const auto& delivery : received) attempt.receives.emplace_back(delivery.body(), delivery.receive_count());
    attempts_[id] = attempt;
  }

  void Delete() {
    Held* const held = held_.Pick();
    if (held == nullptr) return;
    const FifoModel::Message* const message = model_.Find(held->body);
    const bool expired = message != nullptr && !IsInFlight(*message, held->receive);
    Require(
        ErrorIn(held_.Delete(queue_, *held)) == (expired ? std::optional(Error::kInvalidParameterValue) : std::nullopt),
        "delete");
    if (!expired) model_.Remove(held->body);
    if (chance_.Pick(2) == 0) held_.Drop(held);
  }

  bool IsInFlight(const FifoModel::Message& message, std::uint32_t receive) const {
    return message.receive_count == receive && message.visible_at > clock_.Now();
  }

  void ChangeVisibility() {
    Held* const held = held_.Pick();
    if (held == nullptr) return;
    const absl::Time now = clock_.Now();
    const absl::Duration timeout = chance_.PickTimeout();
    FifoModel::Message* const message = model_.Find(held->body);
    std::optional<Error> expected;
    if (message == nullptr) {
      expected = Error::kInvalidParameterValue;
    } else if (!IsInFlight(*message, held->receive)) {
      expected = Error::kMessageNotInflight;
    } else if (timeout != absl::ZeroDuration() && now + timeout > message->first_received_at + Hours(12)) {
      expected = Error::kInvalidParameterValue;
    } else {
      message->visible_at = now + timeout;
    }
    const absl::Status status = held_.ChangeVisibility(queue_, *held, timeout);
    INFO("status " << status.ToString() << ", expected " << (expected ? ErrorName(*expected) : "OK"));
    Require(ErrorIn(status) == expected, "change visibility");
  }

  void SetAttributes() {
    QueueAttributes attributes;
    switch (chance_.Pick(4)) {
      case 0:
        attributes.retention = model_.retention = chance_.Pick(2) == 0 ? Hours(96) : Minutes(chance_.Pick(60) + 1);
        model_.Forget(clock_.Now());
        break;
      case 1:
        attributes.max_in_flight = model_.max_in_flight = chance_.Pick(2) == 0 ? 120'000 : chance_.Pick(20) + 1;
        break;
      case 2:
        attributes.delay = Seconds(chance_.Pick(2) == 0 ? 0 : chance_.Pick(900));
        model_.SetDelay(*attributes.delay, clock_.Now());
        break;
      default:
        model_.max_receives = static_cast<std::uint32_t>(chance_.Pick(6)) + 1;
        attributes.redrive = Redrive{.to = dead_, .max_receives = static_cast<int>(model_.max_receives)};
    }
    Require(queue_.SetAttributes(attributes).ok(), "set attributes");
  }

  void Purge() {
    if (clock_.Now() < purged_at_ + Minutes(1)) {
      Require(ErrorIn(queue_.Purge()) == Error::kPurgeQueueInProgress, "purge too soon");
      clock_.Advance(Minutes(1));
      model_.Forget(clock_.Now());
      return;
    }
    Require(queue_.Purge().ok(), "purge");
    purged_at_ = clock_.Now();
    model_.Purge();
  }

  Chance chance_;
  ManualClock clock_;
  HeldReceives held_;
  Queue dead_;
  Queue queue_;
  FifoModel model_;
  std::map<std::string, Attempt> attempts_;
  SequenceNumber last_sequence_number_;
  int next_body_ = 0;
  absl::Time purged_at_ = absl::InfinitePast();
};

TEST_CASE("a FIFO queue does what a plain model of it does, in any sequence of operations") {
  ForEachSeed(200, [](std::uint64_t seed) { FifoComparison(seed).Run(10'000); });
}

}  // namespace decouple::testing
