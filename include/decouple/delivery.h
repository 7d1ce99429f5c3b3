// What a receive returns: messages that are the receiver's until their visibility timeout ends.
//
//   for (auto& m : queue.Receive({.max_messages = 10}).value()) {
//     if (Handle(m.body()).ok()) m.Delete().IgnoreError();      // else it becomes visible again by itself
//   }
//
// A delivery only refers to its message. Destroying it has no effect on the message, which becomes visible again when
// its timeout ends. The body and everything else stays readable as long as the delivery lives, whatever other threads
// do to the message or the queue.
//
// A delivery may be moved to another thread and must be used by one thread at a time. It keeps its queue's memory
// alive, but not the queue's handle, and must not outlive the queue's clock.

#ifndef DECOUPLE_DELIVERY_H_
#define DECOUPLE_DELIVERY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/queue/held_message.h"
#include "decouple/internal/queue/message_names.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/message.h"
#include "decouple/message_attributes.h"
#include "decouple/publication.h"
#include "decouple/queue_kind.h"
#include "decouple/result.h"

namespace decouple::inline v0_1 {

template <typename T>
class Deliveries;
namespace internal {
template <typename T>
struct FastReceive;
}  // namespace internal

template <typename T>
class Delivery {
 public:
  Delivery(Delivery&& other) noexcept
      : held_{other.held_.message, std::exchange(other.held_.queue, nullptr),
              std::exchange(other.held_.received, internal::SlotState())} {}
  Delivery& operator=(Delivery&& other) noexcept {
    Delivery(std::move(other)).Swap(*this);
    return *this;
  }
  ~Delivery() {
    if (held_.queue != nullptr) internal::Holder<T>::Release(held_);
  }

  MessageId id() const { return internal::IdOf(held_.queue->state().identity, held_.message); }
  const T& body() const { return internal::BodyOf<T>(held_.message, held_.received); }
  const MessageAttributes& attributes() const;
  // How often the message was received, this receive included. SQS's ApproximateReceiveCount; here it is exact. That of
  // a dead letter goes on: it includes the receives in the queues that it came from.
  std::uint32_t receive_count() const { return internal::ReceivesOf(held_.message, held_.received); }
  absl::Time sent_at() const {
    return absl::FromUnixNanos(
        held_.message.slot->sent_at.load(std::memory_order_relaxed));  // set before it was received
  }
  // Of a dead letter: when it was received first in the queues that it came from.
  absl::Time first_received_at() const {
    return absl::FromUnixNanos(internal::FirstReceivedAt(held_.message, held_.received));
  }
  // When its visibility timeout ends, as set last: by a later receiver, if the message was received again since.
  absl::Time visible_at() const { return absl::FromUnixNanos(held_.message.times().visible_at()); }
  // Empty if the message was sent without a group.
  std::string_view group() const;
  // Both are set in FIFO queues only.
  std::string_view deduplication_id() const;
  std::optional<SequenceNumber> sequence_number() const {
    if (held_.queue->kind() != QueueKind::kFifo) return std::nullopt;
    return internal::SequenceNumberOf(internal::MessageStore::TicketOf(held_.message));
  }
  // The name of the queue that the dead letter came from (SQS's DeadLetterQueueSource); empty if it is not one.
  std::string_view dead_letter_source() const;
  // What was published with it on a topic; null if it was sent to a queue directly.
  const Publication* publication() const;
  // Whether a FIFO topic delivered it again from its archive (SNS's Replayed).
  bool replayed() const;
  ReceiptHandle receipt() const {
    return internal::ReceiptOf(held_.queue->state().identity, held_.message, held_.received.receive_count());
  }

  // Deletes the message. Succeeds without effect when it is gone already. After its visibility timeout has ended, a
  // standard queue deletes it, or does nothing if it was received again since; a FIFO queue returns
  // kInvalidParameterValue in both cases, as another receiver may have it. kRequestThrottled: the queue's quota of
  // calls is used up.
  // Inlined into the caller, as the end of a receive is (exp. 24).
  [[gnu::always_inline]] absl::Status Delete() noexcept { return internal::Holder<T>::Delete(held_); }

