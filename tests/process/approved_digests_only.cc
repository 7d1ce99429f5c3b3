// Partition keys and contents are hashed also where OpenSSL allows approved digests only (FIPS), or has come to its
// end: neither hash keeps a secret.

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <string>

#include "decouple/fifo_queue.h"
#include "decouple/stream.h"
#include "process_testing.h"

namespace decouple::testing {
namespace {

void PutAndSend(int number) {
  auto stream = Stream<int>::Create({}).value();
  REQUIRE_TRUE(stream.Put("a key", 1).ok());
  REQUIRE_TRUE(ToString(HashKeyOf("truck-7")) == "205855158292037520142507080498638470199");
  auto queue = FifoQueue<std::string>::Create({.content_based_deduplication = true}).value();
  const std::string text = "text " + std::to_string(number);
  REQUIRE_TRUE(queue.Send(std::string(text), {.group = "group"}).ok());
  REQUIRE_TRUE(queue.Send(std::string(text), {.group = "group"}).ok());  // by its content it is the same
  REQUIRE_TRUE(queue.Counts().ready == 1);
  REQUIRE_TRUE(ContentHashOf(std::string("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace

PROCESS_TEST(approved_digests_only) {
  REQUIRE_TRUE(EVP_set_default_properties(nullptr, "fips=yes") == 1);
  REQUIRE_TRUE(EVP_MD_fetch(nullptr, "MD5", nullptr) == nullptr);
  PutAndSend(1);
  OPENSSL_cleanup();
  PutAndSend(2);
}

}  // namespace decouple::testing
