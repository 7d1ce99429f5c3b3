// What names a message (MessageId), what names one receipt of it (ReceiptHandle), and how large it is.
//
// All are plain values.

#ifndef DECOUPLE_MESSAGE_H_
#define DECOUPLE_MESSAGE_H_

#include <array>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/mix.h"

namespace decouple {

// Unique within a queue always, and between queues of different seeds or names. Follows the order of sending in no way.
class MessageId {
 public:
  constexpr MessageId() = default;
  constexpr MessageId(std::uint64_t queue, std::uint64_t number) : queue_(queue), number_(number) {}

  // As the services print it: 8-4-4-4-12 lower-case hexadecimal digits.
  std::string ToString() const {
    const std::uint64_t low = internal::Mix(number_);
    const std::uint64_t high = internal::Mix(queue_ ^ low);
    return absl::StrFormat("%08x-%04x-%04x-%04x-%012x", high >> 32, high >> 16 & 0xFFFF, high & 0xFFFF, low >> 48,
                           low & 0xFFFFFFFFFFFF);
  }

  friend constexpr auto operator<=>(const MessageId&, const MessageId&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const MessageId& id) {
    return H::combine(std::move(state), id.queue_, id.number_);
  }

 private:
  std::uint64_t queue_ = 0;
  std::uint64_t number_ = 0;
};

// Names one receipt of one message: what Receive() gives and Delete() and ChangeVisibility() take. Opaque: only the
// queue that gave it can read it. It stays valid as a name for ever; what it can still do, the queue decides.
class ReceiptHandle {
 public:
  // Names nothing: every queue refuses it with kReceiptHandleIsInvalid.
  constexpr ReceiptHandle() = default;

  // 56 lower-case hexadecimal digits, the last 8 of which are a check sum.
  std::string ToString() const {
    return absl::StrFormat("%016x%016x%08x%08x%08x", queue_, ticket_, segment_, receive_, CheckSum());
  }

  // Takes what ToString() gave, else kReceiptHandleIsInvalid.
  static absl::StatusOr<ReceiptHandle> Parse(std::string_view text) {
    std::array<std::uint32_t, 7> words{};
    bool valid = text.size() == words.size() * 8;
    for (std::size_t i = 0; valid && i < text.size(); ++i) {
      const char c = text[i];
      valid = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      words[i / 8] = words[i / 8] << 4 | static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    const ReceiptHandle receipt(std::uint64_t{words[0]} << 32 | words[1], std::uint64_t{words[2]} << 32 | words[3],
                                words[4], words[5]);
    if (!valid || receipt.CheckSum() != words[6]) {
      return internal::MakeError(Error::kReceiptHandleIsInvalid,
                                 "the receipt handle \"" + std::string(text) +
                                     "\" is malformed; only what ReceiptHandle::ToString() gave is a receipt handle");
    }
    return receipt;
  }

  friend constexpr auto operator<=>(const ReceiptHandle&, const ReceiptHandle&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const ReceiptHandle& receipt) {
    return H::combine(std::move(state), receipt.queue_, receipt.ticket_, receipt.segment_, receipt.receive_);
  }

 private:
  friend struct internal::Access;

  // Which queue gave it, which message, where that is kept, and the receive that it stands for.
  constexpr ReceiptHandle(std::uint64_t queue, std::uint64_t ticket, std::uint32_t segment, std::uint32_t receive)
      : queue_(queue), ticket_(ticket), segment_(segment), receive_(receive) {}

  constexpr std::uint32_t CheckSum() const {
    const std::uint64_t where = std::uint64_t{segment_} << 32 | receive_;
    return static_cast<std::uint32_t>(internal::Mix(internal::Mix(internal::Mix(queue_) ^ ticket_) ^ where));
  }

  std::uint64_t queue_ = 0;
  std::uint64_t ticket_ = 0;
  std::uint32_t segment_ = 0;
  std::uint32_t receive_ = 0;
};

// Where a message of a FIFO queue, or a record of a stream's shard, stands in its order: grows strictly within the
// queue, or the shard and its children.
class SequenceNumber {
 public:
  constexpr SequenceNumber() = default;
  constexpr explicit SequenceNumber(std::uint64_t value) : value_(value) {}

  // 20 decimal digits, so that text sorts as numbers do.
  std::string ToString() const { return absl::StrFormat("%020d", value_); }

  constexpr std::uint64_t value() const { return value_; }

  friend constexpr auto operator<=>(const SequenceNumber&, const SequenceNumber&) = default;

 private:
  std::uint64_t value_ = 0;
};

namespace internal {

template <typename T>
concept HasSizeOfItsOwn = requires(const T& body) {
  { DecoupleMessageSize(body) } -> std::convertible_to<std::size_t>;
};

// Every body counts the same: its sizeof.
template <typename T>
concept HasFixedSize = !HasSizeOfItsOwn<T> && !std::convertible_to<const T&, std::string_view> &&
                       !std::convertible_to<const T&, std::span<const std::byte>>;

}  // namespace internal

// How many bytes a body counts towards the limits. For a type of one's own, define beside it
//
//   std::size_t DecoupleMessageSize(const Order& order);
//
// which must not use the queue. Otherwise what converts to a std::string_view or a span of bytes counts its length, and
// all else its sizeof.
template <typename T>
std::size_t MessageSize(const T& body) {
  if constexpr (internal::HasSizeOfItsOwn<T>) {
    return DecoupleMessageSize(body);
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    return std::string_view(body).size();
  } else if constexpr (std::convertible_to<const T&, std::span<const std::byte>>) {
    return std::span<const std::byte>(body).size();
  } else {
    return sizeof(T);
  }
}

}  // namespace decouple

#endif  // DECOUPLE_MESSAGE_H_
