// What is to be said of a message besides its body: attributes, a group, a past in another queue.
//
// Few messages of a standard queue have any, so each that does has its own, in a table of the segment that exists only
// once one of its messages needs it. All messages of a FIFO queue have some, so there a segment has them in a row, for
// one message after the other: nothing is allocated for a message, and who goes from message to message goes through
// memory in order. (Each with its own, and each group too, that took a fifth of a send, receive and delete with 100 000
// groups.)

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

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/lazy_pointer.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/message.h"
#include "decouple/message_attributes.h"

namespace decouple::internal {

class QueueBase;
struct MessageMetadata;
struct Tenant;

// What a message brought along from another queue.
struct Origin {
  std::optional<MessageId> id;      // kept
  std::string source_name;          // of the queue whose dead letter it is
  std::weak_ptr<QueueBase> source;  // that queue
};

// Names a slot for those who do not know the body's type.
struct SlotRef {
  void* segment = nullptr;
  void* slot = nullptr;
};

// Where a message of a FIFO queue is in the order of its group. Guarded by the mutex of the group (message_groups.h).
struct PlaceInGroup {
  MessageMetadata* earlier = nullptr;
  MessageMetadata* later = nullptr;
  SlotRef place;  // of the message
};

// In the order of who looks at it, in lines of the cache: every call; a receiver that wants to know; nearly nobody.
struct MessageMetadata {
  PlaceInGroup in_group;         // of messages of FIFO queues
  std::uint32_t group_hash = 0;  // the same
  bool is_replayed = false;      // a topic sent it once more, from its archive
  bool is_moved = false;         // it is known by another ticket than its slot's (moved_messages.h)
  bool has_origin = false;       // else it was sent here
  MessageAttributes attributes;

  std::string group;
  std::string deduplication_id;

  std::unique_ptr<Origin> origin;
  std::uint64_t moved_from = 0;  // the ticket, if it is moved
  // Of messages of standard queues with a group:
  Tenant* tenant = nullptr;
  std::uint64_t place_in_line = 0;  // where it waits among its tenant's messages
  std::int64_t leased_at = 0;       // when it was received last

  Origin& MakeOrigin() {
    origin = std::make_unique<Origin>();
    has_origin = true;
    return *origin;
  }

  // What the message brought along, from where it was.
  void TakeFrom(MessageMetadata& other) {
    is_replayed = other.is_replayed;
    attributes = std::move(other.attributes);
    group = std::move(other.group);
    deduplication_id = std::move(other.deduplication_id);
    has_origin = other.has_origin;
    origin = std::move(other.origin);
    tenant = other.tenant;
    place_in_line = other.place_in_line;
    leased_at = other.leased_at;
  }

  // The message is over, and another one's will be here: all is as at first, but for what that one says anyway. The
  // memory of the texts stays for its texts.
  void Clear() {
    if (!attributes.empty()) attributes = MessageAttributes();
    if (has_origin) origin.reset();
    is_replayed = is_moved = has_origin = false;
  }
};

// Those of a segment's messages, by their place. A place is written and read only by those who own or hold its slot.
class MetadataTable {
 public:
  MetadataTable() = default;
  MetadataTable(const MetadataTable&) = delete;
  MetadataTable& operator=(const MetadataTable&) = delete;
  ~MetadataTable() {
    delete row_.load(std::memory_order_acquire);
    delete owners_.load(std::memory_order_acquire);
  }

  // Of a message that has some.
  MessageMetadata& at(std::size_t place) const {
    // Relaxed: who owns or holds the slot has acquired what was there when it was published.
    if (Row* const row = row_.load(std::memory_order_relaxed)) return (*row)[place];
    return *(*owners_.load(std::memory_order_relaxed))[place];
  }

  // For a message of a FIFO queue that comes into the place. The next place is on its way then.
  MessageMetadata& InRow(std::size_t place) {
    Aligned* const here = GetOrCreate(row_)->data() + place;
    const auto* const next = reinterpret_cast<const std::byte*>(here + 1);
    __builtin_prefetch(next, /* to write */ 1);
    __builtin_prefetch(next + kCacheLine, /* to write */ 1);
    return *here;
  }

  // For one of a standard queue, or that was moved aside.
  void Put(std::size_t place, std::unique_ptr<MessageMetadata> metadata) {
    (*GetOrCreate(owners_))[place] = std::move(metadata);
  }

  // The message of the place is over, or has left.
  void Clear(std::size_t place) {
    if (Row* const row = row_.load(std::memory_order_relaxed)) {
      (*row)[place].Clear();
    } else {
      (*owners_.load(std::memory_order_relaxed))[place].reset();
    }
  }

  // What the row takes; what its texts do comes on top.
  std::int64_t bytes() const { return row_.load(std::memory_order_relaxed) == nullptr ? 0 : sizeof(Row); }
  // Nobody has a slot of the segment: its memory goes, and comes back with the next message.
  void Free() { delete row_.exchange(nullptr, std::memory_order_acq_rel); }

 private:
  struct alignas(kCacheLine) Aligned : MessageMetadata {};
  using Row = std::array<Aligned, kSlotsPerSegment>;
  using Owners = std::array<std::unique_ptr<MessageMetadata>, kSlotsPerSegment>;

  std::atomic<Row*> row_{nullptr};
  std::atomic<Owners*> owners_{nullptr};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_METADATA_H_
