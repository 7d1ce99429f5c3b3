// A registered consumer: its name, and its subscription of each shard.
//
// Lock order: the mutex is taken before that of a shard's watchers.

#ifndef DECOUPLE_INTERNAL_STREAM_CONSUMER_CORE_H_
#define DECOUPLE_INTERNAL_STREAM_CONSUMER_CORE_H_

#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/executor.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/range_checks.h"
#include "decouple/internal/stream/push_subscription.h"
#include "decouple/internal/stream/push_target.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/iterator_position.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class ConsumerCore {
 public:
  static absl::StatusOr<std::shared_ptr<ConsumerCore>> Register(const std::shared_ptr<StreamCore<T>>& stream,
                                                                const std::string& name) {
    if (absl::Status status = CheckName("consumer name", name); !status.ok()) return status;
    if (absl::Status status = stream->RegisterConsumer(name); !status.ok()) return status;
    return std::shared_ptr<ConsumerCore>(new ConsumerCore(stream, name));
  }
  ConsumerCore(const ConsumerCore&) = delete;
  ConsumerCore& operator=(const ConsumerCore&) = delete;
  ~ConsumerCore() {
    for (const auto& [shard, weak] : pushes_) {
      if (const auto push = weak.lock()) push->End();
    }
    stream_->DeregisterConsumer(name_);
  }

  const std::string& name() const { return name_; }
  StreamCore<T>& stream() { return *stream_; }

  // Takes over from an earlier subscription of the shard, which ends. kResourceInUse: that is too young.
  absl::StatusOr<std::shared_ptr<PushSubscription<T>>> Subscribe(ShardId shard_id, const IteratorPosition& position,
                                                                 std::unique_ptr<PushTarget<T>> target,
                                                                 Executor executor) ABSL_LOCKS_EXCLUDED(mutex_) {
    auto shard = stream_->shards().Find(shard_id);
    if (!shard.ok()) return shard.status();
    const std::int64_t now = stream_->Now();
    const auto begin = (*shard)->Find(position, now);
    if (!begin.ok()) return begin.status();
    std::shared_ptr<PushSubscription<T>> earlier;
    std::shared_ptr<PushSubscription<T>> push;
    {
      const MutexLock lock(mutex_);
      earlier = pushes_[shard_id].lock();
      if (earlier != nullptr && earlier->IsActive() && now < earlier->began_at() + kTakeOverAfter) {
        return MakeError(Error::kResourceInUse,
                         absl::StrCat("the consumer \"", name_, "\" has subscribed to ", shard_id.ToString(),
                                      " less than 5 seconds ago; after that it can be taken over"));
      }
      push = std::make_shared<PushSubscription<T>>(stream_, *std::move(shard), *begin, std::move(target),
                                                   std::move(executor));
      pushes_[shard_id] = push;
      RemoveDestroyed();
    }
    if (earlier != nullptr) earlier->End();
    push->Begin();
    return push;
  }

 private:
  static constexpr std::int64_t kTakeOverAfter = 5'000'000'000;  // Kinesis

  ConsumerCore(std::shared_ptr<StreamCore<T>> stream, std::string name)
      : stream_(std::move(stream)), name_(std::move(name)) {}

  // Removes the entries of subscriptions that have been destroyed, as their handles are gone.
  void RemoveDestroyed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto entry = pushes_.begin(); entry != pushes_.end();) {
      entry = entry->second.expired() ? pushes_.erase(entry) : std::next(entry);
    }
  }

  const std::shared_ptr<StreamCore<T>> stream_;
  const std::string name_;
  Mutex mutex_;
  std::map<ShardId, std::weak_ptr<PushSubscription<T>>> pushes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_CONSUMER_CORE_H_
