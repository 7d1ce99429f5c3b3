// Queues of any kind and body type by their names, as SQS keeps them within an account: which names are allowed, when a
// name is free again, and the queues in the order of their names. QueueRegistry is its face.
//
// Design. A queue may be deleted by any of its handles, which know nothing of the directory. So an entry whose queue
// was deleted is settled by the call that meets it next: the queue is let go, and the entry stays for as long as its
// name is not free. Each Add() also looks at the next few entries in turn, and each List() at all that it passes, so
// that those which are never asked for do not pile up.

#ifndef DECOUPLE_INTERNAL_QUEUE_QUEUE_DIRECTORY_H_
#define DECOUPLE_INTERNAL_QUEUE_QUEUE_DIRECTORY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_config.h"
#include "decouple/limits.h"
#include "decouple/queue_kind.h"
#include "decouple/queue_options.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1::internal {

inline constexpr std::size_t kMaxQueueNameLength = 80;  // SQS, with the suffix
inline constexpr std::string_view kFifoSuffix = ".fifo";

// Whether SQS allows the name for a queue of this kind.
inline absl::Status CheckQueueName(std::string_view name, QueueKind kind) {
  const bool is_fifo = kind == QueueKind::kFifo;
  std::string_view stem = name;
  const bool has_suffix =
      stem.size() >= kFifoSuffix.size() && stem.substr(stem.size() - kFifoSuffix.size()) == kFifoSuffix;
  if (is_fifo && has_suffix) stem.remove_suffix(kFifoSuffix.size());
  const bool is_valid = !stem.empty() && name.size() <= kMaxQueueNameLength && is_fifo == has_suffix &&
                        std::all_of(stem.begin(), stem.end(), [](char c) {
                          return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
                        });
  if (is_valid) return absl::OkStatus();
  return MakeError(Error::kInvalidParameterValue,
                   absl::StrCat("the name \"", std::string(name), "\" for a ", NameOf(kind),
                                " queue; allowed are 1 to 80 letters, digits, hyphens and underscores",
                                is_fifo ? ", of which the last five are .fifo" : ""));
}

// Whether both are one setting to a queue, which keeps nanoseconds in 64 bits: what is longer is without an end.
inline bool IsSameSetting(const std::optional<absl::Duration>& a, const std::optional<absl::Duration>& b) {
  return a.has_value() == b.has_value() && (!a || absl::ToInt64Nanoseconds(*a) == absl::ToInt64Nanoseconds(*b));
}

inline bool IsSameCapacity(const Capacity& a, const Capacity& b) {
  const Block* const block_a = std::get_if<Block>(&a.when_full);
  const Block* const block_b = std::get_if<Block>(&b.when_full);
  if (block_a == nullptr || block_b == nullptr) return a == b;
  return a.messages == b.messages && a.bytes == b.bytes && IsSameSetting(block_a->timeout, block_b->timeout);
}

// The first attribute in which a queue differs from what is wanted; null if there is none. What is not given in
// `wanted` stands for its default, which is the queue's own limit where a limit is the default.
inline const char* FindDifference(const QueueAttributes& existing, const Limits& limits, QueueAttributes wanted) {
  wanted = WithDefaultsOf(limits, std::move(wanted));
  if (!IsSameSetting(existing.visibility_timeout, wanted.visibility_timeout)) return "visibility timeout";
  if (!IsSameSetting(existing.retention, wanted.retention)) return "message retention period";
  if (!IsSameSetting(existing.delay, wanted.delay)) return "delay";
  if (!IsSameSetting(existing.receive_wait, wanted.receive_wait)) return "receive message wait time";
  if (existing.max_message_size != wanted.max_message_size) return "maximum message size";
  if (existing.max_in_flight != wanted.max_in_flight) return "maximum of messages in flight";
  if (!IsSameCapacity(*existing.capacity, wanted.capacity.value_or(Capacity{}))) return "capacity";
  if (existing.redrive != wanted.redrive.value_or(Redrive{})) return "redrive policy";
  if (existing.redrive_allow != wanted.redrive_allow.value_or(AllowAllSources{})) return "redrive allow policy";
  if (existing.senders != wanted.senders.value_or(AllowAllSenders{})) return "senders policy";
  if (existing.content_based_deduplication.value_or(false) != wanted.content_based_deduplication.value_or(false)) {
    return "content-based deduplication";
  }
  if (existing.deduplication_scope.value_or(DeduplicationScope::kQueue) !=
      wanted.deduplication_scope.value_or(DeduplicationScope::kQueue)) {
    return "deduplication scope";
  }
  if (existing.fifo_throughput_limit.value_or(FifoThroughputLimit::kPerQueue) !=
      wanted.fifo_throughput_limit.value_or(FifoThroughputLimit::kPerQueue)) {
    return "FIFO throughput limit";
  }
  if (existing.max_calls_per_second.value_or(0) != wanted.max_calls_per_second.value_or(0)) {
    return "maximum of calls per second";
  }
  return nullptr;
}

// All members may be called from any thread. No handle is dropped under the mutex, as that may run the user's code.
class QueueDirectory {
 public:
  QueueDirectory(const Limits& limits, Clock& clock) : limits_(limits), clock_(clock) {}

