// A thread's own counts of what it did with a stream; Statistics() adds up those of all threads.

#ifndef DECOUPLE_INTERNAL_STREAM_STREAM_COUNTERS_H_
#define DECOUPLE_INTERNAL_STREAM_STREAM_COUNTERS_H_

#include "decouple/internal/base/single_writer_counter.h"
#include "decouple/stream_statistics.h"

namespace decouple::inline v0_1::internal {

struct LocalStreamCounts {
  SingleWriterCounter incoming_records;
  SingleWriterCounter incoming_bytes;
  SingleWriterCounter put_alone;
  SingleWriterCounter put_batches;
  SingleWriterCounter put_in_batch;
  SingleWriterCounter failed_in_batch;
  SingleWriterCounter throttled_in_batch;
  SingleWriterCounter throttled_puts;
  SingleWriterCounter reads;
  SingleWriterCounter read_bytes;
  SingleWriterCounter read_records;
  SingleWriterCounter throttled_reads;
  SingleWriterCounter subscriptions;
  SingleWriterCounter pushes;
  SingleWriterCounter pushed_bytes;
  SingleWriterCounter pushed_records;

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

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_STREAM_COUNTERS_H_
