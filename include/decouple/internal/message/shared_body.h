// A body that several messages have in common, each in a queue of its own: their slots only point here.
//
// It is counted: whoever is to keep it has a hold, and the last hold to go destroys it. Only the counting is
// synchronised; the rest does not change.

#ifndef DECOUPLE_INTERNAL_MESSAGE_SHARED_BODY_H_
#define DECOUPLE_INTERNAL_MESSAGE_SHARED_BODY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "decouple/publication.h"

namespace decouple::internal {

class SharedBody {
 public:
  SharedBody(const SharedBody&) = delete;
  SharedBody& operator=(const SharedBody&) = delete;

  // Of the type that the queue's bodies have.
  const void* body() const { return body_; }
  // Null: it was not published by a topic.
  const Publication* publication() const { return publication_; }
  // What a message with it counts towards sizes, attributes included.
  std::size_t bytes() const { return bytes_; }

  // Relaxed: who adds holds has one.
  void AddReferences(std::int64_t n) { holds_.fetch_add(n, std::memory_order_relaxed); }
  // Acquire and release: what the others did to the body comes before its end.
  void RemoveReferences(std::int64_t n) {
    if (holds_.fetch_sub(n, std::memory_order_acq_rel) == n) delete this;
  }

 protected:
  // With one hold, the creator's.
  SharedBody(const void* body, const Publication* publication, std::size_t bytes)
      : body_(body), publication_(publication), bytes_(bytes) {}
  virtual ~SharedBody() = default;

 private:
  std::atomic<std::int64_t> holds_{1};
  const void* const body_;
  const Publication* const publication_;
  const std::size_t bytes_;
};

// One hold, or none.
class BodyReference {
 public:
  BodyReference() = default;
  // Takes over a hold of the caller's.
  explicit BodyReference(SharedBody* body) : body_(body) {}
  BodyReference(BodyReference&& other) noexcept : body_(other.Release()) {}
  BodyReference& operator=(BodyReference&& other) noexcept {
    BodyReference(std::move(other)).Swap(*this);
    return *this;
  }
  ~BodyReference() {
    if (body_ != nullptr) body_->RemoveReferences(1);
  }

  static BodyReference On(SharedBody& body) {
    body.AddReferences(1);
    return BodyReference(&body);
  }

  SharedBody* get() const { return body_; }
  SharedBody& operator*() const { return *body_; }
  SharedBody* operator->() const { return body_; }
  explicit operator bool() const { return body_ != nullptr; }

  // The hold is the caller's from now on.
  SharedBody* Release() { return std::exchange(body_, nullptr); }

 private:
  void Swap(BodyReference& other) noexcept { std::swap(body_, other.body_); }

  SharedBody* body_ = nullptr;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_SHARED_BODY_H_
