// A consumer group: workers that share a stream's shards and continue where other workers stopped.
//
//   auto group = decouple::ConsumerGroup<Click>::Create(clicks, {.name = "billing"}).value();
//   std::thread thread([&] {
//     auto worker = group.AddWorker("worker-1", [](const decouple::RecordBatch<Click>& batch) { Bill(batch); });
//     worker.Run();                 // until the worker is shut down, or the stream is closed and read to its end
//   });
//
// Each shard is leased to one worker at a time, which reads it in order. A worker that stops renewing (it crashed, or
// is stuck) loses its leases at the instant they expire, and other workers take them. A worker with less than its share
// takes a lease from one that has more. The group's checkpoints record the progress in each shard: records after the
// last checkpoint are processed again by the next worker, so every record is processed at least once, and the records
// of a key in order. A shard's children are read after their parents have been read to the end.
//
// A batch at which the record processor fails is passed again, and holds up its shard until it succeeds. A group may
// bound this, as Lambda's event source mappings do: it bisects such batches, and after some attempts, or at some age,
// passes over what still fails. All that it passes over is counted, and goes to a queue of DiscardedBatch<T>, if the
// group has one.
//
// Each application has its own group and sees all records. Names and rules are those of the Kinesis Client Library.
// Record processors, functions or objects, are described in record_processor.h.
//
// A group is a handle; its workers keep it alive. All members of a group may be called from any thread.

#ifndef DECOUPLE_CONSUMER_GROUP_H_
#define DECOUPLE_CONSUMER_GROUP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/checkpoint_store.h"
#include "decouple/discarded_batch.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/range_checks.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/group/group_config.h"
#include "decouple/internal/group/group_core.h"
#include "decouple/internal/group/group_worker.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/internal/group/processor.h"
#include "decouple/internal/stream/group_registry.h"
#include "decouple/iterator_position.h"
#include "decouple/record_processor.h"
#include "decouple/shard.h"
#include "decouple/stream.h"

namespace decouple::inline v0_1 {

template <typename T>
class StandardQueue;

struct ConsumerGroupOptions {
  // The group's name in the store: 1 … 128 letters, digits, dots, hyphens and underscores.
  std::string name;
  // Where a new group begins in the existing shards: TrimHorizon, Latest or AtTimestamp. It sees records that are put
  // after its creation in any case. A group that has checkpoints goes on from these.
  IteratorPosition start = Latest();
  // How long a worker may go without renewing before others take its shards: at least 1 ns.
  absl::Duration lease_duration = absl::Seconds(10);
  // The most records that a processor gets in one batch: 1 … 10 000.
  std::size_t max_records = 10'000;
  // Null: checkpoints are kept in memory, for this group alone, as long as it exists.
  std::shared_ptr<CheckpointStore> checkpoints = nullptr;

  // The following are those of Lambda's event source mappings.
  //
  // How often a batch that failed is passed again, after a second each time, before its records are discarded:
  // 0 … 10 000. None: until it succeeds. A checkpoint within the batch starts the count anew for the records behind
  // it. Attempts that failed while the checkpoint store failed do not count; one in which the processor ended its
  // thread does, if the worker outlives that thread: another worker counts from 0.
  std::optional<std::size_t> maximum_retry_attempts = std::nullopt;
  // Whether a batch of several records that failed is split in two, which are passed one after the other, the first at
  // once; and so on down to single records. So only those that fail are retried and discarded. A split is no retry.
  bool bisect_batch_on_function_error = false;
  // Records that are older are discarded in place of being passed: at least 1 ns.
  absl::Duration maximum_record_age = absl::InfiniteDuration();
};

// A snapshot of one shard of a group.
struct Lease {
  ShardId shard_id;
  // The worker's name; empty if no worker holds the lease.
  std::string owner;
  // Meaningful if a worker holds the lease.
  absl::Time expires_at;
  Checkpoint checkpoint;
};

struct ConsumerGroupStatistics {
  std::uint64_t records_processed = 0;
  std::uint64_t data_bytes_processed = 0;
  std::uint64_t taken_leases = 0;
  std::uint64_t stolen_leases = 0;   // those among taken_leases that were taken for balance
  std::uint64_t lost_leases = 0;     // leases whose loss was reported to a worker
  std::uint64_t failed_batches = 0;  // attempts at which a processor failed, or a checkpoint after it
  // How often a processor could not be made, or its Initialize() failed.
  std::uint64_t failed_initializations = 0;
  // What was passed over, by maximum_retry_attempts or maximum_record_age.
  std::uint64_t discarded_records = 0;
  std::uint64_t discarded_batches = 0;
};

// Reads the shards whose leases it holds. A worker may be used by one thread at a time, except RequestShutdown(). When
// a worker is destroyed without a shutdown, its leases are free at once, and records without a checkpoint are processed
// again by another worker.
template <typename T>
class ConsumerWorker {
 public:
  // One round: renews the worker's leases, takes those that it should have, and passes the next batch of each of its
  // shards to that shard's processor. Returns the number of records processed. A worker that is not stepped for the
  // lease duration loses its shards; a processor that takes longer should call Checkpointer::Renew() in between.
  std::size_t Step() { return worker_->Step(); }

