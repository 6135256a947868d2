#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/output/observer.h"
#include "protocol/station.h"

namespace trainseal::cli {

/// What a command that did its work has to say, for a program and for a person. Whatever others may have
/// written in it is made printable when it is shown.
struct Report {
  nlohmann::ordered_json fields =
      nlohmann::ordered_json::object();      ///< beside `ok`, `command`, `steps`, `warnings`
  std::map<std::string, std::string> texts;  ///< more fields: texts of ours that have several lines
  std::vector<std::string> lines;
  std::optional<Error> problem;  ///< the findings are not good: the command fails with this behind them

  void line(std::string text) { lines.push_back(std::move(text)); }
  /// What to do now: a sentence, and a command that can be copied, on a line of its own.
  void next(const std::string& sentence, const std::string& command);
  /// The lines of a text of ours, or of what has been checked to be plain text, such as PEM.
  void add_text(std::string_view lines_of_text);
  /// The same, and the whole as the field `name`.
  void add_text_field(const std::string& name, const std::string& lines_of_text);
  void add_table(const std::vector<std::vector<std::string>>& rows);
};

/// `train` and `stop` as every report about a train has them (CONTRACT "Output"); `form` may be empty.
void describe_train(Report& report, const TrainSummary& train, std::string_view form);
/// `readers`: everybody who will be able to read the next results.
void describe_readers(Report& report, const TrainSummary& train);

/// Writes a report or an error to standard output (errors for people to standard error) and knows the exit
/// status.
class Reporter {
 public:
  struct Style {
    bool json;
  };
  Reporter(std::string command, Style style, const CommandObserver& observer)
      : command_(std::move(command)), style_(style), observer_(observer) {}

  int show(const Report& report) const;
  int show(const Error& error) const;

  /// All that is to be shown, whatever the style, for who shows it elsewhere.
  struct Shown {
    int status;             ///< the exit status
    std::string json;       ///< without a line feed
    std::string text;       ///< for standard output
    std::string complaint;  ///< for standard error
  };
  Shown render(const Result<Report>& outcome) const;

 private:
  nlohmann::ordered_json envelope(bool ok, const nlohmann::ordered_json& fields,
                                  const std::map<std::string, std::string>& texts = {}) const;
  void tell(const Error& error) const;
  std::string json_of(const Report& report) const;
  std::string json_of(const Error& error) const;

  std::string command_;
  Style style_;
  const CommandObserver& observer_;
};

}  // namespace trainseal::cli
