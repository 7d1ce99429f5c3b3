// A body that several messages share, each in a queue of its own: their slots only point here.
//
// It is reference-counted: each user that keeps it has a reference, and the release of the last reference destroys it.
// Only the count is synchronised; everything else is constant.

#ifndef DECOUPLE_INTERNAL_MESSAGE_SHARED_BODY_H_
#define DECOUPLE_INTERNAL_MESSAGE_SHARED_BODY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "decouple/internal/base/assert.h"
#include "decouple/publication.h"

namespace decouple::inline v0_1::internal {

class SharedBody {
 public:
  SharedBody(const SharedBody&) = delete;
  SharedBody& operator=(const SharedBody&) = delete;

  // Points to a body of the type that the queue's bodies have.
  const void* body() const { return body_; }
  // Null if the body was not published by a topic.
  const Publication* publication() const { return publication_; }
  // What a message with this body counts towards sizes, attributes included.
  std::size_t bytes() const { return bytes_; }

  // Requires: the caller has a reference. Relaxed for that reason.
  void AddReferences(std::int64_t n) {
    [[maybe_unused]] const std::int64_t before = references_.fetch_add(n, std::memory_order_relaxed);
    DECOUPLE_ASSERT(n >= 0 && before > 0);
  }
  // Acquire and release: what the other users did to the body happens before its destruction.
  void RemoveReferences(std::int64_t n) {
    const std::int64_t before = references_.fetch_sub(n, std::memory_order_acq_rel);
    DECOUPLE_ASSERT(n > 0 && before >= n);
    if (before == n) delete this;
  }

 protected:
  // With one reference, the creator's.
  SharedBody(const void* body, const Publication* publication, std::size_t bytes)
      : body_(body), publication_(publication), bytes_(bytes) {}
  virtual ~SharedBody() = default;

 private:
  std::atomic<std::int64_t> references_{1};
  const void* const body_;
  const Publication* const publication_;
  const std::size_t bytes_;
};

// Owns one reference, or none.
class BodyReference {
 public:
  BodyReference() = default;
  // Takes over a reference of the caller's.
  explicit BodyReference(SharedBody* body) : body_(body) {}
  BodyReference(BodyReference&& other) noexcept : body_(other.Release()) {}
  BodyReference& operator=(BodyReference&& other) noexcept {
    BodyReference taken(std::move(other));
    taken.Swap(*this);
    return *this;
  }
  ~BodyReference() {
    if (body_ != nullptr) body_->RemoveReferences(1);
  }

  // Adds a reference. Requires: the caller has one.
  static BodyReference On(SharedBody& body) {
    body.AddReferences(1);
    return BodyReference(&body);
  }

  SharedBody* get() const { return body_; }
  SharedBody& operator*() const { return *body_; }
  SharedBody* operator->() const { return body_; }
  explicit operator bool() const { return body_ != nullptr; }

  // The caller owns the reference from now on.
  SharedBody* Release() { return std::exchange(body_, nullptr); }

 private:
  void Swap(BodyReference& other) noexcept { std::swap(body_, other.body_); }

  SharedBody* body_ = nullptr;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_SHARED_BODY_H_
