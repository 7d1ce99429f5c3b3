// Headers from outside the project that most test files include, compiled once for all of them.
#ifndef DECOUPLE_TESTS_PRECOMPILED_H_
#define DECOUPLE_TESTS_PRECOMPILED_H_

#include <openssl/md5.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/numeric/int128.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "catch.h"

#endif  // DECOUPLE_TESTS_PRECOMPILED_H_
