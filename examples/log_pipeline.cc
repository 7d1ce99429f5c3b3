// Real logs go through a queue to worker threads, the events that these find through a topic into queues by kind, and
// into a stream that is read again later for a second report.
//
//   lines ─▶ queue ─▶ workers ─┬─▶ topic ─┬─ changes ─▶ reporter      (filter: install, upgrade, remove, …)
//                              │          ├─ states ──▶ reporter      (filter: "status …")
//                              │          └─ the rest ▶ reporter
//                              └─▶ stream ─ ─ later ─ ▶ the first and the last line of each kind
//
// Now and then a worker crashes: it ends without deleting the messages that it has received, and another worker takes
// its place. These messages are visible again after the visibility timeout and are processed by other workers, so
// nothing is lost. A line whose worker crashed between publishing and deleting is published and put twice; as each line
// has a number, nothing counts twice.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "decouple/body_fields.h"
#include "decouple/consumer_group.h"
#include "decouple/filter_expression.h"
#include "decouple/standard_queue.h"
#include "decouple/stream.h"
#include "decouple/topic.h"
#include "log_line.h"

namespace {

struct Line {
  std::size_t number = 0;
  std::string text;
};

std::size_t DecoupleMessageSize(const Line& line) { return line.text.size(); }

// What a line reports.
struct Event {
  std::size_t line_number = 0;
  std::string kind;
  absl::Time read_at;
};

constexpr auto DecoupleFields(const Event*) { return decouple::Fields(decouple::Field("kind", &Event::kind)); }

using Lines = decouple::StandardQueue<Line>;
using Events = decouple::StandardQueue<Event>;

constexpr int kWorkers = 4;
constexpr int kCrashEvery = 400;  // messages, of one worker
constexpr absl::Duration kVisibilityTimeout = absl::Milliseconds(250);

// Which lines have been processed, by all reporters together.
class Ledger {
 public:
  // False: the line was counted before.
  bool Count(std::size_t number, const std::string& kind, absl::Duration latency) {
    const std::lock_guard lock(mutex_);
    if (number >= seen_.size()) seen_.resize(std::max(number + 1, seen_.size() * 2));
    if (seen_[number]) return false;
    seen_[number] = true;
    ++kinds_[kind];
    latencies_.push_back(latency);
    return true;
  }

  std::size_t processed() const {
    const std::lock_guard lock(mutex_);
    return latencies_.size();
  }
  const std::map<std::string, std::size_t>& kinds() const { return kinds_; }

  absl::Duration LatencyPercentile(double percent) {
    if (latencies_.empty()) return absl::ZeroDuration();
    const auto rank = static_cast<std::ptrdiff_t>(percent / 100 * static_cast<double>(latencies_.size() - 1));
    std::nth_element(latencies_.begin(), latencies_.begin() + rank, latencies_.end());
    return latencies_[static_cast<std::size_t>(rank)];
  }

 private:
  mutable std::mutex mutex_;
  std::vector<bool> seen_;
  std::map<std::string, std::size_t> kinds_;
  std::vector<absl::Duration> latencies_;
};

// An event in the stream; its kind is the partition key.
struct Parsed {
  std::size_t line_number = 0;
};

using History = decouple::Stream<Parsed>;

// The events of one kind in the stream.
struct Span {
  std::size_t count = 0;
  std::size_t first_line = 0;
  std::size_t last_line = 0;
};

// A report on all records of a stream, made by two workers that share its shards. Each line counts once.
class Replay {
 public:
  explicit Replay(const History& history) {
    auto group = decouple::ConsumerGroup<Parsed>::Create(history, {.name = "report", .start = decouple::TrimHorizon{}});
    std::vector<std::thread> workers;
    for (const char* name : {"report-1", "report-2"}) {
      workers.emplace_back(
          [&, name] { group->AddWorker(name, [&](const decouple::RecordBatch<Parsed>& batch) { See(batch); }).Run(); });
    }
    for (std::thread& worker : workers) worker.join();
  }

  const std::map<std::string, Span>& kinds() const { return kinds_; }
  std::size_t records() const { return records_; }
  std::size_t seen_again() const { return seen_again_; }

 private:
  void See(const decouple::RecordBatch<Parsed>& batch) {
    const std::lock_guard lock(mutex_);
    for (const auto& record : batch) {
      ++records_;
      const std::size_t line = record.body().line_number;
      if (line >= seen_.size()) seen_.resize(std::max(line + 1, seen_.size() * 2));
      if (seen_[line]) {
        ++seen_again_;
        continue;
      }
      seen_[line] = true;
      Span& span = kinds_[std::string(record.partition_key())];
      span.first_line = span.count == 0 ? line : std::min(span.first_line, line);
      span.last_line = std::max(span.last_line, line);
      ++span.count;
    }
  }

