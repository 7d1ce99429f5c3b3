// The content of a body, whose SHA-256 is its id in content-based deduplication.
//
// Strings and spans of bytes are their own content. For a type of your own, define beside it
//
//   void DecoupleHashContent(const Order& order, decouple::ContentHash& hash) {
//     hash.Add(order.id).Add(order.customer);
//   }
//
// which must add everything by which two orders differ, and must not use the queue.

#ifndef DECOUPLE_CONTENT_HASH_H_
#define DECOUPLE_CONTENT_HASH_H_

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "decouple/internal/base/digest.h"

namespace decouple::inline v0_1 {

// A SHA-256 under construction. Must be used by one thread at a time.
class ContentHash {
 public:
  // Each string is added with its length, so that "ab", "c" differs from "a", "bc".
  ContentHash& Add(std::string_view text) { return Add(std::uint64_t{text.size()}).AddBytes(text.data(), text.size()); }
  ContentHash& Add(const std::string& text) { return Add(std::string_view(text)); }
  ContentHash& Add(const char* text) { return Add(std::string_view(text)); }
  ContentHash& Add(std::span<const std::byte> bytes) {
    return Add(std::uint64_t{bytes.size()}).AddBytes(bytes.data(), bytes.size());
  }

  // Adds the value, independently of its type: an int 7 and a long 7 hash alike.
  template <typename Number>
  requires std::integral<Number> ContentHash& Add(Number number) {
    const auto value = static_cast<std::uint64_t>(number);
    std::array<unsigned char, 8> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(value >> 8 * i);
    return AddBytes(bytes.data(), bytes.size());
  }

  // Adds the bytes as they are, without a length.
  ContentHash& AddBytes(const void* bytes, std::size_t size) {
    hash_.Add(bytes, size);
    return *this;
  }

  // The hash in 64 lower-case hexadecimal digits. Nothing may be added afterwards.
  std::string Finish() {
    const internal::Sha256::Digest digest = hash_.Finish();
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(2 * digest.size());
    for (const unsigned char byte : digest) {
      text.push_back(kDigits[byte >> 4]);
      text.push_back(kDigits[byte & 0xF]);
    }
    return text;
  }

 private:
  internal::Sha256 hash_;
};

// Whether the content of T is known.
template <typename T>
concept HasContent = std::convertible_to<const T&, std::string_view> ||
    std::convertible_to<const T&, std::span<const std::byte>> || requires(const T& body, ContentHash& hash) {
  DecoupleHashContent(body, hash);
};

// The SHA-256 of the body's content, in hexadecimal. For a string or bytes it is the hash of these, as with the
// service.
template <HasContent T>
std::string ContentHashOf(const T& body) {
  ContentHash hash;
  if constexpr (requires { DecoupleHashContent(body, hash); }) {
    DecoupleHashContent(body, hash);
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    const std::string_view text(body);
    hash.AddBytes(text.data(), text.size());
  } else {
    const std::span<const std::byte> bytes(body);
    hash.AddBytes(bytes.data(), bytes.size());
  }
  return hash.Finish();
}

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_CONTENT_HASH_H_
