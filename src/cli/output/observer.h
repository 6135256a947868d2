#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "protocol/station.h"

namespace trainseal::cli {

/// Who is told what a `CommandObserver` sees, besides the person. Thread-safe.
class Follower;

/// Tells a person how a command goes: a log line for each step, warnings at once, a progress bar where
/// standard error is a terminal and the work takes longer than a second. Keeps steps and warnings for the
/// report.
class CommandObserver final : public Observer {
 public:
  struct StepReport {
    std::string name;
    bool ok = false;
    std::optional<std::uint64_t> ms;     ///< none for confidential steps
    std::optional<std::uint64_t> bytes;  ///< none for confidential steps
  };
  /// What goes to standard error besides the log.
  struct Style {
    bool show_warnings;
    bool show_progress;  ///< notices, and the bar where standard error is a terminal
  };

  CommandObserver(const Log& log, Style style, Follower* follower = nullptr);

  void step_started(std::string_view step) override;
  void step_ended(std::string_view step, bool ok, std::uint64_t bytes, bool confidential) override;
  void progress(std::uint64_t done_bytes, std::uint64_t total_bytes) override;
  void warning(const std::string& sentence) override;
  /// Something that is no warning, e.g. what recovery has done.
  void notice(const std::string& sentence);

  const std::vector<StepReport>& steps() const { return steps_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  const Log& log() const { return log_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  void draw(std::uint64_t done_bytes, std::uint64_t total_bytes);
  void clear_line();

  const Log& log_;
  Style style_;
  Follower* follower_;
  bool is_terminal_;
  Time drawn_;
  bool line_drawn_ = false;
  std::vector<StepReport> steps_;  ///< in the order in which they began; one may begin while another goes on
  std::vector<Time> step_starts_;
  std::vector<std::string> warnings_;
};

class Follower {
 public:
  virtual ~Follower() = default;
  virtual void step_started(const CommandObserver::StepReport& step) = 0;
  virtual void step_ended(const CommandObserver::StepReport& step) = 0;
  virtual void progress(std::uint64_t done_bytes, std::uint64_t total_bytes) = 0;
  virtual void warning(const std::string& sentence) = 0;
};

}  // namespace trainseal::cli
