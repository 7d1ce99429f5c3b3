// MD5 (RFC 1321), by which partition keys are hashed, and SHA-256 (FIPS 180-4), by which contents of bodies are
// compared.
//
// They are libcrypto's, called by its low-level functions: these work on memory of the caller's alone. EVP, which its
// manual prefers, has state of the thread and of the process that ends before the thread and the process do, so that a
// destructor which runs after main() could not send; it also refuses MD5 where only approved digests are allowed, and a
// partition key needs none, as it chooses a shard and keeps no secret. The functions are marked as deprecated since
// OpenSSL 3.0, and there in all of its builds but those that leave out what is deprecated.

#ifndef DECOUPLE_INTERNAL_BASE_DIGEST_H_
#define DECOUPLE_INTERNAL_BASE_DIGEST_H_

#include <openssl/md5.h>
#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace decouple::inline v0_1::internal {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

// These functions cannot fail, and so their results say nothing.

inline std::array<unsigned char, MD5_DIGEST_LENGTH> Md5Of(std::string_view text) {
  std::array<unsigned char, MD5_DIGEST_LENGTH> digest;
  MD5_CTX state;
  MD5_Init(&state);
  MD5_Update(&state, text.data(), text.size());
  MD5_Final(digest.data(), &state);
  return digest;
}

// A SHA-256 under construction. Must be used by one thread at a time.
class Sha256 {
 public:
  using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

  Sha256() { SHA256_Init(&state_); }

  void Add(const void* bytes, std::size_t size) { SHA256_Update(&state_, bytes, size); }

  // The digest of all that was added. Nothing may be added afterwards.
  Digest Finish() {
    Digest digest;
    SHA256_Final(digest.data(), &state_);
    return digest;
  }

 private:
  SHA256_CTX state_;
};

#pragma GCC diagnostic pop

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_DIGEST_H_
