// Counts of what went through a stream.
//
//   stream.Statistics().ForEach([](std::string_view name, double value) { plot(name, value); });
//
// Plain values; totals count from the creation. Exact when nothing runs concurrently. The names, but for those marked
// as ours, are those of Kinesis's metrics.

#ifndef DECOUPLE_STREAM_STATISTICS_H_
#define DECOUPLE_STREAM_STATISTICS_H_

#include <cstdint>

namespace decouple::inline v0_1 {

struct StreamStatistics {
  std::uint64_t incoming_bytes = 0;  // bodies and partition keys
  std::uint64_t incoming_records = 0;
  std::uint64_t put_record_success = 0;
  std::uint64_t put_records_success = 0;  // batches of which at least one record was put
  std::uint64_t put_records_total_records = 0;
  std::uint64_t put_records_successful_records = 0;
  std::uint64_t put_records_failed_records = 0;
  std::uint64_t put_records_throttled_records = 0;
  std::uint64_t write_provisioned_throughput_exceeded = 0;  // records
  std::uint64_t get_records_success = 0;
  std::uint64_t get_records_bytes = 0;
  std::uint64_t get_records_records = 0;
  // How old the last record of each shard's latest non-empty read was at that time; the maximum over the shards.
  std::int64_t get_records_iterator_age_milliseconds = 0;
  std::uint64_t read_provisioned_throughput_exceeded = 0;  // reads
  std::uint64_t subscribe_to_shard_success = 0;
  std::uint64_t subscribe_to_shard_event_success = 0;
  std::uint64_t subscribe_to_shard_event_bytes = 0;
  std::uint64_t subscribe_to_shard_event_records = 0;
  std::int64_t open_shards = 0;       // now
  std::uint64_t trimmed_records = 0;  // ours: gone because their retention ended, or to make room

  // Calls visit(name, value) with the service's spelling and a double.
  template <typename Visit>
  void ForEach(Visit visit) const {
    const auto number = [&](const char* name, auto value) { visit(name, static_cast<double>(value)); };
    number("IncomingBytes", incoming_bytes);
    number("IncomingRecords", incoming_records);
    number("PutRecord.Success", put_record_success);
    number("PutRecords.Success", put_records_success);
    number("PutRecords.TotalRecords", put_records_total_records);
    number("PutRecords.SuccessfulRecords", put_records_successful_records);
    number("PutRecords.FailedRecords", put_records_failed_records);
    number("PutRecords.ThrottledRecords", put_records_throttled_records);
    number("WriteProvisionedThroughputExceeded", write_provisioned_throughput_exceeded);
    number("GetRecords.Success", get_records_success);
    number("GetRecords.Bytes", get_records_bytes);
    number("GetRecords.Records", get_records_records);
    number("GetRecords.IteratorAgeMilliseconds", get_records_iterator_age_milliseconds);
    number("ReadProvisionedThroughputExceeded", read_provisioned_throughput_exceeded);
    number("SubscribeToShard.Success", subscribe_to_shard_success);
    number("SubscribeToShardEvent.Success", subscribe_to_shard_event_success);
    number("SubscribeToShardEvent.Bytes", subscribe_to_shard_event_bytes);
    number("SubscribeToShardEvent.Records", subscribe_to_shard_event_records);
    number("OpenShardCount", open_shards);
    number("TrimmedRecords", trimmed_records);
  }
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_STREAM_STATISTICS_H_
