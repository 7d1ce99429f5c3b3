// The metadata of a message, which is everything besides its body: attributes, a group, a past in another queue.
//
// Few messages of a standard queue have metadata, so each of them has an allocation of its own, in a table that the
// segment gets when the first of its messages needs it. All messages of a FIFO queue have metadata, so there a segment
// has one row of them, slot by slot: nothing is allocated for a message, and a thread that goes from message to message
// goes through memory in order (exp. 16).

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_METADATA_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_METADATA_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/lazy_pointer.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/message.h"
#include "decouple/message_attributes.h"

namespace decouple::inline v0_1::internal {

class QueueBase;
struct MessageMetadata;
struct Tenant;

// What a message keeps of the queue that it came from.
struct Origin {
  std::optional<MessageId> id;      // the id that it had there, if it keeps it
  std::string source_name;          // the name of the queue whose dead letter it is
  std::weak_ptr<QueueBase> source;  // that queue
  // How often a dead letter was received before it came here, and when first, in nanoseconds since the epoch. No other
  // message has receives of another queue.
  std::uint32_t receives = 0;
  std::int64_t first_received_at = 0;
};

// The position of a message of a FIFO queue in its group. Guarded by the mutex of the group's shard (message_groups.h).
struct PlaceInGroup {
  MessageMetadata* earlier = nullptr;
  MessageMetadata* later = nullptr;
  SlotRef place;  // where the message is
};

// The fields are grouped by cache line: every call uses the first, a receiver that asks for them the second, hardly any
// call the third.
struct MessageMetadata {
  PlaceInGroup in_group;         // in FIFO queues
  std::uint32_t group_hash = 0;  // in FIFO queues
  bool is_replayed = false;      // a topic sent it once more, from its archive
  bool is_moved = false;         // it is known by another ticket than its slot's (moved_messages.h)
  bool has_origin = false;       // `origin` is set; otherwise the message was sent to this queue
  MessageAttributes attributes;

  std::string group;
  std::string deduplication_id;

  std::unique_ptr<Origin> origin;
  std::uint64_t moved_from = 0;  // the ticket by which it is known, if it is moved
  // In standard queues, for messages with a group:
  Tenant* tenant = nullptr;
  std::uint64_t queue_position = 0;  // its position among its tenant's visible messages
  std::int64_t leased_at = 0;        // when it was received last

  Origin& MakeOrigin() {
    origin = std::make_unique<Origin>();
    has_origin = true;
    return *origin;
  }

  // Moves here what belongs to the message, not to its slot.
  void TakeFrom(MessageMetadata& other) {
    is_replayed = other.is_replayed;
    attributes = std::move(other.attributes);
    group = std::move(other.group);
    deduplication_id = std::move(other.deduplication_id);
    has_origin = other.has_origin;
    origin = std::move(other.origin);
    tenant = other.tenant;
    queue_position = other.queue_position;
    leased_at = other.leased_at;
  }

  // After the message has ended: resets every field that the next message does not set in any case. The strings keep
  // their memory for the next message's.
  void Clear() {
    if (!attributes.empty()) attributes = MessageAttributes();
    if (has_origin) origin.reset();
    is_replayed = is_moved = has_origin = false;
  }
};

static_assert(offsetof(MessageMetadata, attributes) + sizeof(MessageAttributes) <= kCacheLine &&
                  offsetof(MessageMetadata, group) >= kCacheLine,
              "keep what every call uses in the first cache line");

// The metadata of a segment's messages, by the index of their slot. An entry is read and written only by threads that
// have locked its slot or have a reference to its message.
//
// A segment has either a row (in the lane of a FIFO queue) or a table of owners, never both.
class MetadataTable {
 public:
  MetadataTable() = default;
  MetadataTable(const MetadataTable&) = delete;
  MetadataTable& operator=(const MetadataTable&) = delete;
  ~MetadataTable() {
    delete row_.load(std::memory_order_acquire);
    delete owners_.load(std::memory_order_acquire);
  }

  // Requires: the message in that slot has metadata.
  MessageMetadata& at(std::size_t index) const {
    DECOUPLE_ASSERT(index < kSlotsPerSegment);
    // Relaxed: the caller has acquired the slot's word, and with it what was here when the message was published.
    if (Row* const row = row_.load(std::memory_order_relaxed)) return (*row)[index];
    const Owners* const owners = owners_.load(std::memory_order_relaxed);
    DECOUPLE_ASSERT(owners != nullptr && (*owners)[index] != nullptr);
    return *(*owners)[index];
  }

  // For the sender of a message of a FIFO queue: the metadata to fill. Prefetches the next slot's.
  MessageMetadata& InRow(std::size_t index) {
    DECOUPLE_ASSERT(index < kSlotsPerSegment && owners_.load(std::memory_order_relaxed) == nullptr);
    Aligned* const here = GetOrCreate(row_)->data() + index;
    const auto* const next = reinterpret_cast<const std::byte*>(here + 1);
    __builtin_prefetch(next, /* to write */ 1);
    __builtin_prefetch(next + kCacheLine, /* to write */ 1);
    return *here;
  }

  // For a message of a standard queue, or one that has been moved (moved_messages.h).
  void Put(std::size_t index, std::unique_ptr<MessageMetadata> metadata) {
    DECOUPLE_ASSERT(index < kSlotsPerSegment && row_.load(std::memory_order_relaxed) == nullptr);
    (*GetOrCreate(owners_))[index] = std::move(metadata);
  }

  // After the slot's message has ended, or has been moved. Requires: it has metadata.
  void Clear(std::size_t index) {
    DECOUPLE_ASSERT(index < kSlotsPerSegment);
    if (Row* const row = row_.load(std::memory_order_relaxed)) {
      (*row)[index].Clear();
    } else {
      (*owners_.load(std::memory_order_relaxed))[index].reset();
    }
  }

  // The memory of the row, without that of its strings.
  std::int64_t bytes() const { return row_.load(std::memory_order_relaxed) == nullptr ? 0 : sizeof(Row); }
  // Frees the row; the next message allocates it again. Requires: no slot of the segment is in use.
  void Free() { delete row_.exchange(nullptr, std::memory_order_acq_rel); }

 private:
  struct alignas(kCacheLine) Aligned : MessageMetadata {};
  using Row = std::array<Aligned, kSlotsPerSegment>;
  using Owners = std::array<std::unique_ptr<MessageMetadata>, kSlotsPerSegment>;

  std::atomic<Row*> row_{nullptr};
  std::atomic<Owners*> owners_{nullptr};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_METADATA_H_
