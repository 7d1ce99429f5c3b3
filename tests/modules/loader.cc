// A program that does not use the library, and loads two plugins that do, and that share a queue.
//
//   loader PLUGIN PLUGIN
//   loader PLUGIN PLUGIN apart     the plugins include different revisions, and share nothing

#include <atomic>
#include <thread>

#include "loaded_plugin.h"
#include "process_testing.h"
#include "shared_queue.h"

namespace {

void EachPluginKeepsToItself(const LoadedPlugin& first, const LoadedPlugin& second) {
  REQUIRE_TRUE(first->process() != second->process());
  std::thread([&] {
    void* const of_first = first->make_queue();
    void* const of_second = second->make_queue();
    for (int i = 0; i < 1'000; ++i) {
      REQUIRE_TRUE(first->alternate(of_first, 1));
      REQUIRE_TRUE(second->alternate(of_second, 1));
    }
    REQUIRE_TRUE(first->has_record() && second->has_record());
    REQUIRE_TRUE(first->drain(of_first, 1'000) == 1'000);
    REQUIRE_TRUE(second->drain(of_second, 1'000) == 1'000);
    first->destroy_queue(of_first);
    second->destroy_queue(of_second);
  }).join();
}

}  // namespace

int main(int count, char** arguments) {
  REQUIRE_TRUE(count >= 3);
  if (count > 3) {
    EachPluginKeepsToItself(LoadedPlugin(arguments[1]), LoadedPlugin(arguments[2]));
    return 0;
  }
  constexpr int kMessages = 20'000;
  LoadedPlugin second(arguments[2]);
  std::thread late;
  std::atomic<int> step{0};
  const auto reach = [&](int reached) {
    step.store(reached);
    step.notify_all();
  };
  const auto await = [&](int awaited) {
    for (int now = step.load(); now < awaited; now = step.load()) step.wait(now);
  };
  {
    // Used first, and so the one that has what is one for all.
    LoadedPlugin first(arguments[1]);
    void* const made = first->process();
    REQUIRE_TRUE(second->process() == made);
    void* const queue = first->make_queue();
    REQUIRE_TRUE(second->alternate(queue, kMessages));
    REQUIRE_TRUE(first->drain(queue, kMessages) == kMessages);
    std::thread sends([&] { first->send(queue, kMessages); });
    REQUIRE_TRUE(second->drain(queue, kMessages) == kMessages);
    sends.join();
    first->destroy_queue(queue);
    late = std::thread([&] {
      first->destroy_queue(first->make_queue());
      void* const own = second->make_queue();
      first->send(own, 1);
      reach(1);
      await(2);
      REQUIRE_TRUE(second->drain(own, 1) == 1);
      second->destroy_queue(own);
    });
    void* const meanwhile = second->make_queue();
    REQUIRE_TRUE(first->alternate(meanwhile, kMessages));
    second->destroy_queue(meanwhile);
    await(1);
  }
  reach(2);
  late.join();
  // Threads go on to find their records, and records to come back.
  for (int i = 0; i < 100; ++i) {
    std::thread([&] {
      void* const queue = second->make_queue();
      second->send(queue, 1);
      REQUIRE_TRUE(second->drain(queue, 1) == 1);
      second->destroy_queue(queue);
    }).join();
  }
  return 0;
}
