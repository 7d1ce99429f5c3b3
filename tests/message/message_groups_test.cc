// The order of messages within a group, as a list, and which of them has to be queued.

#include "decouple/internal/message/message_groups.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "catch.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"

namespace decouple::testing {
namespace {

using internal::MessageGroups;
using internal::MessageMetadata;
using internal::Phase;
using internal::SlotState;

// Slots and metadata without a lane around them.
class Groups {
 public:
  // Appends a message in that phase to the group, and returns its number. Sets `is_first` to what Append() returned.
  std::size_t Append(const std::string& group, Phase phase = Phase::kVisibleAgain) {
    internal::MessageSlot& slot = slots_.emplace_back();
    MessageMetadata& metadata = metadata_.emplace_back();
    metadata.group = group;
    metadata.in_group.place = {nullptr, &slot};
    MessageGroups::GroupAppendGuard guard(groups, groups.Prefetch(group));
    guard.PrefetchLast();
    is_first = guard.Append(metadata);
    slot.word = SlotState(phase, 1, SlotState::kHasMetadata).bits();
    return metadata_.size() - 1;
  }

  MessageMetadata& operator[](std::size_t i) { return metadata_[i]; }
  SlotState word(std::size_t i) const { return SlotState(slots_[i].word); }
  void set_word(std::size_t i, SlotState word) { slots_[i].word = word.bits(); }

  // The number of the message that Remove() wants queued.
  std::optional<std::size_t> Remove(std::size_t i) {
    const auto next = groups.Remove(metadata_[i]);
    if (!next) return std::nullopt;
    for (std::size_t n = 0; n < slots_.size(); ++n) {
      if (&slots_[n] == next->slot) return n;
    }
    return std::nullopt;
  }

  MessageGroups groups;
  bool is_first = false;

 private:
  std::deque<internal::MessageSlot> slots_;
  std::deque<MessageMetadata> metadata_;
};

TEST_CASE("messages of a group are linked in the order in which they were appended") {
  Groups g;
  const std::size_t a = g.Append("x");
  CHECK(g.is_first);
  const std::size_t b = g.Append("x");
  CHECK_FALSE(g.is_first);
  const std::size_t c = g.Append("x");
  CHECK(g[a].in_group.later == &g[b]);
  CHECK(g[b].in_group.later == &g[c]);
  CHECK(g[c].in_group.later == nullptr);
  CHECK(g[c].in_group.earlier == &g[b]);
  CHECK(g[a].in_group.earlier == nullptr);
}

TEST_CASE("groups are independent, however many there are") {
  Groups g;
  for (int i = 0; i < 1'000; ++i) {
    g.Append(std::to_string(i));
    REQUIRE(g.is_first);
  }
  for (int i = 0; i < 1'000; ++i) {
    g.Append(std::to_string(i));
    REQUIRE_FALSE(g.is_first);
  }
}

TEST_CASE("when the first message ends, the next one is queued if it is visible") {
  Groups g;
  const std::size_t a = g.Append("x");
  const std::size_t b = g.Append("x");
  g.Append("x");
  CHECK(g.Remove(a) == b);
  CHECK(g.word(b).Has(SlotState::kQueued));
  CHECK(g[b].in_group.earlier == nullptr);
}

TEST_CASE("a message that is not visible, or is queued already, is not queued when it becomes the first") {
  for (const Phase phase : {Phase::kInFlight, Phase::kDelayed, Phase::kBusy}) {
    Groups g;
    const std::size_t a = g.Append("x");
    const std::size_t b = g.Append("x", phase);
    CHECK(g.Remove(a) == std::nullopt);
    CHECK_FALSE(g.word(b).Has(SlotState::kQueued));
  }
  Groups g;
  const std::size_t a = g.Append("x");
  const std::size_t b = g.Append("x");
  g.set_word(b, g.word(b).With(SlotState::kQueued));
  CHECK(g.Remove(a) == std::nullopt);
}

TEST_CASE("a message that ends in the middle or at the end leaves the others linked") {
  Groups g;
  const std::size_t a = g.Append("x");
  const std::size_t b = g.Append("x");
  const std::size_t c = g.Append("x");
  CHECK(g.Remove(b) == std::nullopt);
  CHECK(g[a].in_group.later == &g[c]);
  CHECK(g[c].in_group.earlier == &g[a]);
  CHECK(g.Remove(c) == std::nullopt);
  CHECK(g[a].in_group.later == nullptr);
  const std::size_t d = g.Append("x");  // the table finds the last one
  CHECK(g[a].in_group.later == &g[d]);
}

TEST_CASE("a group is gone with its last message") {
  Groups g;
  CHECK(g.Remove(g.Append("x")) == std::nullopt);
  g.Append("x");
  CHECK(g.is_first);
}

TEST_CASE("a message that becomes visible is queued only if it is the first, and only once") {
  Groups g;
  const std::size_t a = g.Append("x", Phase::kBusy);
  const std::size_t b = g.Append("x", Phase::kBusy);
  const SlotState visible(Phase::kVisibleAgain, 1, SlotState::kHasMetadata);
  CHECK_FALSE(g.groups.UnlockVisible(g[b], visible));
  CHECK(g.word(b) == visible);
  CHECK(g.groups.UnlockVisible(g[a], visible));
  CHECK(g.word(a) == visible.With(SlotState::kQueued));
  g.set_word(a, visible.With(Phase::kBusy));
  CHECK_FALSE(g.groups.UnlockVisible(g[a], visible.With(SlotState::kQueued)));
}

TEST_CASE("a message that moves takes its place in the group along") {
  Groups g;
  const std::size_t a = g.Append("x");
  const std::size_t b = g.Append("x", Phase::kBusy);
  const std::size_t c = g.Append("x");
  internal::MessageSlot slot;
  slot.word = SlotState(Phase::kBusy, 1, SlotState::kHasMetadata).bits();
  MessageMetadata moved;
  const SlotState word(Phase::kVisibleAgain, 1, SlotState::kHasMetadata);
  CHECK_FALSE(g.groups.Relocate(g[b], moved, {nullptr, &slot}, word));
  CHECK(moved.group == "x");
  CHECK(g[a].in_group.later == &moved);
  CHECK(g[c].in_group.earlier == &moved);
  CHECK(SlotState(slot.word) == word);
}

}  // namespace
}  // namespace decouple::testing
