// Every class template of the library, whole: a strict user's compiler sees each of its functions.

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "decouple/decouple.h"

template class decouple::StandardQueue<int>;
template class decouple::FifoQueue<std::string>;
template class decouple::Delivery<int>;
template class decouple::Deliveries<std::string>;
template class decouple::Topic<int>;
template class decouple::FifoTopic<std::string>;
template class decouple::Stream<int>;
template class decouple::ConsumerGroup<int>;
