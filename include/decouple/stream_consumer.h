// Enhanced fan-out: consumers that a stream's records are pushed to, each with its own throughput.
//
//   auto dashboard = decouple::StreamConsumer<Click>::Register(clicks, "dashboard").value();
//   auto subscription = dashboard.SubscribeToShard(
//       shard_id, decouple::Latest{}, [](const decouple::RecordBatch<Click>& batch) { Show(batch); },
//       {.executor = [&](std::function<void()> task) { pool.Post(std::move(task)); }});
//
// A subscription passes all records of one shard, in order, to a function or a queue. With an executor that happens on
// the executor's threads as soon as records are put; without one, on the thread that calls Deliver(). A subscription
// ends after five minutes, and at the end of its shard. A new one that continues after the old one misses no record and
// gets none twice:
//
//   const auto last = subscription->continuation_sequence_number();
//   auto next = dashboard.SubscribeToShard(shard_id, decouple::AfterSequenceNumber{*last}, …);
//
// When the stream's capacity mode limits what shards give, each consumer may take 2 MiB a second from each shard, and
// records are pushed at that rate. The library runs no thread: records that have to wait, for that or after a failure,
// are pushed with the next put, or by Deliver() from NextDelivery() on.
//
// A consumer is a handle; it stays registered as long as a copy of it lives. All members may be called from any thread.

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

namespace decouple::inline v0_1 {

struct SubscribeToShardOptions {
  // Runs the function or the sends to the queue. Called by threads that put. By default that runs in Deliver().
  Executor executor = {};
};

// A consumer's subscription to one shard. Cancels the subscription when destroyed. Must not outlive the stream's clock.
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

  // Pushes the records that are due on this thread; with an executor, hands that to it. Returns how many records were
  // pushed on this thread.
  std::size_t Deliver() { return push_->Deliver(); }

  // When Deliver() will have something to do, as far as known now; absl::InfiniteFuture() if nothing waits.
  absl::Time NextDelivery() const {
    const std::int64_t due = push_->NextDue();
    return due == internal::kForever ? absl::InfiniteFuture() : absl::FromUnixNanos(due);
  }

  // Whether more records may come: it is not cancelled, taken over, five minutes old or at the end of the shard, and
  // its queue has refused none for being closed or deleted.
  bool active() const { return push_->IsActive(); }

  // Where the next subscription continues, with AfterSequenceNumber: the number of the last record that was pushed
  // successfully, or, as long as there is none, of the one before the first that is to come. Always set.
  std::optional<SequenceNumber> continuation_sequence_number() const { return push_->last(); }

  // Ends the subscription. Returns when no other thread is within the function.
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
  // Registers a consumer. kInvalidArgument: the name is not 1 … 128 letters, digits, dots, hyphens and underscores.
  // kResourceInUse: the name is taken. kLimitExceeded: the stream has 20 consumers already.
  static absl::StatusOr<StreamConsumer> Register(const Stream<T>& stream, const std::string& name) {
    auto core = internal::ConsumerCore<T>::Register(internal::Access::Core(stream), name);
    if (!core.ok()) return core.status();
    return StreamConsumer(*std::move(core));
  }

  // Pushes to a function of a const RecordBatch<T>& that returns void or an absl::Status. When it fails or throws, the
  // batch is pushed again with the first put or Deliver() at least a second later. The function is called by one thread
  // at a time. The last batch of a shard says so, and may be empty.
  // kResourceNotFound, kInvalidArgument: as for Stream::Iterate(). kResourceInUse: this consumer subscribed to the
  // shard less than 5 s ago; an older subscription is taken over.
  template <std::invocable<const RecordBatch<T>&> Function>
  absl::StatusOr<ShardSubscription<T>> SubscribeToShard(ShardId shard_id, const IteratorPosition& position,
                                                        Function function,
                                                        const SubscribeToShardOptions& options = {}) {
    return Add(shard_id, position, std::make_unique<internal::FunctionTarget<T, Function>>(std::move(function)),
               options);
  }

  // Pushes into a queue. Its messages share the bodies with the stream and keep them beyond the retention period. A
  // FIFO queue gets the partition key as the group (its hash, if it is not allowed as a group), and takes each record
  // once. Records that the queue does not take, because it is full or limited to smaller messages, stay in the stream
  // and are tried again every second, together with those behind them. A queue that has been closed or deleted takes
  // none any more: with the first record that it does not take the subscription ends, to be continued into another one.
  // kAccessDenied: the queue's senders policy allows named topics only. kQueueDoesNotExist: it has been deleted.
  absl::StatusOr<ShardSubscription<T>> SubscribeToShard(ShardId shard_id, const IteratorPosition& position,
                                                        const Queue<T>& queue,
                                                        const SubscribeToShardOptions& options = {}) {
    if (queue.deleted()) return internal::DoesNotExistError(*internal::Access::Core(queue));
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
                                           std::unique_ptr<internal::PushTarget<T>> target,
                                           const SubscribeToShardOptions& options) {
    auto push = core_->Subscribe(shard_id, position, std::move(target), options.executor);
    if (!push.ok()) return push.status();
    return ShardSubscription<T>(*std::move(push));
  }

  std::shared_ptr<internal::ConsumerCore<T>> core_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_STREAM_CONSUMER_H_
