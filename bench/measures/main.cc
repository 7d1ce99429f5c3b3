// Runs all measures; with the arguments `sends N` it only sends N messages, so that its system calls can be counted.

#include <cstdlib>
#include <string_view>

#include "measures/measures.h"

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "sends") {
    SendOnly(static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10)));
    return 0;
  }
  MeasureMemory();  // first, while nothing else has been allocated
  MeasureFlatness();
  MeasureExpiries();
  MeasureWakeUp();
  MeasureHops();
  MeasureFeatures();
  return 0;
}