  // Hides the message for `visibility_timeout` from now on, 0 … 12 h. In a standard queue this works also after its
  // timeout has ended. kMessageNotInflight: it was received again since or, in a FIFO queue, its timeout has ended.
  // kInvalidParameterValue: the timeout is out of range or ends more than 12 h after the first receive from this queue,
  // or the message is gone.
  absl::Status ChangeVisibility(absl::Duration visibility_timeout) noexcept {
    return held_.queue->ChangeVisibility(held_.message, held_.received.receive_count(), visibility_timeout);
  }

  // Makes the message visible at once. Same as ChangeVisibility(absl::ZeroDuration()).
  absl::Status Release() noexcept { return ChangeVisibility(absl::ZeroDuration()); }

 private:
  friend struct internal::Access;
  friend class Deliveries<T>;

  [[gnu::always_inline]] explicit Delivery(const internal::HeldMessage& held) : held_(held) {
    static_assert(sizeof(Delivery) == sizeof(internal::HeldMessage));
  }

  void Swap(Delivery& other) noexcept { std::swap(held_, other.held_); }

  internal::HeldMessage held_;
};

template <typename T>
const MessageAttributes& Delivery<T>::attributes() const {
  static const auto& none = *new MessageAttributes;  // never destroyed: other statics may hold deliveries
  if (const Publication* const from = publication()) return from->attributes;
  const internal::MessageMetadata* const metadata = internal::MetadataOf(held_.message);
  return metadata == nullptr ? none : metadata->attributes;
}

template <typename T>
std::string_view Delivery<T>::group() const {
  const internal::MessageMetadata* const metadata = internal::MetadataOf(held_.message);
  return metadata == nullptr ? std::string_view() : std::string_view(metadata->group);
}

template <typename T>
std::string_view Delivery<T>::deduplication_id() const {
  const internal::MessageMetadata* const metadata = internal::MetadataOf(held_.message);
  return metadata == nullptr ? std::string_view() : std::string_view(metadata->deduplication_id);
}

template <typename T>
std::string_view Delivery<T>::dead_letter_source() const {
  const internal::MessageMetadata* const metadata = internal::MetadataOf(held_.message);
  if (metadata == nullptr || metadata->origin == nullptr) return {};
  return metadata->origin->source_name;
}

template <typename T>
const Publication* Delivery<T>::publication() const {
  const internal::SharedBody* const shared = internal::SharedOf(held_.message);
  return shared == nullptr ? nullptr : shared->publication();
}

template <typename T>
bool Delivery<T>::replayed() const {
  const internal::MessageMetadata* const metadata = internal::MetadataOf(held_.message);
  return metadata != nullptr && metadata->is_replayed;
}

// The deliveries of one receive. Up to ten take no memory from the heap.
//
// A contiguous range, of which elements may be moved from. This is not an absl::InlinedVector, because all deliveries
// are destroyed together: one look at the queue and one update of its counts serve all of them, without a second pass
// (exp. 26).
template <typename T>
class Deliveries {
 public:
  using value_type = Delivery<T>;
  using reference = Delivery<T>&;
  using const_reference = const Delivery<T>&;
  using iterator = Delivery<T>*;
  using const_iterator = const Delivery<T>*;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;

  Deliveries() = default;
  Deliveries(Deliveries&& other) noexcept { Take(other); }
  Deliveries& operator=(Deliveries&& other) noexcept {
    if (this == &other) return *this;
    ReleaseAll();
    Take(other);
    return *this;
  }
  [[gnu::always_inline]] ~Deliveries() {
    if (size_ != 1) {
      ReleaseAll();
    } else if (InPlace()->held_.queue != nullptr) [[likely]] {
      internal::Holder<T>::Release(InPlace()->held_);
    }
  }

