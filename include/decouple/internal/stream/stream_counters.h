// What a stream counts, each thread for itself; see queue_counters.h.

#ifndef DECOUPLE_INTERNAL_STREAM_COUNTERS_H_
#define DECOUPLE_INTERNAL_STREAM_COUNTERS_H_

#include "decouple/internal/per_thread.h"
#include "decouple/stream_statistics.h"

namespace decouple::internal {

struct OwnedStreamCounts {
  OwnedCounter incoming_records;
  OwnedCounter incoming_bytes;
  OwnedCounter put_alone;
  OwnedCounter put_batches;
  OwnedCounter put_in_batch;
  OwnedCounter failed_in_batch;
  OwnedCounter throttled_in_batch;
  OwnedCounter throttled_puts;
  OwnedCounter reads;
  OwnedCounter read_bytes;
  OwnedCounter read_records;
  OwnedCounter throttled_reads;
  OwnedCounter subscriptions;
  OwnedCounter pushes;
  OwnedCounter pushed_bytes;
  OwnedCounter pushed_records;

  void AddTo(StreamStatistics& sums) const {
    sums.incoming_records += incoming_records.value();
    sums.incoming_bytes += incoming_bytes.value();
    sums.put_record_success += put_alone.value();
    sums.put_records_success += put_batches.value();
    sums.put_records_total_records += put_in_batch.value() + failed_in_batch.value();
    sums.put_records_successful_records += put_in_batch.value();
    sums.put_records_failed_records += failed_in_batch.value();
    sums.put_records_throttled_records += throttled_in_batch.value();
    sums.write_provisioned_throughput_exceeded += throttled_puts.value();
    sums.get_records_success += reads.value();
    sums.get_records_bytes += read_bytes.value();
    sums.get_records_records += read_records.value();
    sums.read_provisioned_throughput_exceeded += throttled_reads.value();
    sums.subscribe_to_shard_success += subscriptions.value();
    sums.subscribe_to_shard_event_success += pushes.value();
    sums.subscribe_to_shard_event_bytes += pushed_bytes.value();
    sums.subscribe_to_shard_event_records += pushed_records.value();
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_STREAM_COUNTERS_H_