  // The queue of that name; null if there is none, or if it was deleted.
  std::shared_ptr<QueueBase> Find(std::string_view name) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::shared_ptr<QueueBase>> dropped;
    const MutexLock lock(mutex_);
    const auto entry = queues_.find(name);
    if (entry == queues_.end()) return nullptr;
    Settle(entry->second, dropped);
    return entry->second.queue;
  }

  // Returns the queue that has the name of `queue`: another one that was there, or else `queue`, which is added.
  // kQueueDeletedRecently: the name is not free yet.
  absl::StatusOr<std::shared_ptr<QueueBase>> Add(std::shared_ptr<QueueBase> queue) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::shared_ptr<QueueBase>> dropped;
    const std::int64_t now = clock_.NowNanos();
    const MutexLock lock(mutex_);
    SettleSome(now, dropped);
    const auto [entry, is_new] = queues_.try_emplace(queue->name());
    if (!is_new) {
      Settle(entry->second, dropped);
      if (entry->second.queue != nullptr) return entry->second.queue;
      if (absl::Status status = CheckFree(entry->second, queue->name(), now); !status.ok()) return status;
    }
    entry->second = {std::move(queue), QueueIdentity::kNotDeleted};
    return entry->second.queue;
  }

  // kQueueDeletedRecently: a queue of that name was deleted, and the name is not free yet.
  absl::Status CheckFree(std::string_view name) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::shared_ptr<QueueBase>> dropped;
    const std::int64_t now = clock_.NowNanos();
    const MutexLock lock(mutex_);
    const auto entry = queues_.find(name);
    if (entry == queues_.end()) return absl::OkStatus();
    Settle(entry->second, dropped);
    return entry->second.queue != nullptr ? absl::OkStatus() : CheckFree(entry->second, name, now);
  }

  // How many names are taken, or not known to be free again.
  std::size_t size() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return queues_.size();
  }

  // Up to `most` queues whose names begin with `prefix` and come after `after`, in the order of their names. Sets
  // `is_more` to whether there are more.
  std::vector<std::shared_ptr<QueueBase>> List(std::string_view prefix, std::string_view after, std::size_t most,
                                               bool& is_more) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::shared_ptr<QueueBase>> dropped;
    std::vector<std::shared_ptr<QueueBase>> listed;
    const std::int64_t now = clock_.NowNanos();
    const MutexLock lock(mutex_);
    is_more = false;
    auto entry = after < prefix ? queues_.lower_bound(prefix) : queues_.upper_bound(after);
    while (entry != queues_.end() && entry->first.compare(0, prefix.size(), prefix) == 0) {
      Settle(entry->second, dropped);
      if (entry->second.queue != nullptr) {
        is_more = listed.size() == most;
        if (is_more) break;
        listed.push_back(entry->second.queue);
      }
      entry = PassOrErase(entry, now);
    }
    return listed;
  }

 private:
  struct Entry {
    std::shared_ptr<QueueBase> queue;  // null: it was deleted
    std::int64_t deleted_at = QueueIdentity::kNotDeleted;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  // How many further entries each Add() looks at. More than one, so that they become fewer.
  static constexpr int kSettledPerAdd = 2;

  // Lets a queue go that was deleted.
  void Settle(Entry& entry, std::vector<std::shared_ptr<QueueBase>>& dropped) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (entry.queue == nullptr || !entry.queue->deleted()) return;
    entry.deleted_at = entry.queue->state().identity.deleted_at();
    dropped.push_back(std::move(entry.queue));
    entry.queue = nullptr;
  }

  // Returns the entry after a settled one, which it erases if its name is free.
  Entries::iterator PassOrErase(Entries::iterator entry, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return entry->second.queue == nullptr && IsFree(entry->second, now) ? queues_.erase(entry) : std::next(entry);
  }

  void SettleSome(std::int64_t now, std::vector<std::shared_ptr<QueueBase>>& dropped)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto entry = queues_.upper_bound(last_settled_);
    for (int i = 0; i < kSettledPerAdd && !queues_.empty(); ++i) {
      if (entry == queues_.end()) entry = queues_.begin();
      Settle(entry->second, dropped);
      last_settled_ = entry->first;
      entry = PassOrErase(entry, now);
    }
  }

  // `now` may be before the deletion, by another thread, that is seen already.
  bool IsFree(const Entry& deleted, std::int64_t now) const {
    DECOUPLE_ASSERT(deleted.deleted_at != QueueIdentity::kNotDeleted);
    const std::int64_t interval = absl::ToInt64Nanoseconds(limits_.queue_name_reuse_interval);
    return interval <= 0 || SaturatingAdd(deleted.deleted_at, interval) <= now;
  }

  absl::Status CheckFree(const Entry& deleted, std::string_view name, std::int64_t now) const {
    if (IsFree(deleted, now)) return absl::OkStatus();
    return MakeError(Error::kQueueDeletedRecently,
                     absl::StrCat("a queue \"", std::string(name), "\" was deleted ",
                                  absl::FormatDuration(absl::Nanoseconds(now - deleted.deleted_at)),
                                  " ago; its name can be used again after ",
                                  absl::FormatDuration(limits_.queue_name_reuse_interval)));
  }

  const Limits limits_;
  Clock& clock_;
  mutable Mutex mutex_;
  Entries queues_ ABSL_GUARDED_BY(mutex_);
  std::string last_settled_ ABSL_GUARDED_BY(mutex_);  // the name at which SettleSome() ended
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_QUEUE_DIRECTORY_H_