  iterator begin() { return data_; }
  iterator end() { return data_ + size_; }
  const_iterator begin() const { return data_; }
  const_iterator end() const { return data_ + size_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Delivery<T>& operator[](std::size_t i) { return data_[i]; }
  const Delivery<T>& operator[](std::size_t i) const { return data_[i]; }
  Delivery<T>& front() { return data_[0]; }
  const Delivery<T>& front() const { return data_[0]; }
  Delivery<T>& back() { return data_[size_ - 1]; }
  const Delivery<T>& back() const { return data_[size_ - 1]; }

  // Deletes all deliveries that have not been moved from, as one call to the queue, which is faster than one by one.
  // Deletes as many as possible and returns the first error of the others (see Delivery::Delete()).
  absl::Status Delete() noexcept {
    internal::QueueBase* const queue = FindQueue();
    return queue == nullptr ? absl::OkStatus() : internal::Holder<T>::DeleteAll(*queue, std::span(data_, size_));
  }

 private:
  friend struct internal::Access;
  friend struct internal::FastReceive<T>;

  static constexpr std::size_t kInPlace = 10;

  [[gnu::always_inline]] explicit Deliveries(const internal::HeldMessage& held) : size_(1) {
    ::new (static_cast<void*>(in_place_)) Delivery<T>(held);
  }

  void Add(const internal::HeldMessage& held) {
    if (size_ == capacity_) [[unlikely]]
      Grow();
    ::new (static_cast<void*>(data_ + size_)) Delivery<T>(held);
    ++size_;
  }

  // Appends up to `n` deliveries: add(place) constructs them one after the other from `place` on and returns their end.
  // Returns how many.
  template <typename AddFrom>
  [[gnu::always_inline]] std::size_t AddSome(std::size_t n, AddFrom add) {
    while (size_ + n > capacity_) [[unlikely]] Grow();
    Delivery<T>* const first = data_ + size_;
    const auto added = static_cast<std::size_t>(add(first) - first);
    size_ += added;
    return added;
  }

  [[gnu::noinline]] void Grow() {
    const std::size_t capacity = capacity_ * 2;
    Delivery<T>* const grown = std::allocator<Delivery<T>>().allocate(capacity);
    std::uninitialized_move_n(data_, size_, grown);
    Free();
    data_ = grown;
    capacity_ = capacity;
  }

  // Moves all of `other` here. Requires: nothing is here.
  void Take(Deliveries& other) noexcept {
    size_ = std::exchange(other.size_, 0);
    if (other.data_ == other.InPlace()) [[likely]] {
      data_ = InPlace();
      capacity_ = kInPlace;
      // Relocated: the deliveries of `other` are not destroyed, as its size is 0 now.
      for (std::size_t i = 0; i < size_; ++i) {
        ::new (static_cast<void*>(data_ + i)) Delivery<T>(other.data_[i].held_);
      }
    } else {
      data_ = std::exchange(other.data_, other.InPlace());
      capacity_ = std::exchange(other.capacity_, kInPlace);
    }
  }

  [[gnu::noinline]] void ReleaseAll() {
    if (internal::QueueBase* const queue = FindQueue()) {
      internal::Holder<T>::ReleaseAll(*queue, std::span(data_, size_));
    }
    // No destructor has to run: the references of all deliveries have been released.
    Free();
  }

  void Free() {
    if (data_ != InPlace()) [[unlikely]]
      std::allocator<Delivery<T>>().deallocate(data_, capacity_);
  }

  // The queue of the first delivery that has not been moved from; all are of one queue. Null if there is none.
  [[gnu::always_inline]] internal::QueueBase* FindQueue() const {
    for (const Delivery<T>& delivery : *this) {
      if (delivery.held_.queue != nullptr) [[likely]]
        return delivery.held_.queue;
    }
    return nullptr;
  }

  // Where the deliveries are if there are at most ten.
  Delivery<T>* InPlace() { return reinterpret_cast<Delivery<T>*>(in_place_); }

  Delivery<T>* data_ = InPlace();
  std::size_t size_ = 0;
  std::size_t capacity_ = kInPlace;
  alignas(Delivery<T>) std::byte in_place_[kInPlace * sizeof(Delivery<T>)];
};

// Deliveries, possibly none, or the error of the receive.
template <typename T>
using ReceiveResult = Result<Deliveries<T>>;

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_DELIVERY_H_
