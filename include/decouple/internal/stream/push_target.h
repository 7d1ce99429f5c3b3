// What a shard's records are pushed to: a function or a queue.

#ifndef DECOUPLE_INTERNAL_STREAM_PUSH_TARGET_H_
#define DECOUPLE_INTERNAL_STREAM_PUSH_TARGET_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "decouple/clock.h"
#include "decouple/hash_key.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/call_guard.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/topic_delivery.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/record_batch.h"

namespace decouple::inline v0_1::internal {

// How much of a batch a target took.
enum class Pushed {
  kAll,
  kPart,  // possibly none; the rest is pushed again later
  kLast,  // same, but the target takes nothing any more
};

template <typename T>
class PushTarget {
 public:
  PushTarget() = default;
  PushTarget(const PushTarget&) = delete;
  PushTarget& operator=(const PushTarget&) = delete;
  virtual ~PushTarget() = default;

  // Takes records of the batch from the first on, and sets `taken` to how many.
  virtual Pushed Take(const RecordBatch<T>& batch, std::size_t& taken) = 0;
};

// Calls a function with a const RecordBatch<T>&, which returns nothing or an absl::Status. If it fails or throws, no
// record of the batch counts as taken.
template <typename T, typename Function>
class FunctionTarget final : public PushTarget<T> {
 public:
  explicit FunctionTarget(Function function) : function_(std::move(function)) {}

  Pushed Take(const RecordBatch<T>& batch, std::size_t& taken) override {
    const bool is_ok = InvokeToStatus([&] { return std::invoke(function_, batch); }).ok();
    taken = is_ok ? batch.size() : 0;
    return is_ok ? Pushed::kAll : Pushed::kPart;
  }

 private:
  Function function_;
};

// Enqueues each record: the message shares the record's body. In a FIFO queue the partition key is the message group,
// and shard and sequence number are the deduplication id.
template <typename T>
class QueueTarget final : public PushTarget<T> {
 public:
  QueueTarget(std::shared_ptr<QueueBase> queue, Clock& clock) : queue_(std::move(queue)), clock_(clock) {}

  Pushed Take(const RecordBatch<T>& batch, std::size_t& taken) override {
    taken = 0;
    for (const Record<T>& record : batch) {
      // Whatever the reason is at present: a queue that is closed never opens again.
      if (!Deliver(batch.shard_id(), record)) return queue_->closed() ? Pushed::kLast : Pushed::kPart;
      ++taken;
    }
    return Pushed::kAll;
  }

 private:
  bool Deliver(ShardId shard, const Record<T>& record) {
    BodyReference body = Access::Share(record);
    TopicDelivery delivery;
    delivery.body = body.get();
    delivery.clock = &clock_;
    delivery.now = clock_.NowNanos();
    std::string group;
    std::string deduplication_id;
    if (queue_->kind() == QueueKind::kFifo) {
      group = record.partition_key();
      // A partition key that is no valid group name is replaced by its hash.
      if (!CheckToken("message group", group).ok()) group = ToString(HashKeyOf(group));
      deduplication_id = absl::StrCat(shard.ToString(), ":", record.sequence_number().ToString());
      delivery.group = group;
      delivery.deduplication_id = deduplication_id;
    }
    if (queue_->Enqueue(delivery) != Acceptance::kTaken) return false;
    static_cast<void>(body.Release());
    return true;
  }

  const std::shared_ptr<QueueBase> queue_;
  Clock& clock_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_PUSH_TARGET_H_