  // When Step() will next have something to do, as far as known now: records, a lease to take or renew, a shutdown.
  absl::Time NextStep() const {
    const std::int64_t due = worker_->NextDue();
    return due == internal::kForever ? absl::InfiniteFuture() : absl::FromUnixNanos(due);
  }

  // Steps whenever there is something to do and sleeps on the stream's clock in between. Returns when the worker has
  // been shut down, or the stream is closed and the group has processed all its shards.
  void Run() { worker_->Run(); }

  // Renews all leases for another lease duration, as Checkpointer::Renew() does. May be called from within a processor.
  void RenewLeases() { worker_->Renew(); }

  // May be called from any thread. In the next Step() each processor may make its last checkpoint; then the leases are
  // free.
  void RequestShutdown() { worker_->RequestShutdown(); }
  bool is_shutdown() const { return worker_->is_shutdown(); }

  // The shards whose leases the worker holds, in order.
  std::vector<ShardId> Shards() const { return worker_->Shards(); }
  // KCL's MillisBehindLatest, for the shard that is furthest behind.
  std::int64_t millis_behind_latest() const { return worker_->MillisBehind(); }

 private:
  template <typename>
  friend class ConsumerGroup;

  explicit ConsumerWorker(std::unique_ptr<internal::GroupWorker<T>> worker) : worker_(std::move(worker)) {}

  std::unique_ptr<internal::GroupWorker<T>> worker_;
};

template <typename T>
class ConsumerGroup {
 public:
  // Makes the group, or returns a handle of the one that is there: a group of this name, of the same stream, with the
  // same checkpoint store, which exists as long as a handle or a worker of it. So two parts of a program share its
  // leases. They must pass the same options, except that of two starting times the first counts.
  //
  // kInvalidArgument: an option is out of its range, or a saved checkpoint is not one of this stream; a store that
  // outlives its streams has those of former ones. kResourceInUse: the group exists with other options. Else the
  // store's error, Unknown if it threw; that says so if the store keeps checkpoints of a group that was not created.
  static absl::StatusOr<ConsumerGroup> Create(const Stream<T>& stream, ConsumerGroupOptions options) {
    return FindOrMake(stream, std::move(options), {});
  }

  // Same, with an on-failure destination, which takes what the group discards. If it fails, for example as the queue is
  // full, nothing is discarded: it is tried again after a second, and the shard waits.
  static absl::StatusOr<ConsumerGroup> Create(const Stream<T>& stream, ConsumerGroupOptions options,
                                              const StandardQueue<DiscardedBatch<T>>& on_failure) {
    return FindOrMake(stream, std::move(options),
                      {.take = [queue = on_failure](
                                   DiscardedBatch<T> batch) mutable { return queue.Send(std::move(batch)).status(); },
                       .queue = internal::Access::Core(on_failure).get()});
  }
  // Same, with a function as the destination, which is called by the workers' threads, by several at a time.
  static absl::StatusOr<ConsumerGroup> Create(const Stream<T>& stream, ConsumerGroupOptions options,
                                              std::function<absl::Status(DiscardedBatch<T>)> on_failure) {
    return FindOrMake(stream, std::move(options), {.take = std::move(on_failure)});
  }

  // `processor` is a function of a const RecordBatch<T>&, with or without a Checkpointer&, for all the worker's shards;
  // or a function of a ShardId that makes a processor object for that shard, or an absl::StatusOr of one. The name
  // appears in Leases().
  template <typename Processor>
  ConsumerWorker<T> AddWorker(std::string name, Processor processor) {
    return ConsumerWorker<T>(std::make_unique<internal::GroupWorker<T>>(core_, std::move(name),
                                                                        internal::FactoryOf<T>(std::move(processor))));
  }

