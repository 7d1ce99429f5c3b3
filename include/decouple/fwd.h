// Forward declarations of what users name in their interfaces, for headers that only pass references and pointers on.
//
//   #include <decouple/fwd.h>
//
//   void Archive(decouple::StandardQueue<Order>& from, decouple::Stream<Order>& to);    // the .cc includes the rest
//
// Includes nothing. Names are listed by the headers that define them. Aliases (ReceiveResult, Executor, …) are not
// here.

#ifndef DECOUPLE_FWD_H_
#define DECOUPLE_FWD_H_

namespace decouple::inline v0_1 {

// error.h, result.h, clock.h, limits.h
enum class Error;
template <typename Value>
class Result;
class Clock;
class SystemClock;
class ManualClock;
struct Limits;

// message.h, sequence_number.h, message_attributes.h
class MessageId;
class ReceiptHandle;
class SequenceNumber;
class AttributeValue;
class MessageAttributes;

// queue.h, standard_queue.h, fifo_queue.h, delivery.h
template <typename T>
class Queue;
template <typename T>
class StandardQueue;
template <typename T>
class FifoQueue;
template <typename T>
class Delivery;
template <typename T>
class Deliveries;

// queue_options.h, queue_statistics.h, batch.h
struct Reject;
struct Block;
struct Capacity;
enum class DeduplicationScope;
enum class FifoThroughputLimit;
struct QueueOptions;
struct QueueAttributes;
struct SendOptions;
struct ReceiveOptions;
struct MessageCounts;
struct QueueStatistics;
struct SendResult;
template <typename T>
struct SendBatchEntry;
struct DeleteBatchEntry;
struct ChangeVisibilityBatchEntry;
template <typename Outcome>
class BatchResult;
class SentBatch;

// queue_registry.h
struct QueueRegistryOptions;
struct ListQueuesOptions;
struct ListQueuesResult;
class QueueRegistry;

// queue_kind.h, redrive_policy.h, message_move_task.h, access_policy.h
enum class QueueKind;
class QueueReference;
struct Redrive;
struct AllowAllSources;
struct DenyAllSources;
struct AllowSources;
struct MessageMoveOptions;
class MessageMoveTask;
enum class MessageMoveStatus;
class TopicReference;
struct AllowAllSenders;
struct AllowSenders;

// content_hash.h
class ContentHash;

// topic.h, fifo_topic.h, subscription.h, publication.h
template <typename T>
class Topic;
template <typename T>
class FifoTopic;
template <typename T>
class SubscriptionReference;
template <typename T>
class Subscription;
template <typename T>
class Notification;
template <typename T>
struct PublishBatchEntry;
struct PublishOptions;
struct PublishResult;
struct Publication;

// topic_options.h, topic_statistics.h, delivery_policy.h
struct TopicOptions;
struct FifoTopicOptions;
struct TopicAttributes;
struct DefaultDelivery;
template <typename T>
struct SubscribeOptions;
template <typename T>
struct SubscriptionAttributes;
struct ReplaySpan;
enum class ReplayState;
struct ReplayStatus;
struct TopicStatistics;
struct SubscriptionStatistics;
enum class BackoffFunction;
struct DeliveryPolicy;

// filter_policy.h, filter_expression.h
enum class FilterScope;
enum class FilterDialect;
class FilterPolicy;
template <typename Body>
class FilterExpression;
template <typename T>
class SubscriptionFilter;

// platform_application.h
struct PlatformMessage;
class PlatformPayloads;
struct PlatformApplicationOptions;
struct PlatformEndpointOptions;
struct PlatformStatistics;
class PlatformEndpoint;
class PlatformApplication;

// stream.h, shard.h, shard_iterator.h, iterator_position.h, record_batch.h, hash_key.h
template <typename T>
class Stream;
class ShardId;
struct Shard;
template <typename T>
class ShardIterator;
struct ReadOptions;
struct TrimHorizon;
struct Latest;
struct AtSequenceNumber;
struct AfterSequenceNumber;
struct AtTimestamp;
template <typename T>
class Record;
template <typename T>
class RecordBatch;
struct HashKeyRange;
enum class PartitionHash;

// shard_filter.h, stream_attributes.h
struct AfterShardId;
struct AtTrimHorizon;
struct FromTrimHorizon;
struct AtLatest;
struct FromTimestamp;
struct StreamAttributes;

// key_iterator.h, merged_iterator.h
template <typename T>
class KeyIterator;
template <typename T>
struct MergedRecord;
template <typename T>
class MergedBatch;
template <typename T>
class MergedIterator;

// stream_options.h, stream_statistics.h, stream_consumer.h
enum class CapacityMode;
struct StreamOptions;
struct PutOptions;
struct PutResult;
template <typename T>
struct PutBatchEntry;
struct StreamStatistics;
struct SubscribeToShardOptions;
template <typename T>
class ShardSubscription;
template <typename T>
class StreamConsumer;

// consumer_group.h, record_processor.h, discarded_batch.h, checkpoint_store.h
struct ConsumerGroupOptions;
struct Lease;
struct ConsumerGroupStatistics;
template <typename T>
class ConsumerWorker;
template <typename T>
class ConsumerGroup;
struct InitializationInput;
class Checkpointer;
class PreparedCheckpoint;
enum class DiscardCondition;
template <typename T>
struct DiscardedBatch;
struct ShardEnd;
struct Checkpoint;
struct CheckpointKey;
class CheckpointStore;
class InMemoryCheckpointStore;

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_FWD_H_
