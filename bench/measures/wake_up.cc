// The latency from a send to the thread that sleeps in its long poll; the peer is moodycamel's blocking queue.

#include <concurrentqueue/blockingconcurrentqueue.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "decouple/standard_queue.h"
#include "measures/measures.h"

namespace {

constexpr std::size_t kTimes = 1'000;

// send(time) sends, receive() waits and returns that time. The peers alternate, so that both see the same machine.
template <typename Send, typename Receive>
std::vector<std::int64_t> Latencies(Send send, Receive receive) {
  std::vector<std::int64_t> latencies;
  std::thread receiver([&] {
    for (std::size_t i = 0; i < kTimes; ++i) {
      const std::int64_t sent = receive();
      latencies.push_back(SteadyNanos() - sent);
    }
  });
  for (std::size_t i = 0; i < kTimes; ++i) {
    // Waits until the receiver has fallen asleep; the peer spins 10 000 times before.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    send(SteadyNanos());
  }
  receiver.join();
  std::sort(latencies.begin(), latencies.end());
  return latencies;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

void MeasureWakeUp() {
  std::vector<double> ours;
  std::vector<double> theirs;
  for (int i = 0; i < 7; ++i) {
    decouple::StandardQueue<std::int64_t> queue;
    ours.push_back(Percentile(Latencies([&](std::int64_t now) { queue.Send(now).IgnoreError(); },
                                        [&] {
                                          for (;;) {
                                            auto received = queue.Receive({.wait = absl::Seconds(20)});
                                            if (received->empty()) continue;
                                            const std::int64_t sent = received->front().body();
                                            received->Delete().IgnoreError();
                                            return sent;
                                          }
                                        }),
                              0.5));
    moodycamel::BlockingConcurrentQueue<std::int64_t> peer;
    theirs.push_back(Percentile(Latencies([&](std::int64_t now) { peer.enqueue(now); },
                                          [&] {
                                            std::int64_t sent = 0;
                                            while (!peer.wait_dequeue_timed(sent, std::chrono::seconds(20))) {
                                            }
                                            return sent;
                                          }),
                                0.5));
  }
  Print("wake_up", Median(ours) / 1e3, "us");
  Print("wake_up_of_moodycamel_blocking", Median(theirs) / 1e3, "us");
  Print("wake_up_to_moodycamel_blocking", Median(ours) / Median(theirs), "times");
}
