// Where a shard's records are pushed to: a function, or a queue.

#ifndef DECOUPLE_INTERNAL_RECORD_SINK_H_
#define DECOUPLE_INTERNAL_RECORD_SINK_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "decouple/clock.h"
#include "decouple/hash_key.h"
#include "decouple/internal/any_queue.h"
#include "decouple/internal/guarded.h"
#include "decouple/internal/published.h"
#include "decouple/internal/queue_core.h"
#include "decouple/internal/queue_settings.h"
#include "decouple/internal/shared_body.h"
#include "decouple/record.h"

namespace decouple::internal {

template <typename T>
class RecordSink {
 public:
  RecordSink() = default;
  RecordSink(const RecordSink&) = delete;
  RecordSink& operator=(const RecordSink&) = delete;
  virtual ~RecordSink() = default;

  // Takes records of the batch from the first on, and says how many. False: not all that it was to do; the rest comes
  // again.
  virtual bool Take(const RecordBatch<T>& batch, std::size_t& taken) = 0;
};

// Function: of a const RecordBatch<T>&, gives nothing or an absl::Status. All or nothing; what throws takes nothing.
template <typename T, typename Function>
class FunctionSink final : public RecordSink<T> {
 public:
  explicit FunctionSink(Function function) : function_(std::move(function)) {}

  bool Take(const RecordBatch<T>& batch, std::size_t& taken) override {
    const bool is_ok = StatusOf([&] { return std::invoke(function_, batch); }).ok();
    taken = is_ok ? batch.size() : 0;
    return is_ok;
  }

 private:
  Function function_;
};

// The queue's messages show the records' bodies where they are. Into a FIFO queue the partition key goes as the group,
// and shard and sequence number as the deduplication id.
template <typename T>
class QueueSink final : public RecordSink<T> {
 public:
  QueueSink(std::shared_ptr<AnyQueue> queue, Clock& clock) : queue_(std::move(queue)), clock_(clock) {}

  bool Take(const RecordBatch<T>& batch, std::size_t& taken) override {
    taken = 0;
    for (const Record<T>& record : batch) {
      if (!Deliver(batch.shard_id(), record)) return false;
      ++taken;
    }
    return true;
  }

 private:
  bool Deliver(ShardId shard, const Record<T>& record) {
    BodyHold body = record.Share();
    Published published;
    published.body = body.get();
    published.clock = &clock_;
    published.now = clock_.NowNanos();
    std::string group;
    std::string deduplication_id;
    if (queue_->kind() == QueueKind::kFifo) {
      group = record.partition_key();
      // What cannot be a group's name gives its hash.
      if (!CheckToken("message group", group).ok()) group = ToString(HashKeyOf(group));
      deduplication_id = absl::StrCat(shard.ToString(), ":", record.sequence_number().ToString());
      published.group = group;
      published.deduplication_id = deduplication_id;
    }
    if (static_cast<QueueCore<T>*>(queue_.get())->Accept(published) != Acceptance::kTaken) return false;
    static_cast<void>(body.Release());
    return true;
  }

  const std::shared_ptr<AnyQueue> queue_;
  Clock& clock_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_RECORD_SINK_H_
