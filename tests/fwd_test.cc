// Names are used here before they are defined: what does not match its definition, or has none, does not compile.
#include "decouple/fwd.h"

namespace {

int MoveOne(decouple::Queue<int>& from, decouple::StandardQueue<int>& to);
bool IsThere(const decouple::Delivery<int>* delivery);

template <typename... Named>
struct Names {};

using Plain =
    Names<decouple::Error, decouple::Clock, decouple::SystemClock, decouple::ManualClock, decouple::Limits,
          decouple::MessageId, decouple::ReceiptHandle, decouple::SequenceNumber, decouple::AttributeValue,
          decouple::MessageAttributes, decouple::Reject, decouple::Block, decouple::Capacity,
          decouple::DeduplicationScope, decouple::FifoThroughputLimit, decouple::QueueOptions,
          decouple::QueueAttributes, decouple::SendOptions, decouple::ReceiveOptions, decouple::MessageCounts,
          decouple::QueueStatistics, decouple::SendResult, decouple::DeleteBatchEntry,
          decouple::ChangeVisibilityBatchEntry, decouple::SentBatch, decouple::QueueReference, decouple::Redrive,
          decouple::AllowAllSources, decouple::DenyAllSources, decouple::AllowSources, decouple::MessageMoveOptions,
          decouple::MessageMoveTask, decouple::MessageMoveStatus, decouple::QueueKind, decouple::TopicReference,
          decouple::AllowAllSenders, decouple::AllowSenders, decouple::ContentHash, decouple::PublishOptions,
          decouple::PublishResult, decouple::Publication, decouple::TopicOptions, decouple::FifoTopicOptions,
          decouple::TopicAttributes, decouple::DefaultDelivery, decouple::ReplaySpan, decouple::ReplayStatus,
          decouple::TopicStatistics, decouple::SubscriptionStatistics, decouple::BackoffFunction,
          decouple::DeliveryPolicy, decouple::FilterScope, decouple::FilterPolicy, decouple::PlatformMessage,
          decouple::PlatformPayloads, decouple::PlatformApplicationOptions, decouple::PlatformEndpointOptions,
          decouple::PlatformStatistics, decouple::PlatformEndpoint, decouple::PlatformApplication, decouple::ShardId,
          decouple::Shard, decouple::ReadOptions, decouple::TrimHorizon, decouple::Latest, decouple::AtSequenceNumber,
          decouple::AfterSequenceNumber, decouple::AtTimestamp, decouple::HashKeyRange, decouple::PartitionHash,
          decouple::CapacityMode, decouple::StreamOptions, decouple::PutOptions, decouple::PutResult,
          decouple::StreamStatistics, decouple::SubscribeToShardOptions, decouple::ConsumerGroupOptions,
          decouple::Lease, decouple::ConsumerGroupStatistics, decouple::InitializationInput, decouple::Checkpointer,
          decouple::PreparedCheckpoint, decouple::DiscardCondition, decouple::ShardEnd, decouple::Checkpoint,
          decouple::CheckpointKey, decouple::CheckpointStore, decouple::InMemoryCheckpointStore>;

using OfStreams = Names<decouple::AfterShardId, decouple::AtTrimHorizon, decouple::FromTrimHorizon, decouple::AtLatest,
                        decouple::FromTimestamp, decouple::StreamAttributes, decouple::KeyIterator<int>,
                        decouple::MergedRecord<int>, decouple::MergedBatch<int>, decouple::MergedIterator<int>>;

using OfBodies =
    Names<decouple::Result<int>, decouple::Queue<int>, decouple::StandardQueue<int>, decouple::FifoQueue<int>,
          decouple::Delivery<int>, decouple::Deliveries<int>, decouple::SendBatchEntry<int>, decouple::Topic<int>,
          decouple::FifoTopic<int>, decouple::SubscriptionReference<int>, decouple::Subscription<int>,
          decouple::Notification<int>, decouple::PublishBatchEntry<int>, decouple::SubscribeOptions<int>,
          decouple::SubscriptionAttributes<int>, decouple::FilterExpression<int>, decouple::SubscriptionFilter<int>,
          decouple::Stream<int>, decouple::ShardIterator<int>, decouple::Record<int>, decouple::RecordBatch<int>,
          decouple::PutBatchEntry<int>, decouple::ShardSubscription<int>, decouple::StreamConsumer<int>,
          decouple::ConsumerWorker<int>, decouple::ConsumerGroup<int>, decouple::DiscardedBatch<int>>;

}  // namespace

#include "catch.h"
#include "decouple/decouple.h"

namespace {

template <typename... Named>
constexpr bool AreComplete(Names<Named...>) {
  return ((sizeof(Named) > 0) && ...);
}
static_assert(AreComplete(Plain()));
static_assert(AreComplete(OfBodies()));

int MoveOne(decouple::Queue<int>& from, decouple::StandardQueue<int>& to) {
  auto received = from.Receive();
  auto& delivery = received->front();
  const int body = IsThere(&delivery) ? delivery.body() : 0;
  CHECK(to.Send(body).ok());
  CHECK(delivery.Delete().ok());
  return body;
}

bool IsThere(const decouple::Delivery<int>* delivery) { return delivery != nullptr; }

}  // namespace

TEST_CASE("a function declared with forward declarations alone takes what they name") {
  decouple::StandardQueue<int> from;
  decouple::StandardQueue<int> to;
  REQUIRE(from.Send(42).ok());
  CHECK(MoveOne(from, to) == 42);
  CHECK(to.Receive()->front().body() == 42);
}
