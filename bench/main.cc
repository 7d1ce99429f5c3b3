// Runs the benchmarks that the command line asks for; bench/run interleaves the peers in random order.

#include <benchmark/benchmark.h>

#include "benchmarks.h"

int main(int argc, char** argv) {
  RegisterCycles();
  RegisterRedis();
  RegisterFanOut();
  RegisterFifo();
  RegisterStreams();
  RegisterFilters();
  RegisterClocks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
