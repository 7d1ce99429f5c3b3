// The names of a message (MessageId) and of one receive of it (ReceiptHandle), and the size of its body. The name of
// its position in an order is in sequence_number.h.
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
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/mix.h"
#include "decouple/sequence_number.h"  // IWYU pragma: export

namespace decouple::inline v0_1 {

// Unique among the queues, topics and platform applications that live at the same time; those of an earlier one with
// the same seed and name come again. The order of ids is not that of sending.
class MessageId {
 public:
  constexpr MessageId() = default;
  constexpr MessageId(std::uint64_t queue, std::uint64_t number) : queue_(queue), number_(number) {}

  // 8-4-4-4-12 lower-case hexadecimal digits, as the services print ids.
  std::string ToString() const {
    const std::uint64_t low = internal::Mix(number_);
    const std::uint64_t high = internal::Mix(queue_ ^ low);
    return absl::StrCat(absl::Hex(high >> 32, absl::kZeroPad8), "-", absl::Hex(high >> 16 & 0xFFFF, absl::kZeroPad4),
                        "-", absl::Hex(high & 0xFFFF, absl::kZeroPad4), "-", absl::Hex(low >> 48, absl::kZeroPad4), "-",
                        absl::Hex(low & 0xFFFFFFFFFFFF, absl::kZeroPad12));
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

// Names one receive of one message. Receive() gives it; Delete() and ChangeVisibility() take it. It is opaque: only the
// queue that issued it can read it. It never becomes invalid as a name; the queue decides what it still permits.
class ReceiptHandle {
 public:
  // Names no receive: every queue refuses it with kReceiptHandleIsInvalid.
  constexpr ReceiptHandle() = default;

  // 56 lower-case hexadecimal digits; the last 8 are a checksum.
  std::string ToString() const {
    return absl::StrCat(absl::Hex(queue_, absl::kZeroPad16), absl::Hex(ticket_, absl::kZeroPad16),
                        absl::Hex(segment_, absl::kZeroPad8), absl::Hex(receive_, absl::kZeroPad8),
                        absl::Hex(CheckSum(), absl::kZeroPad8));
  }

  // kReceiptHandleIsInvalid: `text` is not what ToString() returned.
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

  // The queue that issued it, the message's ticket and segment, and the number of the receive.
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

namespace internal {

template <typename T>
concept HasSizeOfItsOwn = requires(const T& body) {
  { DecoupleMessageSize(body) } -> std::convertible_to<std::size_t>;
};

// Whether every body of the type counts its sizeof.
template <typename T>
concept HasFixedSize = !HasSizeOfItsOwn<T> && !std::convertible_to<const T&, std::string_view> &&
                       !std::convertible_to<const T&, std::span<const std::byte>>;

}  // namespace internal

// The number of bytes that a body counts towards the limits. For a type of your own, define beside it
//
//   std::size_t DecoupleMessageSize(const Order& order);
//
// which must not use the queue. Otherwise a body that converts to a std::string_view or a span of bytes counts its
// length, and any other its sizeof.
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

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_MESSAGE_H_
