#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace trainseal::cli {

/// Asks a person at the controlling terminal, whatever standard input and output are.
class Terminal {
 public:
  /// None where there is no terminal.
  static std::optional<Terminal> open();

  void say(const std::string& untrusted_line) const;
  void say(const std::vector<std::vector<std::string>>& table_rows) const;

  /// Returns false, having said why, if the answer is no good: then the question comes again.
  using Accept = std::function<bool(const std::string& answer)>;
  /// Puts the question until `accept` is content. An empty answer is `preset`; `not_confirmed` if the person
  /// ends the input instead (Ctrl-D), or the terminal is gone.
  Result<void> ask(const std::string& question, const std::string& preset, const Accept& accept) const;
  /// Yes or no.
  Result<bool> confirm(const std::string& question, bool preset) const;

 private:
  explicit Terminal(UniqueFd fd) : fd_(std::move(fd)) {}
  std::optional<std::string> read_line() const;

  UniqueFd fd_;
};

}  // namespace trainseal::cli
