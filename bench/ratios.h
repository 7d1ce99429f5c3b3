// Two peers measured in turn, and what one is to the other.
#ifndef DECOUPLE_BENCH_RATIOS_H_
#define DECOUPLE_BENCH_RATIOS_H_

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

// Prints as usual and keeps the fastest run of each.
class Ratios : public benchmark::ConsoleReporter {
 public:
  Ratios() : ConsoleReporter(OO_Tabular) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      const std::string name = run.run_name.function_name;
      const double seconds = run.real_accumulated_time / static_cast<double>(run.iterations);
      const auto [entry, added] = fastest_.emplace(name, seconds);
      if (!added) entry->second = std::min(entry->second, seconds);
    }
    ConsoleReporter::ReportRuns(runs);
  }

  // What one benchmark of `name` is to another: 1 if both are as fast, less if `what` is slower than `than`.
  void PrintScaling(const std::string& name, const std::string& what, const std::string& than) const {
    const auto slower = fastest_.find(what + "/" + name);
    const auto faster = fastest_.find(than + "/" + name);
    if (slower == fastest_.end() || faster == fastest_.end()) return;
    std::printf("ratio %s_to_%s %.2f\n", what.c_str(), than.c_str(), faster->second / slower->second);
  }

  // A line for each pair of benchmarks called WHAT/OURS and WHAT/THEIRS. Names but the first are said.
  void Print(const std::vector<std::string>& our_names, const std::vector<std::string>& their_names) const {
    for (const std::string& our_name : our_names) {
      for (const std::string& their_name : their_names) {
        const std::string suffix = (our_name == our_names.front() ? "" : " of " + our_name) +
                                   (their_name == their_names.front() ? "" : " to " + their_name);
        PrintPair("/" + our_name, "/" + their_name, suffix);
      }
    }
  }

 private:
  void PrintPair(const std::string& ours, const std::string& theirs, const std::string& suffix) const {
    for (const auto& [name, seconds] : fastest_) {
      if (!name.ends_with(ours)) continue;
      const std::string what = name.substr(0, name.size() - ours.size());
      const auto peer = fastest_.find(what + theirs);
      if (peer == fastest_.end()) continue;
      std::printf("ratio %s %.2f%s\n", what.c_str(), peer->second / seconds, suffix.c_str());
    }
  }

  std::map<std::string, double> fastest_;
};

// What main() does once the benchmarks are registered. `scalings`: pairs of benchmarks, of ours, of which one is to be
// no slower than the other.
inline int RunAndPrintRatios(int argc, char** argv, const std::vector<std::string>& our_names,
                             const std::vector<std::string>& their_names,
                             const std::vector<std::pair<std::string, std::string>>& scalings = {}) {
  std::vector<char*> arguments(argv, argv + argc);
  std::string interleaving = "--benchmark_enable_random_interleaving=true";
  std::string repetitions = "--benchmark_repetitions=9";
  std::string shortly = "--benchmark_min_time=0.1";
  for (std::string* argument : {&interleaving, &repetitions, &shortly}) {
    arguments.insert(arguments.begin() + 1, argument->data());  // what is given after them wins
  }
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  Ratios ratios;
  benchmark::RunSpecifiedBenchmarks(&ratios);
  ratios.Print(our_names, their_names);
  for (const auto& [what, than] : scalings) ratios.PrintScaling(our_names.front(), what, than);
  return 0;
}

#endif  // DECOUPLE_BENCH_RATIOS_H_
