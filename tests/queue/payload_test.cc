// What T may be: it need only be movable.

#include <memory>
#include <utility>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

TEST_CASE("a body need not be copyable") {
  ManualClock clock;
  auto queue = Make<StandardQueue<std::unique_ptr<int>>>(clock);
  REQUIRE(queue.Send(std::make_unique<int>(7)).ok());
  REQUIRE(queue.Send(std::make_unique<int>(8), {.attributes = {{"a", 1}}}).ok());
  std::vector<SendBatchEntry<std::unique_ptr<int>>> entries;
  entries.push_back({"a", std::make_unique<int>(9), {}});
  REQUIRE(queue.SendBatch(entries).ok());
  CHECK(*ReceiveOne(queue).body() == 7);
  CHECK(*ReceiveOne(queue).body() == 8);
  CHECK(*ReceiveOne(queue).body() == 9);
}

// A body that is neither default-constructible nor assignable, and takes part in no overload.
class Awkward {
 public:
  explicit Awkward(int value) : value_(value) {}
  Awkward(Awkward&& other) noexcept : value_(other.value_) {}
  Awkward& operator=(Awkward&&) = delete;
  const Awkward* operator&() const = delete;  // NOLINT(google-runtime-operator): this is what is tested
  int value() const { return value_; }

 private:
  int value_;
};

TEST_CASE("a body need be neither default-constructible nor assignable") {
  ManualClock clock;
  auto queue = Make<StandardQueue<Awkward>>(clock);
  REQUIRE(queue.Send(Awkward(3)).ok());
  CHECK(ReceiveOne(queue).body().value() == 3);
}

}  // namespace decouple::testing
