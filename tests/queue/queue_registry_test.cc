#include "decouple/queue_registry.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "decouple/internal/base/access.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_directory.h"
#include "queue_testing.h"

namespace decouple::testing {

using Jobs = StandardQueue<int>;
using Ledger = FifoQueue<int>;

static_assert(!std::is_copy_constructible_v<QueueRegistry>);

std::vector<std::string> NamesOf(const std::vector<QueueReference>& queues) {
  std::vector<std::string> names;
  for (const auto& queue : queues) names.push_back(queue.name());
  return names;
}

TEST_CASE("a registry creates a queue once, and returns it when its name and attributes are the same") {
  ManualClock clock;
  QueueRegistry registry({.clock = &clock});
  auto dead = registry.Create<Jobs>({.name = "dead"});
  REQUIRE(dead.ok());
  const QueueOptions options{.visibility_timeout = Minutes(5),
                             .capacity = Capacity{.messages = 10},
                             .redrive = Redrive{.to = *dead, .max_receives = 3},
                             .name = "jobs"};
  auto jobs = registry.Create<Jobs>(options);
  REQUIRE(jobs.ok());
  CHECK(jobs->name() == "jobs");
  REQUIRE(jobs->Send(1).ok());
  auto again = registry.Create<Jobs>(options);
  REQUIRE(again.ok());
  CHECK(*again == *jobs);
  CHECK(ReceiveOne(*again).body() == 1);
  CHECK(registry.Create<Ledger>({.name = "ledger.fifo"}).value() ==
        registry.Create<Ledger>({.name = "ledger.fifo"}).value());
  CHECK(dead->DeadLetterSources().size() == 1);
}

TEST_CASE("a registry refuses a name that a queue with other attributes, of another kind or type has") {
  ManualClock clock;
  QueueRegistry registry({.clock = &clock});
  auto jobs = registry.Create<Jobs>({.name = "jobs"});
  auto ledger = registry.Create<Ledger>({.name = "ledger.fifo"});
  auto other = Make<Jobs>(clock);
  REQUIRE(jobs.ok());
  const auto refuses = [&](QueueOptions options) {
    options.name = "jobs";
    return ErrorIn(registry.Create<Jobs>(std::move(options))) == Error::kQueueNameExists;
  };
  CHECK(refuses({.visibility_timeout = Seconds(31)}));
  CHECK(refuses({.retention = Hours(1)}));
  CHECK(refuses({.delay = Seconds(1)}));
  CHECK(refuses({.receive_wait = Seconds(1)}));
  CHECK(refuses({.max_message_size = 2'000}));
  CHECK(refuses({.max_in_flight = 5}));
  CHECK(refuses({.capacity = Capacity{.bytes = 1}}));
  CHECK(refuses({.redrive = Redrive{.to = other}}));
  CHECK(refuses({.redrive_allow = DenyAllSources{}}));
  CHECK(refuses({.senders = AllowSenders{}}));
  CHECK_FALSE(refuses({.capacity = Capacity{}, .redrive_allow = AllowAllSources{}}));  // the defaults
  CHECK(ErrorIn(registry.Create<StandardQueue<std::string>>({.name = "jobs"})) == Error::kQueueNameExists);
  const auto refuses_fifo = [&](QueueOptions options) {
    options.name = "ledger.fifo";
    return ErrorIn(registry.Create<Ledger>(std::move(options))) == Error::kQueueNameExists;
  };
  CHECK(refuses_fifo({.deduplication_scope = DeduplicationScope::kMessageGroup}));
  CHECK(refuses_fifo({.deduplication_scope = DeduplicationScope::kMessageGroup,
                      .fifo_throughput_limit = FifoThroughputLimit::kPerMessageGroupId}));
  CHECK(refuses_fifo({.max_calls_per_second = 300}));
  CHECK_FALSE(refuses_fifo({.content_based_deduplication = false, .max_calls_per_second = 0}));

  // What counts is what the attributes are now.
  REQUIRE(jobs->SetAttributes({.delay = Seconds(1)}).ok());
  CHECK(refuses({}));
  CHECK_FALSE(refuses({.delay = Seconds(1)}));
  const auto error = registry.Create<Jobs>({.name = "jobs"});
  CHECK(error.status().message().find("another delay") != std::string::npos);
}

TEST_CASE("a registry does not compare limits, and a limit that is a default is that of the queue that is there") {
  ManualClock clock;
  QueueRegistry registry({.clock = &clock});
  auto jobs = registry.Create<Jobs>({.name = "jobs"});
  REQUIRE(jobs.ok());
  CHECK(registry.Create<Jobs>({.limits = Limits::Unlimited(), .name = "jobs"}).value() == *jobs);
  CHECK(registry.Create<Jobs>({.limits = {.max_in_flight = 20'000}, .name = "jobs"}).value() == *jobs);
  CHECK(registry.Create<Jobs>({.max_message_size = 1'048'576, .limits = Limits::Unlimited(), .name = "jobs"}).ok());
  CHECK(
      ErrorIn(registry.Create<Jobs>({.max_message_size = 1'048'577, .limits = Limits::Unlimited(), .name = "jobs"})) ==
      Error::kQueueNameExists);
  REQUIRE(jobs->SetAttributes({.max_in_flight = 20'000}).ok());
  CHECK(ErrorIn(registry.Create<Jobs>({.limits = {.max_in_flight = 20'000}, .name = "jobs"})) ==
        Error::kQueueNameExists);
}

TEST_CASE(
    "a registry takes durations for the same that are the same to a queue: below a nanosecond, and past 292 years") {
  ManualClock clock;
  QueueRegistry registry({.clock = &clock});
  const absl::Duration ages = Hours(24 * 365 * 300);
  const QueueOptions options{.visibility_timeout = ages,
                             .retention = ages,
                             .delay = kOneNanosecond / 4,
                             .receive_wait = ages,
                             .capacity = Capacity{.messages = 1, .when_full = Block{ages}},
                             .limits = Limits::Unlimited(),
                             .name = "jobs"};
  auto jobs = registry.Create<Jobs>(options);
  REQUIRE(jobs.ok());
  CHECK(registry.Create<Jobs>(options).value() == *jobs);
  QueueOptions other = options;
  other.delay = kOneNanosecond;
  CHECK(ErrorIn(registry.Create<Jobs>(other)) == Error::kQueueNameExists);
  other = options;
  other.capacity->when_full = Block{Hours(1)};
  CHECK(ErrorIn(registry.Create<Jobs>(other)) == Error::kQueueNameExists);
  other.capacity->when_full = Reject{};
  CHECK(ErrorIn(registry.Create<Jobs>(other)) == Error::kQueueNameExists);
}

TEST_CASE("what is wrong with the options by themselves is refused as such, though there is a queue of that name") {
  ManualClock clock;
  QueueRegistry registry({.clock = &clock});
  auto ledger = Make<Ledger>(clock);
  auto jobs = registry.Create<Jobs>({.name = "jobs"});
  REQUIRE(jobs.ok());
  REQUIRE(registry.Create<Ledger>({.name = "ledger.fifo"}).ok());
  const auto error = [&](QueueOptions options) {
    options.name = "jobs";
    return ErrorIn(registry.Create<Jobs>(std::move(options)));
  };
  constexpr Error kInvalid = Error::kInvalidAttributeValue;
  CHECK(error({.max_calls_per_second = 1}) == kInvalid);
  CHECK(error({.redrive = Redrive{.to = *jobs, .max_receives = 0}}) == kInvalid);
  CHECK(error({.redrive = Redrive{.to = *jobs, .max_receives = 1'001}}) == kInvalid);
  CHECK(error({.redrive = Redrive{.to = *jobs, .max_receives = 1'000}}) == Error::kQueueNameExists);
  CHECK(error({.redrive = Redrive{.max_receives = 3}}) == kInvalid);
  CHECK(error({.redrive = Redrive{.to = ledger}}) == kInvalid);
  CHECK(error({.redrive = Redrive{.to = Make<StandardQueue<std::string>>(clock)}}) == kInvalid);
  CHECK(ErrorIn(registry.Create<Ledger>(
            {.content_based_deduplication = true, .max_calls_per_second = 1, .name = "ledger.fifo"})) == kInvalid);
  CHECK(ErrorIn(registry.Create<Ledger>(
            {.fifo_throughput_limit = FifoThroughputLimit::kPerMessageGroupId, .name = "ledger.fifo"})) == kInvalid);
}

TEST_CASE("a queue's name is 1 to 80 letters, digits, hyphens and underscores; a FIFO queue's ends in .fifo") {
  QueueRegistry registry;
  const auto takes = [&](const std::string& name) { return registry.Create<Jobs>({.name = name}).ok(); };
  const auto takes_fifo = [&](const std::string& name) { return registry.Create<Ledger>({.name = name}).ok(); };
  CHECK(takes("a"));
  CHECK(takes("Az0-_"));
  CHECK(takes(std::string(80, 'a')));
  for (const std::string& name : {std::string(), std::string(81, 'a'), std::string("a b"), std::string("a.b"),
                                  std::string("a.fifo"), std::string("\xC3\xA5")}) {
    CHECK_FALSE(takes(name));
  }
  CHECK(takes_fifo("a.fifo"));
  CHECK(takes_fifo(std::string(75, 'a') + ".fifo"));
  for (const std::string& name : {std::string(), std::string("a"), std::string(".fifo"), std::string("a.b.fifo"),
                                  std::string(76, 'a') + ".fifo", std::string("a.FIFO")}) {
    CHECK_FALSE(takes_fifo(name));
  }
  CHECK(ErrorIn(registry.Create<Jobs>({.name = "a.fifo"})) == Error::kInvalidParameterValue);
}

TEST_CASE("a registry refuses what its queue would, and leaves the name free") {
  ManualClock clock;
  ManualClock other;
  QueueRegistry registry({.clock = &clock});
  CHECK(ErrorIn(registry.Create<Jobs>({.delay = Hours(1), .name = "jobs"})) == Error::kInvalidAttributeValue);
  CHECK(ErrorIn(registry.Create<Jobs>({.max_calls_per_second = 1, .name = "jobs"})) == Error::kInvalidAttributeValue);
  CHECK(ErrorIn(registry.Create<Jobs>({.name = "jobs", .clock = &other})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(registry.Find("jobs")) == Error::kQueueDoesNotExist);
  CHECK(registry.Create<Jobs>({.name = "jobs", .clock = &clock}).ok());
  CHECK(ErrorIn(registry.Create<Jobs>({.delay = Hours(1), .name = "jobs"})) == Error::kInvalidAttributeValue);
}

TEST_CASE("a queue is found by its name, as what it is") {
  QueueRegistry registry;
  auto jobs = registry.Create<Jobs>({.name = "jobs"});
  auto ledger = registry.Create<Ledger>({.name = "ledger.fifo"});
  CHECK(registry.Find<Jobs>("jobs").value() == *jobs);
  CHECK(registry.Find<decouple::Queue<int>>("jobs").value() == *jobs);
  CHECK(registry.Find<decouple::Queue<int>>("ledger.fifo").value() == *ledger);
  CHECK(registry.Find<Ledger>("ledger.fifo").value() == *ledger);
  CHECK(registry.Find("jobs").value() == QueueReference(*jobs));
  CHECK(registry.Find("jobs")->kind() == decouple::QueueKind::kStandard);
  CHECK(registry.Find("ledger.fifo")->kind() == decouple::QueueKind::kFifo);
  CHECK(QueueReference().kind() == std::nullopt);
  CHECK(registry.Find<decouple::Queue<int>>("ledger.fifo")->kind() == decouple::QueueKind::kFifo);
  CHECK(ErrorIn(registry.Find<Ledger>("jobs")) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(registry.Find<Jobs>("ledger.fifo")) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(registry.Find<StandardQueue<std::string>>("jobs")) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(registry.Find<Jobs>("none")) == Error::kQueueDoesNotExist);
  CHECK(ErrorIn(registry.Find("job")) == Error::kQueueDoesNotExist);
}

TEST_CASE("queues are listed by prefix, in the order of their names, page by page") {
  QueueRegistry registry;
  for (const char* name : {"jobs-3", "other", "jobs-1", "jobs", "job", "jobs-2"}) {
    REQUIRE(registry.Create<Jobs>({.name = name}).ok());
  }
  REQUIRE(registry.Create<Ledger>({.name = "jobs-2.fifo"}).ok());
  const auto all = registry.List().value();
  CHECK(NamesOf(all.queues) ==
        std::vector<std::string>{"job", "jobs", "jobs-1", "jobs-2", "jobs-2.fifo", "jobs-3", "other"});
  CHECK(all.next_token.empty());
  std::vector<std::string> pages;
  ListQueuesOptions options{.prefix = "jobs", .max_results = 2};
  do {
    const auto page = registry.List(options).value();
    CHECK((page.queues.size() == 2 || page.next_token.empty()));
    for (const auto& name : NamesOf(page.queues)) pages.push_back(name);
    options.next_token = page.next_token;
  } while (!options.next_token.empty());
  CHECK(pages == std::vector<std::string>{"jobs", "jobs-1", "jobs-2", "jobs-2.fifo", "jobs-3"});
  CHECK(registry.List({.prefix = "jobs", .max_results = 5})->next_token.empty());
  CHECK(registry.List({.prefix = "x"})->queues.empty());
  CHECK(ErrorIn(registry.List({.max_results = 0})) == Error::kInvalidParameterValue);
  CHECK(registry.List({.max_results = 1'000}).ok());
  CHECK(ErrorIn(registry.List({.max_results = 1'001})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(registry.List({.prefix = "jobs", .next_token = "other"})) == Error::kInvalidParameterValue);
}

TEST_CASE("a list has at most 1000 queues, and says where the next begins") {
  QueueRegistry registry;
  for (int i = 0; i < 1'001; ++i) REQUIRE(registry.Create<Jobs>({.name = "q" + std::to_string(10'000 + i)}).ok());
  const auto first = registry.List().value();
  CHECK(first.queues.size() == 1'000);
  CHECK(NamesOf(registry.List({.next_token = first.next_token})->queues) == std::vector<std::string>{"q11000"});
  QueueRegistry unlimited({.limits = Limits::Unlimited()});
  for (int i = 0; i < 1'001; ++i) REQUIRE(unlimited.Create<Jobs>({.name = "q" + std::to_string(i)}).ok());
  CHECK(unlimited.List()->queues.size() == 1'001);
}

TEST_CASE("a deleted queue is not found any more, and its name can be used again after 60 seconds") {
  ManualClock clock;
  QueueRegistry registry({.clock = &clock});
  auto jobs = registry.Create<Jobs>({.name = "jobs"}).value();
  SECTION("deleted by the registry") { REQUIRE(registry.Delete("jobs").ok()); }
  SECTION("deleted by a handle") { REQUIRE(jobs.DeleteQueue().ok()); }
  CHECK(jobs.deleted());
  CHECK(ErrorIn(jobs.Send(1)) == Error::kQueueDoesNotExist);
  CHECK(ErrorIn(registry.Find("jobs")) == Error::kQueueDoesNotExist);
  CHECK(ErrorIn(registry.Delete("jobs")) == Error::kQueueDoesNotExist);
  CHECK(registry.List()->queues.empty());
  clock.Advance(Seconds(60) - kOneNanosecond);
  CHECK(ErrorIn(registry.Create<Jobs>({.name = "jobs"})) == Error::kQueueDeletedRecently);
  CHECK(registry.Create<Jobs>({.name = "others"}).ok());
  clock.Advance(kOneNanosecond);
  auto again = registry.Create<Jobs>({.delay = Seconds(1), .name = "jobs"});
  REQUIRE(again.ok());
  CHECK_FALSE(*again == jobs);
  CHECK(again->Send(1).ok());
  CHECK(jobs.deleted());
}

TEST_CASE("without limits the name of a deleted queue can be used again at once") {
  ManualClock clock;
  QueueRegistry registry({.limits = Limits::Unlimited(), .clock = &clock});
  REQUIRE(registry.Create<Jobs>({.name = "jobs"}).ok());
  REQUIRE(registry.Delete("jobs").ok());
  CHECK(registry.Create<Jobs>({.name = "jobs"}).ok());
}

TEST_CASE("a registry keeps its queues and their messages, until they are deleted or it goes itself") {
  const auto content = std::make_shared<int>(0);
  using Shared = StandardQueue<std::shared_ptr<int>>;
  auto registry = std::make_unique<QueueRegistry>();
  REQUIRE(registry->Create<Shared>({.name = "a"})->Send(content).ok());
  REQUIRE(registry->Create<Shared>({.name = "b"})->Send(content).ok());
  CHECK(content.use_count() == 3);
  REQUIRE(registry->Delete("a").ok());
  CHECK(content.use_count() == 2);
  {
    auto kept = registry->Find<Shared>("b").value();
    registry.reset();
    CHECK(content.use_count() == 2);
    CHECK(ReceiveOne(kept).body() == content);
  }
  CHECK(content.use_count() == 1);
}

TEST_CASE("queues that their handles deleted do not pile up in their registry") {
  ManualClock clock;
  QueueRegistry registry({.clock = &clock});
  std::vector<std::weak_ptr<internal::QueueBase>> all;
  const auto still_there = [&] {
    return std::count_if(all.begin(), all.end(), [](const auto& queue) { return !queue.expired(); });
  };
  const auto create_and_delete = [&](int i) {
    auto queue = registry.Create<Jobs>({.name = "temporary-" + std::to_string(i)}).value();
    all.emplace_back(internal::Access::Core(QueueReference(queue)));
    REQUIRE(queue.DeleteQueue().ok());
  };
  for (int i = 0; i < 300; ++i) create_and_delete(i);
  CHECK(still_there() < 150);  // those that no call of Create() has come to
  CHECK(registry.List()->queues.empty());
  CHECK(still_there() == 0);
}

TEST_CASE("names that are free again do not pile up: neither by creations, nor where queues are only listed") {
  ManualClock clock;
  internal::QueueDirectory directory(Limits::Service(), clock);
  const auto add_and_delete = [&](int i) {
    auto queue = Make<Jobs>(clock, {.name = "temporary-" + std::to_string(i)});
    REQUIRE(directory.Add(internal::Access::Core(QueueReference(queue))).ok());
    REQUIRE(queue.DeleteQueue().ok());
  };
  for (int i = 0; i < 300; ++i) {
    add_and_delete(i);
    clock.Advance(Seconds(30));
  }
  CHECK(directory.size() < 150);
  bool is_more = false;
  CHECK(directory.List({}, {}, 1, is_more).empty());
  CHECK(directory.size() == 1);  // the last name is not free yet
  clock.Advance(Seconds(30));
  CHECK(directory.List({}, {}, 1, is_more).empty());
  CHECK(directory.size() == 0);
  CHECK_FALSE(is_more);
}

TEST_CASE("threads that create, find and delete by the same names agree on one queue at a time") {
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  QueueRegistry registry({.limits = Limits::Unlimited()});
  std::atomic<int> wrong = 0;
  std::atomic<int> sent = 0;
  std::atomic<int> deletions = 0;
  std::atomic<int> deleted_with_a_queue = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < kRounds; ++round) {
        const std::string name = "q" + std::to_string(round % 3);
        auto queue = registry.Create<Jobs>({.name = name});
        if (!queue.ok()) {
          ++wrong;
          continue;
        }
        const auto result = queue->Send(int{round});
        wrong += !result.ok() && ErrorIn(result) != Error::kQueueDoesNotExist;
        sent += result.ok();
        if ((round + i) % 4 != 0) continue;
        // One thread deletes a queue, whether by the registry or by the handle; what was in it is counted there.
        const absl::Status status = queue->DeleteQueue();
        wrong += !status.ok() && ErrorIn(status) != Error::kQueueDoesNotExist;
        if (!status.ok()) continue;
        ++deletions;
        deleted_with_a_queue += static_cast<int>(queue->Statistics().number_of_messages_purged);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(deletions > 0);
  int left = 0;
  std::set<std::string> names;
  for (const auto& reference : registry.List().value().queues) {
    names.insert(reference.name());
    left += static_cast<int>(decouple::Queue<int>::From(reference)->Counts().ready);
  }
  CHECK(names.size() <= 3);
  CHECK(left + deleted_with_a_queue == sent);
}

}  // namespace decouple::testing
