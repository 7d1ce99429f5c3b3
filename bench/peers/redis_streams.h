// Redis Streams over a Unix socket, the nearest system with the same semantics: XADD, XREADGROUP and XACK, in batches
// of ten on one connection; the stream is trimmed to some 10 000 entries. The peer starts and stops the server, which
// writes nothing to disk.
#ifndef DECOUPLE_BENCH_PEERS_REDIS_STREAMS_H_
#define DECOUPLE_BENCH_PEERS_REDIS_STREAMS_H_

#include <hiredis.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

class RedisStreamsPeer {
 public:
  static constexpr const char* kName = "redis";

  RedisStreamsPeer() {
    std::string directory = (std::filesystem::temp_directory_path() / "bench-XXXXXX").string();
    if (mkdtemp(directory.data()) == nullptr) std::abort();
    directory_ = directory;
    const std::string socket = directory + "/redis.sock";
    server_ = fork();
    if (server_ == 0) {
      execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket.c_str(), "--save", "",
             "--appendonly", "no", "--dir", directory.c_str(), "--logfile", "/dev/null", nullptr);
      _exit(127);
    }
    while (connection_ == nullptr) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      connection_ = redisConnectUnix(socket.c_str());
      if (connection_ != nullptr && connection_->err == 0) break;
      if (connection_ != nullptr) redisFree(connection_);
      connection_ = nullptr;
      if (waitpid(server_, nullptr, WNOHANG) != 0) std::abort();  // redis-server is not installed, or did not start
    }
    freeReplyObject(redisCommand(connection_, "XGROUP CREATE s g $ MKSTREAM"));
  }
  RedisStreamsPeer(const RedisStreamsPeer&) = delete;
  RedisStreamsPeer& operator=(const RedisStreamsPeer&) = delete;

  ~RedisStreamsPeer() {
    redisFree(connection_);
    kill(server_, SIGTERM);
    waitpid(server_, nullptr, 0);
    std::filesystem::remove_all(directory_);
  }

  // Sends, receives and acknowledges ten messages at once. Returns the number received.
  std::size_t CycleOfTen(std::size_t number) {
    for (int i = 0; i < 10; ++i) {
      redisAppendCommand(connection_, "XADD s MAXLEN ~ 10000 * b %b", &number, sizeof(number));
    }
    redisAppendCommand(connection_, "XREADGROUP GROUP g c COUNT 10 STREAMS s >");
    for (int i = 0; i < 10; ++i) freeReplyObject(Reply());
    redisReply* const read = Reply();
    std::vector<const char*> acknowledge = {"XACK", "s", "g"};
    std::vector<std::size_t> lengths = {4, 1, 1};
    if (read->type == REDIS_REPLY_ARRAY) {
      const redisReply* const messages = read->element[0]->element[1];
      for (std::size_t i = 0; i < messages->elements; ++i) {
        const redisReply* const id = messages->element[i]->element[0];
        acknowledge.push_back(id->str);
        lengths.push_back(id->len);
      }
    }
    redisAppendCommandArgv(connection_, static_cast<int>(acknowledge.size()), acknowledge.data(), lengths.data());
    freeReplyObject(Reply());
    freeReplyObject(read);
    return acknowledge.size() - 3;
  }

 private:
  redisReply* Reply() {
    void* reply = nullptr;
    if (redisGetReply(connection_, &reply) != REDIS_OK) std::abort();
    return static_cast<redisReply*>(reply);
  }

  std::string directory_;
  pid_t server_ = -1;
  redisContext* connection_ = nullptr;
};

#endif  // DECOUPLE_BENCH_PEERS_REDIS_STREAMS_H_
