// Enhanced fan-out: consumers that a stream's records are pushed to, each with throughput of its own.
//
//   auto dashboard = decouple::StreamConsumer<Click>::Register(clicks, "dashboard").value();
//   auto subscription = dashboard.SubscribeToShard(
//       shard_id, decouple::Latest{}, [](const decouple::RecordBatch<Click>& batch) { Show(batch); },
//       {.executor = [&](std::function<void()> task) { pool.Post(std::move(task)); }});
//
// A subscription gives all records of one shard, in order, to a function or to a queue: by the executor's threads as
// soon as they are put, or without an executor on the thread that calls Deliver(). It ends by itself after five
// minutes, and at the end of its shard; one that continues from where it was misses nothing and gets nothing twice:
//
//   const auto last = subscription->continuation_sequence_number();
//   dashboard.SubscribeToShard(shard_id, decouple::AfterSequenceNumber{*last}, …);
//
// Where the stream's capacity mode bounds what shards give, each consumer may have 2 MiB a second of each shard; it
// gets them at that pace. No thread of ours runs: what has to wait, for that or after a failure, is pushed with the
// next put, or by Deliver() from NextDelivery() on.
//
// A consumer is a handle; it is registered as long as one of its copies lives. All members may be called from any
// thread.

#ifndef DECOUPLE_STREAM_CONSUMER_H_
#define DECOUPLE_STREAM_CONSUMER_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/executor.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/stream/consumer_core.h"
#include "decouple/internal/stream/push_subscription.h"
#include "decouple/internal/stream/push_target.h"
#include "decouple/iterator_position.h"
#include "decouple/message.h"
#include "decouple/queue.h"
#include "decouple/record_batch.h"
#include "decouple/shard.h"
#include "decouple/stream.h"

namespace decouple {

struct SubscribeToShardOptions {
  // Runs what records are pushed to. Called by those who put. By default that runs in Deliver().
  Executor executor = {};
};

// What a consumer gets of one shard. Ends it when it goes. Must outlive no clock.
template <typename T>
class ShardSubscription {
 public:
  ShardSubscription(ShardSubscription&&) noexcept = default;
  ShardSubscription& operator=(ShardSubscription&& other) noexcept {
    if (this != &other) {
      Cancel();
      push_ = std::move(other.push_);
    }
    return *this;
  }
  ~ShardSubscription() { Cancel(); }

  // Pushes what is due, on this thread, unless there is an executor, which then does. Returns how many records were
  // taken here.
  std::size_t Deliver() { return push_->Deliver(); }

  // When Deliver() has something to do, as things are; absl::InfiniteFuture() if nothing.
  absl::Time NextDelivery() const {
    const std::int64_t due = push_->NextDue();
    return due == internal::kForever ? absl::InfiniteFuture() : absl::FromUnixNanos(due);
  }

  // Whether more may come: not cancelled, not taken over, not five minutes old, not at the end of the shard.
  bool active() const { return push_->IsActive(); }

  // Of the last record that was taken; none if none was.
  std::optional<SequenceNumber> continuation_sequence_number() const { return push_->last(); }

  // Ends it. Returns when no other thread is within the function.
  void Cancel() {
    if (push_ != nullptr) push_->End();
  }

 private:
  template <typename>
  friend class StreamConsumer;

  explicit ShardSubscription(std::shared_ptr<internal::PushSubscription<T>> push) : push_(std::move(push)) {}

  std::shared_ptr<internal::PushSubscription<T>> push_;
};

template <typename T>
class StreamConsumer {
 public:
  // kInvalidArgument: the name is not 1 … 128 letters, digits, dots, hyphens and underscores. kResourceInUse: there is
  // one of that name. kLimitExceeded: there are 20.
  static absl::StatusOr<StreamConsumer> Register(const Stream<T>& stream, const std::string& name) {
    auto core = internal::ConsumerCore<T>::Register(internal::Access::Core(stream), name);
    if (!core.ok()) return core.status();
    return StreamConsumer(*std::move(core));
  }

  // Pushes to a function of a const RecordBatch<T>&, which gives nothing or an absl::Status: a batch that it fails, or
  // throws at, comes again with the first put or Deliver() a second later. Called by one thread at a time. At the
  // shard's end the batch says so, and may be empty.
  // kResourceNotFound, kInvalidArgument: as Stream::Iterate(). kResourceInUse: this consumer subscribed to the shard
  // less than 5 s ago; an older subscription is taken over.
  template <std::invocable<const RecordBatch<T>&> Function>
  absl::StatusOr<ShardSubscription<T>> SubscribeToShard(ShardId shard_id, const IteratorPosition& position,
                                                        Function function,
                                                        const SubscribeToShardOptions& options = {}) {
    return Add(shard_id, position, std::make_unique<internal::FunctionTarget<T, Function>>(std::move(function)),
               options);
  }

  // Pushes into a queue, whose messages show the bodies where they are, which keeps them after the retention period,
  // too. A FIFO queue gets the partition key as the group (its hash, if it cannot be a group's name), and each record
  // once. What the queue does not take, as it is full, closed or too small, stays in the stream and is tried again each
  // second, with what comes behind it. kAccessDenied: the queue's senders policy names topics.
  absl::StatusOr<ShardSubscription<T>> SubscribeToShard(ShardId shard_id, const IteratorPosition& position,
                                                        const Queue<T>& queue,
                                                        const SubscribeToShardOptions& options = {}) {
    if (!internal::Access::Core(queue)->senders().Allows(internal::TopicDelivery().topic)) {
      return internal::MakeError(
          Error::kAccessDenied,
          absl::StrCat("the queue \"", queue.name(),
                       "\" does not allow streams to send to it; its senders policy says who may"));
    }
    return Add(shard_id, position,
               std::make_unique<internal::QueueTarget<T>>(internal::Access::Core(queue), core_->stream().clock()),
               options);
  }

  const std::string& name() const { return core_->name(); }

 private:
  explicit StreamConsumer(std::shared_ptr<internal::ConsumerCore<T>> core) : core_(std::move(core)) {}

  absl::StatusOr<ShardSubscription<T>> Add(ShardId shard_id, const IteratorPosition& position,
                                           std::unique_ptr<internal::PushTarget<T>> sink,
                                           const SubscribeToShardOptions& options) {
    auto push = core_->Subscribe(shard_id, position, std::move(sink), options.executor);
    if (!push.ok()) return push.status();
    return ShardSubscription<T>(*std::move(push));
  }

  std::shared_ptr<internal::ConsumerCore<T>> core_;
};

}  // namespace decouple

#endif  // DECOUPLE_STREAM_CONSUMER_H_