  // All leases, in the order of the shards.
  std::vector<Lease> Leases() const {
    std::vector<Lease> all;
    for (internal::LeaseView& view : core_->table().View(core_->stream().Now())) {
      all.push_back({view.shard, std::move(view.owner), absl::FromUnixNanos(view.expires_at), view.checkpoint});
    }
    return all;
  }

  ConsumerGroupStatistics Statistics() const {
    const internal::LeaseCounts leases = core_->table().counts();
    ConsumerGroupStatistics sums{
        .taken_leases = leases.taken, .stolen_leases = leases.stolen, .lost_leases = leases.lost};
    core_->counts().ForEach([&](const internal::LocalGroupCounts& local) {
      sums.records_processed += local.records.value();
      sums.data_bytes_processed += local.bytes.value();
      sums.failed_batches += local.failed_batches.value();
      sums.failed_initializations += local.failed_initializations.value();
      sums.discarded_records += local.discarded_records.value();
      sums.discarded_batches += local.discarded_batches.value();
    });
    return sums;
  }

  const std::string& name() const { return core_->table().group(); }

  // Whether both are handles of one group.
  friend bool operator==(const ConsumerGroup&, const ConsumerGroup&) = default;

 private:
  using Core = internal::GroupCore<T>;
  using Destination = typename internal::FailurePolicy<T>::Destination;

  explicit ConsumerGroup(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  static absl::StatusOr<ConsumerGroup> FindOrMake(const Stream<T>& stream, ConsumerGroupOptions options,
                                                  Destination on_failure) {
    if (absl::Status status = Check(stream, options); !status.ok()) return status;
    const auto& core = internal::Access::Core(stream);
    const internal::GroupRegistry::Key key(options.name, options.checkpoints.get());
    const internal::GroupConfig<T> config{.start = options.start,
                                          .lease_duration = absl::ToInt64Nanoseconds(options.lease_duration),
                                          .max_records = options.max_records,
                                          .failures = {.max_retries = options.maximum_retry_attempts,
                                                       .bisects = options.bisect_batch_on_function_error,
                                                       .max_age = absl::ToInt64Nanoseconds(options.maximum_record_age),
                                                       .on_failure = std::move(on_failure)}};
    const auto group = core->groups().FindOrMake(
        key, [&] { return Core::Make(core, options.name, config, std::move(options.checkpoints)); });
    if (!group.ok()) return group.status();
    auto typed = std::static_pointer_cast<Core>(*group);
    if (absl::Status status = typed->config().CheckSame(config, options.name); !status.ok()) return status;
    return ConsumerGroup(std::move(typed));
  }

  static absl::Status Check(const Stream<T>& stream, const ConsumerGroupOptions& options) {
    absl::Status status = internal::CheckName("group name", options.name);
    status.Update(internal::CheckDuration(Error::kInvalidArgument, "lease duration", options.lease_duration,
                                          absl::Nanoseconds(1), absl::InfiniteDuration()));
    status.Update(internal::Access::Core(stream)->checks().CheckRead(options.max_records, absl::ZeroDuration()));
    status.Update(internal::CheckNumber(Error::kInvalidArgument, "maximum retry attempts",
                                        options.maximum_retry_attempts.value_or(0), std::size_t{0},
                                        std::size_t{10'000}));
    status.Update(internal::CheckDuration(Error::kInvalidArgument, "maximum record age", options.maximum_record_age,
                                          absl::Nanoseconds(1), absl::InfiniteDuration()));
    if (std::holds_alternative<AtSequenceNumber>(options.start) ||
        std::holds_alternative<AfterSequenceNumber>(options.start)) {
      status.Update(internal::MakeError(Error::kInvalidArgument,
                                        "a sequence number as a group's start; allowed are TrimHorizon, Latest and "
                                        "AtTimestamp"));
    }
    const auto* const at = std::get_if<AtTimestamp>(&options.start);
    if (at != nullptr && !internal::NanosNotAhead(at->timestamp, internal::Access::Core(stream)->Now())) {
      status.Update(internal::MakeError(Error::kInvalidArgument,
                                        absl::StrCat("timestamp ", absl::FormatTime(at->timestamp),
                                                     " as a group's start; allowed are times less than ",
                                                     absl::FormatDuration(kClockTolerance), " ahead of the clock")));
    }
    return status;
  }

  std::shared_ptr<Core> core_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_CONSUMER_GROUP_H_