  std::mutex mutex_;
  std::vector<bool> seen_;
  std::map<std::string, Span> kinds_;
  std::size_t records_ = 0;
  std::size_t seen_again_ = 0;
};

// A queue of some kinds of events, and how many it has received.
struct Report {
  const char* name;
  Events events;
  std::atomic<std::size_t> received{0};
};

struct Tally {
  std::atomic<std::size_t> read{0};
  std::atomic<std::size_t> redelivered{0};
  std::atomic<std::size_t> crashes{0};
};

// Receives until the queue is closed and drained. Returns true if it crashed before.
bool Work(Lines queue, decouple::Topic<Event> topic, History history, Tally& tally) {
  for (int handled = 0;;) {
    auto received = queue.Receive({.max_messages = 10, .wait = absl::Seconds(1)});
    if (!received.ok()) return false;  // closed and drained
    for (auto& delivery : *received) {
      if (delivery.receive_count() > 1) tally.redelivered.fetch_add(1);
      const Line& line = delivery.body();
      Event event{line.number, KindOf(line.text), delivery.sent_at()};
      if (!history.Put(event.kind, Parsed{line.number}).ok()) std::abort();
      if (!topic.Publish(std::move(event)).ok()) std::abort();
      // Never crashes on a second try, so that each message is processed in the end.
      if (++handled >= kCrashEvery && delivery.receive_count() == 1) {
        tally.crashes.fetch_add(1);
        return true;
      }
      if (!delivery.Delete().ok()) std::abort();
    }
  }
}

// Runs one worker after another: whenever one crashes, the next.
void Supervise(Lines queue, decouple::Topic<Event> topic, History history, Tally& tally) {
  bool crashed = true;
  while (crashed) {
    std::thread worker([&] { crashed = Work(queue, topic, history, tally); });
    worker.join();
  }
}

// Counts the events of one queue until it is closed and drained.
void Count(Report& report, Ledger& ledger) {
  for (;;) {
    auto received = report.events.Receive({.max_messages = 10, .wait = absl::Seconds(1)});
    if (!received.ok()) return;
    for (auto& delivery : *received) {
      const Event& event = delivery.body();
      if (ledger.Count(event.line_number, event.kind, absl::Now() - event.read_at)) report.received.fetch_add(1);
      if (!delivery.Delete().ok()) std::abort();
    }
  }
}

// Each kind of event goes to one of the reports.
void Subscribe(decouple::Topic<Event>& topic, std::array<Report, 3>& reports) {
  using decouple::Where;
  const auto is_change = Where(&Event::kind).In({"install", "upgrade", "remove", "purge", "configure", "trigproc"});
  const auto is_state = Where(&Event::kind).StartsWith("status ");
  const auto is_neither =
      Where(&Event::kind).NotIn({"install", "upgrade", "remove", "purge", "configure", "trigproc"}) &&
      Where(&Event::kind).DoesNotStartWith("status ");
  topic.Subscribe(reports[0].events, {.filter = is_change})->Detach();
  topic.Subscribe(reports[1].events, {.filter = is_state})->Detach();
  topic.Subscribe(reports[2].events, {.filter = is_neither})->Detach();
}

void ShowProgress(const Lines& queue, const Ledger& ledger, const Tally& tally) {
  const auto counts = queue.Counts();
  absl::PrintF("\r\033[Kread %d  waiting %d  in flight %d  processed %d  crashes %d", tally.read.load(), counts.ready,
               counts.in_flight, ledger.processed(), tally.crashes.load());
  std::fflush(stdout);
}

bool ForEachLine(const std::string& path, const std::function<void(std::string&&)>& visit) {
  std::ifstream file;
  if (path != "-") file.open(path);
  std::istream& in = path == "-" ? std::cin : file;
  if (!in) return false;
  for (std::string line; std::getline(in, line);) visit(std::move(line));
  return true;
}

std::vector<std::string> OwnLogs() {
  for (const char* path : {"/var/log/dpkg.log", "/var/log/syslog", "/var/log/messages", "/var/log/apt/history.log",
                           "/var/log/bootstrap.log", "/var/log/alternatives.log"}) {
    std::error_code error;
    if (std::filesystem::file_size(path, error) > 0 && !error && access(path, R_OK) == 0) return {path};
  }
  return {};
}

void Print(const Tally& tally, Ledger& ledger, const std::array<Report, 3>& reports, const Replay& replay,
           absl::Duration took) {
  const std::size_t read = tally.read.load();
  const std::size_t processed = ledger.processed();
  absl::PrintF("lines in      %d\n", read);
  absl::PrintF("processed     %d\n", processed);
  absl::PrintF("crashes       %d\n", tally.crashes.load());
  absl::PrintF("redelivered   %d\n", tally.redelivered.load());
  absl::PrintF("lost          %d\n", read - processed);
  absl::PrintF("throughput    %.0f lines/s\n", static_cast<double>(processed) / absl::ToDoubleSeconds(took));
  absl::PrintF("latency       p50 %s  p90 %s  p99 %s  max %s\n", absl::FormatDuration(ledger.LatencyPercentile(50)),
               absl::FormatDuration(ledger.LatencyPercentile(90)), absl::FormatDuration(ledger.LatencyPercentile(99)),
               absl::FormatDuration(ledger.LatencyPercentile(100)));
  absl::PrintF("fanned out   ");
  for (const Report& report : reports) absl::PrintF(" %s %d  ", report.name, report.received.load());
  absl::PrintF("\nreplayed      %d events from the stream, %d of them seen before\n", replay.records(),
               replay.seen_again());
  absl::PrintF("per kind of event, and in the replay from which line to which\n");
  for (const auto& [kind, count] : ledger.kinds()) {
    const auto span = replay.kinds().find(kind);
    if (span == replay.kinds().end()) continue;
    absl::PrintF("  %-28s %8d   %8d …%8d\n", kind, count, span->second.first_line + 1, span->second.last_line + 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths(argv + 1, argv + argc);
  if (paths.empty()) paths = OwnLogs();
  if (paths.empty()) {
    std::cerr << "No log of this machine can be read. Name one: examples/run FILE… (- is standard input)\n";
    return 2;
  }

  auto queue = Lines::Create({.visibility_timeout = kVisibilityTimeout,
                              .capacity = decouple::Capacity{.messages = 100'000, .when_full = decouple::Block{}},
                              .name = "lines"})
                   .value();
  decouple::Topic<Event> topic;
  auto history = History::Create({.shards = 4, .name = "history"}).value();
  std::array<Report, 3> reports = {Report{"changes", {}}, Report{"states", {}}, Report{"the rest", {}}};
  Subscribe(topic, reports);
  Ledger ledger;
  Tally tally;
  std::map<std::string, std::size_t> expected;  // counted as lines are read, by one thread and without the queue
  const absl::Time begin = absl::Now();
  std::vector<std::thread> supervisors;
  for (int i = 0; i < kWorkers; ++i) supervisors.emplace_back(Supervise, queue, topic, history, std::ref(tally));
  std::vector<std::thread> reporters;
  for (Report& report : reports) reporters.emplace_back(Count, std::ref(report), std::ref(ledger));

  std::atomic<bool> finished = false;
  std::thread view;
  if (isatty(STDOUT_FILENO) != 0) {
    view = std::thread([&] {
      while (!finished) {
        ShowProgress(queue, ledger, tally);
        absl::SleepFor(absl::Milliseconds(100));
      }
      absl::PrintF("\r\033[K");
    });
  }

  bool readable = true;
  for (const std::string& path : paths) {
    const bool opened = ForEachLine(path, [&](std::string&& text) {
      const std::size_t number = tally.read.fetch_add(1);
      if (path == "-") ++expected[KindOf(text)];
      if (const auto sent = queue.Send(Line{number, std::move(text)}); !sent.ok()) {
        std::cerr << "line " << number + 1 << ": " << sent.status() << '\n';
      }
    });
    if (!opened) {
      std::cerr << "cannot read " << path << '\n';
      readable = false;
    }
  }
  queue.Close();
  for (std::thread& supervisor : supervisors) supervisor.join();
  history.Close();
  for (Report& report : reports) report.events.Close();
  for (std::thread& reporter : reporters) reporter.join();
  const absl::Duration took = absl::Now() - begin;
  finished = true;
  if (view.joinable()) view.join();

  // The same files once more, without queue and workers.
  for (const std::string& path : paths) {
    if (path != "-") ForEachLine(path, [&](const std::string& text) { ++expected[KindOf(text)]; });
  }
  const Replay replay(history);
  std::map<std::string, std::size_t> replayed;
  for (const auto& [kind, span] : replay.kinds()) replayed.emplace(kind, span.count);
  const bool same = ledger.kinds() == expected && replayed == expected && ledger.processed() == tally.read.load();
  Print(tally, ledger, reports, replay, took);
  absl::PrintF("checked       %s\n", same ? "both counts are those of the input, read again without queue and stream"
                                          : "THE COUNTS DIFFER FROM THE INPUT");
  return same && readable ? 0 : 1;
}
