// ZeroMQ within one process: PUSH and PULL as a queue, PUB and SUB for fan-out. A message is forgotten once it is
// received.
#ifndef DECOUPLE_BENCH_PEERS_ZEROMQ_H_
#define DECOUPLE_BENCH_PEERS_ZEROMQ_H_

#include <benchmark/benchmark.h>
#include <zmq.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

class ZmqContext {
 public:
  ~ZmqContext() { zmq_ctx_term(context_); }
  void* get() const { return context_; }

 private:
  void* const context_ = zmq_ctx_new();
};

// A socket without a limit of messages, which is closed at once, without lingering.
class ZmqSocket {
 public:
  ZmqSocket(const ZmqContext& context, int type) : socket_(zmq_socket(context.get(), type)) {
    const int zero = 0;
    for (const int option : {ZMQ_LINGER, ZMQ_SNDHWM, ZMQ_RCVHWM}) {
      zmq_setsockopt(socket_, option, &zero, sizeof(zero));
    }
  }
  ZmqSocket(const ZmqSocket&) = delete;
  ZmqSocket& operator=(const ZmqSocket&) = delete;
  ~ZmqSocket() { zmq_close(socket_); }

  void Bind(const char* endpoint) { Check(zmq_bind(socket_, endpoint)); }
  void Connect(const char* endpoint) { Check(zmq_connect(socket_, endpoint)); }
  void SubscribeToAll() { Check(zmq_setsockopt(socket_, ZMQ_SUBSCRIBE, "", 0)); }

  template <typename Body>
  void Send(const Body& body) {
    if constexpr (std::is_same_v<Body, std::string>) {
      Check(zmq_send(socket_, body.data(), body.size(), 0));
    } else {
      Check(zmq_send(socket_, &body, sizeof(body), 0));
    }
  }

  std::size_t Receive() {
    char buffer[256];
    const int size = zmq_recv(socket_, buffer, sizeof(buffer), ZMQ_DONTWAIT);
    benchmark::DoNotOptimize(buffer);
    return size > 0 ? 1 : 0;
  }

 private:
  static void Check(int result) {
    if (result < 0) std::abort();
  }

  void* const socket_;
};

// Takes one thread that sends and one that receives, as a socket may be used by one thread at a time.
template <typename Body>
class ZeromqPeer {
 public:
  static constexpr const char* kName = "zeromq";

  ZeromqPeer() {
    pull_.Bind("inproc://bench");
    push_.Connect("inproc://bench");
  }

  class Sender {
   public:
    explicit Sender(ZeromqPeer& peer) : socket_(peer.push_) {}
    void Send(const Body& body) { socket_.Send(body); }

   private:
    ZmqSocket& socket_;
  };
  class Receiver {
   public:
    explicit Receiver(ZeromqPeer& peer) : socket_(peer.pull_) {}
    std::size_t Receive() { return socket_.Receive(); }

   private:
    ZmqSocket& socket_;
  };

 private:
  ZmqContext context_;
  ZmqSocket pull_{context_, ZMQ_PULL};
  ZmqSocket push_{context_, ZMQ_PUSH};
};

class ZeromqFanOutPeer {
 public:
  static constexpr const char* kName = "zeromq";

  explicit ZeromqFanOutPeer(std::size_t queues) {
    publisher_.Bind("inproc://bench");
    for (std::size_t i = 0; i < queues; ++i) {
      subscribers_.push_back(std::make_unique<ZmqSocket>(context_, ZMQ_SUB));
      subscribers_.back()->SubscribeToAll();
      subscribers_.back()->Connect("inproc://bench");
    }
    // Subscriptions are asynchronous: publish until every one has arrived.
    for (auto& subscriber : subscribers_) {
      do {
        publisher_.Send(std::size_t{0});
      } while (subscriber->Receive() == 0);
    }
    for (auto& subscriber : subscribers_) {
      while (subscriber->Receive() != 0) {
      }
    }
  }

  void Publish(std::size_t number) { publisher_.Send(number); }

  std::size_t ReceiveAll() {
    std::size_t received = 0;
    for (auto& subscriber : subscribers_) {
      while (subscriber->Receive() != 0) ++received;
    }
    return received;
  }

 private:
  ZmqContext context_;
  ZmqSocket publisher_{context_, ZMQ_PUB};
  std::vector<std::unique_ptr<ZmqSocket>> subscribers_;
};

#endif  // DECOUPLE_BENCH_PEERS_ZEROMQ_H_
