// Says what kind of event a line of a log reports. Knows dpkg's log and both formats of syslog; all else is "other".

#ifndef DECOUPLE_EXAMPLES_LOG_LINE_H_
#define DECOUPLE_EXAMPLES_LOG_LINE_H_

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

inline std::vector<std::string_view> FirstWords(std::string_view line, std::size_t most) {
  std::vector<std::string_view> words;
  while (words.size() < most) {
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) break;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

// Whether `word` begins like `pattern`, in which 0 stands for any digit.
inline bool StartsLike(std::string_view word, std::string_view pattern) {
  return word.size() >= pattern.size() &&
         std::equal(pattern.begin(), pattern.end(), word.begin(), [](char expected, char c) {
           return expected == '0' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == expected;
         });
}

// The program's name: of "sshd[812]:" it is sshd.
inline std::string ProgramOf(std::string_view word) { return std::string(word.substr(0, word.find_first_of("[:"))); }

inline std::string KindOf(std::string_view line) {
  const auto words = FirstWords(line, 5);
  if (words.empty()) return "blank";
  if (words.size() >= 3 && StartsLike(words[0], "0000-00-00") && StartsLike(words[1], "00:00:00")) {
    const bool has_detail = words[2] == "status" && words.size() > 3;  // dpkg: status installed, status unpacked, …
    return has_detail ? "status " + std::string(words[3]) : std::string(words[2]);
  }
  if (words.size() >= 3 && StartsLike(words[0], "0000-00-00T00:00:00")) return ProgramOf(words[2]);
  if (words.size() >= 5 && StartsLike(words[2], "00:00:00")) return ProgramOf(words[4]);
  return "other";
}

#endif  // DECOUPLE_EXAMPLES_LOG_LINE_H_
