// Code of the user's that the library calls may end its thread, by pthread_exit() or as the thread is cancelled: the
// process goes on, and so does what called it.

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "decouple/consumer_group.h"
#include "decouple/fifo_queue.h"
#include "decouple/fifo_topic.h"
#include "decouple/platform_application.h"
#include "decouple/standard_queue.h"
#include "decouple/stream.h"
#include "decouple/stream_consumer.h"
#include "decouple/stream_subscription.h"
#include "decouple/topic.h"
#include "process_testing.h"

namespace decouple::testing {
namespace {

// Ends the calling thread, at its first call.
class EndOfThread {
 public:
  void operator()() {
    if (std::exchange(has_ended_, true)) return;
    pthread_exit(nullptr);
  }
  bool has_ended() const { return has_ended_; }

 private:
  bool has_ended_ = false;
};

// Whether a thread that runs `run` comes to its end, and does not end before.
bool RunsToItsEnd(const std::function<void()>& run) {
  bool is_at_end = false;
  std::thread([&] {
    run();
    is_at_end = true;
  }).join();
  return is_at_end;
}

void TestFunction() {
  ManualClock clock;
  auto topic = Topic<int>::Create({.clock = &clock}).value();
  EndOfThread end;
  std::vector<int> got;
  auto subscription = topic.Subscribe([&](const int& body) {
    end();
    got.push_back(body);
  });
  REQUIRE_TRUE(topic.Publish(1).ok() && topic.Publish(2).ok());
  REQUIRE_TRUE(!RunsToItsEnd([&] { topic.Deliver(); }));
  topic.Deliver();
  clock.Advance(absl::Hours(1));
  topic.Deliver();
  REQUIRE_TRUE((got == std::vector{2, 1}));  // the first has failed, and was tried again later
  REQUIRE_TRUE(subscription->Statistics().number_of_notifications_waiting == 0);
}

void TestCancelledFunction() {
  ManualClock clock;
  auto topic = Topic<int>::Create({.clock = &clock}).value();
  bool is_cancelled = false;
  int got = 0;
  auto subscription = topic.Subscribe([&](const int&) {
    if (!std::exchange(is_cancelled, true)) {
      pthread_cancel(pthread_self());
      while (true) pause();
    }
    ++got;
  });
  REQUIRE_TRUE(topic.Publish(1).ok());
  REQUIRE_TRUE(!RunsToItsEnd([&] { topic.Deliver(); }));
  clock.Advance(absl::Hours(1));
  topic.Deliver();
  REQUIRE_TRUE(got == 1);
}

// A thread that is cancelled while the library waits goes on to its next cancellation point of its own.
void TestCancelledWait() {
  auto topic = Topic<int>::Create({}).value();
  std::atomic<bool> is_running{false};
  SubscriptionReference<int>* reference = nullptr;
  auto subscription = topic.Subscribe([&](const int&) {
    is_running = true;
    while (!reference->ended()) std::this_thread::yield();
    reference->attributes();  // under the mutex: not before what ended it waits for this function
  });
  reference = &*subscription;
  REQUIRE_TRUE(topic.Publish(1).ok());
  std::thread delivering([&] { topic.Deliver(); });
  while (!is_running) std::this_thread::yield();

  std::atomic<bool> is_cancelled{false};
  bool has_ended = false;
  bool goes_on = false;
  std::thread ending([&] {
    while (!is_cancelled) std::this_thread::yield();
    subscription->Unsubscribe().IgnoreError();
    has_ended = true;
    pthread_testcancel();
    goes_on = true;
  });
  pthread_cancel(ending.native_handle());
  is_cancelled = true;
  ending.join();
  delivering.join();
  REQUIRE_TRUE(has_ended && !goes_on);
  REQUIRE_TRUE(topic.Publish(2).ok());
}

void TestExecutor(bool is_function_run_by_it) {
  ManualClock clock;
  auto topic = Topic<int>::Create({.clock = &clock}).value();
  EndOfThread end;
  int got = 0;
  const Executor executor = [&](std::function<void()> task) {
    if (!is_function_run_by_it) end();
    task();
  };
  auto subscription = topic.Subscribe(
      [&](const int&) {
        if (is_function_run_by_it) end();
        ++got;
      },
      {.executor = executor});
  REQUIRE_TRUE(!RunsToItsEnd([&] { topic.Publish(1).IgnoreError(); }));
  clock.Advance(absl::Hours(1));
  topic.Deliver();
  REQUIRE_TRUE(topic.Publish(2).ok());
  REQUIRE_TRUE(got == 2);
}

void TestConversion() {
  auto fifo = FifoTopic<int>::Create({}).value();
  auto texts = FifoQueue<std::string>::Create({}).value();
  EndOfThread end;
  auto subscription = fifo.Subscribe(texts, [&](const int& body) {
    end();
    return std::to_string(body);
  });
  const auto publish = [&] { REQUIRE_TRUE(fifo.Publish(1, {.group = "g", .deduplication_id = "1"}).ok()); };
  REQUIRE_TRUE(!RunsToItsEnd(publish));
  publish();  // the id was not used up
  REQUIRE_TRUE(texts.Counts().ready == 1);

  Topic<int> standard;
  StandardQueue<std::string> more_texts;
  EndOfThread end_again;
  auto again = standard.Subscribe(more_texts, [&](const int& body) {
    end_again();
    return std::to_string(body);
  });
  REQUIRE_TRUE(!RunsToItsEnd([&] { standard.Publish(1).IgnoreError(); }));
  REQUIRE_TRUE(standard.Publish(2).ok());
  REQUIRE_TRUE(more_texts.Counts().ready == 1);
}

void TestKeyOfStream() {
  Topic<int> topic;
  auto stream = Stream<int>::Create({}).value();
  EndOfThread end;
  auto subscription = topic.Subscribe(IntoStream(stream, [&](const int& body) {
    end();
    return std::to_string(body);
  }));
  REQUIRE_TRUE(!RunsToItsEnd([&] { topic.Publish(1).IgnoreError(); }));
  REQUIRE_TRUE(topic.Publish(2).ok());
  auto iterator = stream.Iterate(stream.Shards()[0].id, TrimHorizon{}).value();
  REQUIRE_TRUE(iterator.Next().value().size() == 1);
}

void TestConsumer(bool has_executor) {
  ManualClock clock;
  auto stream = Stream<int>::Create({.clock = &clock}).value();
  auto consumer = StreamConsumer<int>::Register(stream, "consumer").value();
  EndOfThread end;
  std::size_t got = 0;
  SubscribeToShardOptions options;
  if (has_executor) options.executor = [](std::function<void()> task) { task(); };
  auto subscription = consumer
                          .SubscribeToShard(
                              stream.Shards()[0].id, TrimHorizon{},
                              [&](const RecordBatch<int>& batch) {
                                end();
                                got += batch.size();
                              },
                              options)
                          .value();
  const bool comes_to_its_end = RunsToItsEnd([&] {
    stream.Put("key", 1).IgnoreError();
    subscription.Deliver();
  });
  REQUIRE_TRUE(!comes_to_its_end);
  clock.Advance(absl::Minutes(1));
  REQUIRE_TRUE(stream.Put("key", 2).ok());
  subscription.Deliver();
  REQUIRE_TRUE(got == 2);
}

void TestRecordProcessor() {
  ManualClock clock;
  auto stream = Stream<int>::Create({.clock = &clock}).value();
  for (int i = 0; i < 5; ++i) REQUIRE_TRUE(stream.Put("key", i).ok());
  auto group = ConsumerGroup<int>::Create(stream, {.name = "g", .start = TrimHorizon{}}).value();
  EndOfThread end_in_factory;
  EndOfThread end_in_initialize;
  EndOfThread end_in_process;
  std::size_t got = 0;
  struct Processor {
    EndOfThread& end_in_initialize;
    EndOfThread& end_in_process;
    std::size_t& got;

    absl::Status Initialize(ShardId) {
      end_in_initialize();
      return absl::OkStatus();
    }
    absl::Status ProcessRecords(const RecordBatch<int>& batch, Checkpointer& checkpointer) {
      end_in_process();
      got += batch.size();
      return checkpointer.Checkpoint();
    }
  };
  auto worker = group.AddWorker("worker", [&](ShardId) {
    end_in_factory();
    return Processor{end_in_initialize, end_in_process, got};
  });
  for (int i = 0; i < 60; ++i) {
    RunsToItsEnd([&] { worker.Step(); });
    clock.Advance(absl::Seconds(1));
  }
  REQUIRE_TRUE(end_in_factory.has_ended() && end_in_initialize.has_ended() && end_in_process.has_ended());
  REQUIRE_TRUE(got == 5);
}

void TestPoisonOfRecordProcessor() {
  ManualClock clock;
  auto stream = Stream<int>::Create({.clock = &clock}).value();
  for (int i = 0; i < 3; ++i) REQUIRE_TRUE(stream.Put("key", i).ok());
  auto group = ConsumerGroup<int>::Create(
                   stream, {.name = "g", .start = TrimHorizon{}, .max_records = 1, .maximum_retry_attempts = 2})
                   .value();
  int ended = 0;
  std::vector<int> got;
  auto worker = group.AddWorker("worker", [&](const RecordBatch<int>& batch) {
    if (batch.front().body() == 1) {
      ++ended;
      pthread_exit(nullptr);
    }
    got.push_back(batch.front().body());
  });
  for (int i = 0; i < 10; ++i) {
    RunsToItsEnd([&] { worker.Step(); });
    clock.Advance(absl::Seconds(1));
  }
  REQUIRE_TRUE(ended == 3);
  REQUIRE_TRUE((got == std::vector{0, 2}));
  REQUIRE_TRUE(group.Statistics().discarded_records == 1);
}

void TestTransport() {
  EndOfThread end;
  auto application = PlatformApplication::Create({.platform = "APNS",
                                                  .name = "shop",
                                                  .transport =
                                                      [&](const PlatformMessage&) {
                                                        end();
                                                        return absl::OkStatus();
                                                      }})
                         .value();
  auto phone = application.CreateEndpoint("token").value();
  REQUIRE_TRUE(!RunsToItsEnd([&] { phone.Publish("hello").IgnoreError(); }));
  REQUIRE_TRUE(phone.Publish("hello").ok());
  REQUIRE_TRUE(application.Statistics().number_of_notifications_failed == 1);
  REQUIRE_TRUE(application.Statistics().number_of_notifications_delivered == 1);
}

}  // namespace

PROCESS_TEST(thread_ended_in_user_code) {
#if !defined(__cpp_exceptions)
  Skip("without exceptions no destructor runs when a thread is ended in the middle");
#endif
  TestFunction();
  TestCancelledFunction();
  TestCancelledWait();
  TestExecutor(/*is_function_run_by_it=*/false);
  TestExecutor(/*is_function_run_by_it=*/true);
  TestConversion();
  TestKeyOfStream();
  TestConsumer(/*has_executor=*/false);
  TestConsumer(/*has_executor=*/true);
  TestRecordProcessor();
  TestPoisonOfRecordProcessor();
  TestTransport();
}

}  // namespace decouple::testing
