// A program that uses the library and loads a plugin that does so, too.
//
//   host PLUGIN           the plugin includes the same headers
//   host PLUGIN unloads   the same; and nothing but its own code keeps the plugin loaded
//   host PLUGIN version   the plugin includes those of another version
//   host PLUGIN json      the same headers, and the parser of JSON, which the host does not have

#include <atomic>
#include <string_view>
#include <thread>

#include "decouple/internal/filter/json_hook.h"
#include "decouple/standard_queue.h"
#include "loaded_plugin.h"
#include "process_testing.h"
#include "shared_queue.h"

namespace {

using LetterQueue = decouple::StandardQueue<Letter>;

constexpr int kMessages = 1'000;

void OneThreadGoesFromQueueToQueue(const LoadedPlugin& plugin) {
  LetterQueue queue;
  REQUIRE_TRUE(plugin->alternate(&queue, kMessages));
  for (int i = 0; i < kMessages; ++i) {
    auto letters = queue.Receive();
    REQUIRE_TRUE(letters->size() == 1);
    REQUIRE_TRUE(letters->front().body().number == i);
    REQUIRE_TRUE(letters->front().body().text == "to the host's queue, long enough for the heap");
    REQUIRE_TRUE(letters->front().Delete().ok());
  }
}

void DeadLettersGoToAQueueOfThePlugin(const LoadedPlugin& plugin) {
  void* const dead = plugin->make_queue();
  {
    const auto queue =
        LetterQueue::Create({.redrive = decouple::Redrive{.to = *static_cast<LetterQueue*>(dead), .max_receives = 1}});
    REQUIRE_TRUE(queue.ok());
    LetterQueue source = *queue;
    REQUIRE_TRUE(source.Send(Letter{1, "dead"}).ok());
    REQUIRE_TRUE(source.Receive({.visibility_timeout = absl::ZeroDuration()})->size() == 1);
    REQUIRE_TRUE(source.Receive()->empty());
    REQUIRE_TRUE(plugin->drain(dead, 1) == 1);
  }
  plugin->destroy_queue(dead);
}

void EveryMessageOfManyThreadsArrivesOnce(const LoadedPlugin& plugin) {
  constexpr int kEach = 20'000;
  LetterQueue queue;
  int received = 0;
  std::thread plugin_sends([&] { plugin->send(&queue, kEach); });
  std::thread host_sends([&] {
    for (int i = 0; i < kEach; ++i) REQUIRE_TRUE(queue.Send(Letter{i, "from the host"}).ok());
  });
  std::thread plugin_receives([&] { received = plugin->drain(&queue, kEach); });
  for (int i = 0; i < kEach; ++i) {
    auto letters = queue.Receive({.wait = absl::Seconds(5)});
    REQUIRE_TRUE(letters->size() == 1);
    REQUIRE_TRUE(letters->front().Delete().ok());
  }
  plugin_sends.join();
  host_sends.join();
  plugin_receives.join();
  REQUIRE_TRUE(received == kEach);
  REQUIRE_TRUE(queue.Receive()->empty());
}

// The thread goes on, and ends, after the plugin that it called is closed.
void APluginIsClosedBeforeItsThreadsEnd(LoadedPlugin& plugin, bool unloads) {
  LetterQueue queue;
  std::atomic<int> step{0};
  const auto reach = [&](int reached) {
    step.store(reached, std::memory_order_release);
    step.notify_all();
  };
  const auto await = [&](int awaited) {
    for (int now = step.load(std::memory_order_acquire); now < awaited; now = step.load(std::memory_order_acquire)) {
      step.wait(now, std::memory_order_acquire);
    }
  };
  std::thread thread([&] {
    plugin->send(&queue, kMessages);
    reach(1);
    await(2);
    for (int i = 0; i < kMessages; ++i) REQUIRE_TRUE(queue.Receive()->front().Delete().ok());
  });
  await(1);
  plugin.Close();
  if (unloads) REQUIRE_TRUE(!plugin.IsInMemory());
  reach(2);
  thread.join();
  REQUIRE_TRUE(queue.Receive()->empty());
}

void EachVersionKeepsToItself(const LoadedPlugin& plugin) {
  REQUIRE_TRUE(plugin->process() != &decouple::internal::Process());
  LetterQueue queue;
  void* const other = plugin->make_queue();
  for (int i = 0; i < kMessages; ++i) {
    REQUIRE_TRUE(queue.Send(Letter{i, "of one version"}).ok());
    plugin->send(other, 1);
  }
  for (int i = 0; i < kMessages; ++i) {
    REQUIRE_TRUE(queue.Receive()->front().body().text == "of one version");
    REQUIRE_TRUE(plugin->drain(other, 1) == 1);
  }
  plugin->destroy_queue(other);
}

void APluginBringsTheParserOfJson(LoadedPlugin& plugin) {
  const auto is_array = [] {
    const auto document = decouple::internal::ParseByHook("[1]");
    return document != nullptr && document->value().kind() == decouple::internal::FieldKind::kArray;
  };
  REQUIRE_TRUE(is_array());
  plugin.Close();
  REQUIRE_TRUE(plugin.IsInMemory());
  REQUIRE_TRUE(is_array());
}

}  // namespace

int main(int count, char** arguments) {
  REQUIRE_TRUE(count >= 2);
  const std::string_view how = count > 2 ? arguments[2] : "";
  const void* const own = &decouple::internal::Process();  // the host comes first, so it may do without the plugin
  REQUIRE_TRUE(decouple::internal::ParseByHook("[1]") == nullptr);
  LoadedPlugin plugin(arguments[1]);
  if (how == "version") {
    EachVersionKeepsToItself(plugin);
    return 0;
  }
  REQUIRE_TRUE(plugin->process() == own);
  if (how == "json") {
    APluginBringsTheParserOfJson(plugin);
    return 0;
  }
  OneThreadGoesFromQueueToQueue(plugin);
  DeadLettersGoToAQueueOfThePlugin(plugin);
  EveryMessageOfManyThreadsArrivesOnce(plugin);
  APluginIsClosedBeforeItsThreadsEnd(plugin, how == "unloads");
  return 0;
}
