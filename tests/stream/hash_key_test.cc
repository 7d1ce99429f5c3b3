#include "decouple/hash_key.h"

#include <string>
#include <thread>

#include "absl/numeric/int128.h"
#include "stream_testing.h"

namespace decouple::testing {
namespace {

std::string Md5(const char* text) { return ToString(HashKeyOf(text)); }

TEST_CASE("a partition key's hash key is its MD5 as a number: the test suite of RFC 1321") {
  // Hexadecimal d41d8cd98f00b204e9800998ecf8427e, 0cc175b9c0f1b6a831c399e269772661, …
  CHECK(Md5("") == "281949768489412648962353822266799178366");
  CHECK(Md5("a") == "16955237001963240173058271559858726497");
  CHECK(Md5("abc") == "191415658344158766168031473277922803570");
  CHECK(Md5("message digest") == "331535486309434048055371704012530344400");
  CHECK(Md5("abcdefghijklmnopqrstuvwxyz") == "260512214639088308678894329322017382715");
}

TEST_CASE("the MD5 of keys of all lengths around its blocks is what other libraries compute") {
  std::string digests;  // of the texts of 0 to 299 bytes
  for (std::size_t size = 0; size < 300; ++size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text.push_back(static_cast<char>(size * 7 + i * 13));
    const absl::uint128 md5 = internal::Md5NumberOf(text);
    for (int shift = 120; shift >= 0; shift -= 8) digests.push_back(static_cast<char>(md5 >> shift));
  }
  CHECK(ToString(internal::Md5NumberOf(digests)) == "330559156460983761517923536102871903290");
}

TEST_CASE("a thread that hashes few keys takes no memory for them") {
  std::thread([] {
    for (int i = 0; i < 16; ++i) HashKeyOf("key");
    CHECK_FALSE(internal::RecentHashes::IsKept());
    HashKeyOf("key");
    CHECK(internal::RecentHashes::IsKept());
  }).join();
}

TEST_CASE("a key has the same hash each time, however many others are hashed in between") {
  const HashKey first = HashKeyOf("truck-7");
  for (int i = 0; i < 20'000; ++i) HashKeyOf("other-" + std::to_string(i));
  CHECK(HashKeyOf("truck-7") == first);
  CHECK(HashKeyOf("truck-7") == first);
  CHECK(ToString(first) == "205855158292037520142507080498638470199");
}

TEST_CASE("a thread's cache of hashes never returns another key's") {
  for (int round = 0; round < 2; ++round) {
    for (int i = 10'000; i < 30'000; ++i) {
      const std::string key = "key-" + std::to_string(i);
      if (HashKeyOf(key) != internal::Md5NumberOf(key)) FAIL(key);
    }
  }
}

TEST_CASE("a key goes to the shard to which the service sends it") {
  ManualClock clock;
  // In which of 2, 3, 4 and 5 equal ranges the MD5 is.
  const std::map<std::string, std::vector<std::uint64_t>> expected = {
      {"a", {0, 0, 0, 0}},       {"abc", {1, 1, 2, 2}},    {"message digest", {1, 2, 3, 4}},
      {"truck-7", {1, 1, 2, 3}}, {"user-1", {1, 2, 3, 4}}, {"abcdefghijklmnopqrstuvwxyz", {1, 2, 3, 3}}};
  for (std::size_t shards = 2; shards <= 5; ++shards) {
    auto stream = MakeStream<int>(clock, {.shards = shards});
    for (const auto& [key, numbers] : expected) {
      INFO(key << " among " << shards);
      CHECK(Put(stream, key, 1).shard_id == Number(numbers[shards - 2]));
    }
  }
}

TEST_CASE("hash keys are read and written as decimal numbers of 128 bits") {
  CHECK(ToString(HashKey(0)) == "0");
  CHECK(ToString(kLargestHashKey) == "340282366920938463463374607431768211455");
  CHECK(*ParseHashKey("0") == HashKey(0));
  CHECK(*ParseHashKey("340282366920938463463374607431768211455") == kLargestHashKey);
  CHECK(*ParseHashKey("170141183460469231731687303715884105728") == absl::MakeUint128(std::uint64_t{1} << 63, 0));
  for (const char* malformed : {"", "-1", "+1", " 1", "01", "0x1", "1e3", "340282366920938463463374607431768211456"}) {
    INFO(malformed);
    CHECK(ErrorIn(ParseHashKey(malformed)) == Error::kInvalidArgument);
  }
}

TEST_CASE("by the fast hash a key has the same shard each time, and keys spread over all shards") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 8, .partition_hash = PartitionHash::kFast});
  std::map<ShardId, int> of_shard;
  for (int i = 0; i < 8'000; ++i) {
    const std::string key = "key-" + std::to_string(i);
    const ShardId shard = Put(stream, key, i).shard_id;
    CHECK(Put(stream, key, i).shard_id == shard);
    ++of_shard[shard];
  }
  CHECK(of_shard.size() == 8);
  for (const auto& [shard, keys] : of_shard) {
    INFO(shard.ToString());
    CHECK(keys > 850);
    CHECK(keys < 1'150);
  }
}

}  // namespace
}  // namespace decouple::testing
