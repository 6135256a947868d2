#include "cli/output/observer.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstdio>

#include "base/text.h"
#include "cli/output/text_layout.h"

namespace trainseal::cli {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kQuietStart{1000};
constexpr milliseconds kBetweenDraws{100};

std::uint64_t milliseconds_since(steady_clock::time_point start) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(steady_clock::now() - start).count());
}

std::string bar(std::uint64_t done, std::uint64_t total) {
  constexpr std::size_t kWidth = 24;
  const auto filled =
      static_cast<std::size_t>(static_cast<double>(done) / static_cast<double>(total) * kWidth);
  return text('[', std::string(filled, '#'), std::string(kWidth - filled, '-'), ']');
}

}  // namespace

CommandObserver::CommandObserver(const Log& log, Style style, Follower* follower)
    : log_(log), style_(style), follower_(follower), is_terminal_(isatty(STDERR_FILENO) == 1) {}

void CommandObserver::step_started(std::string_view step) {
  steps_.push_back({std::string(step), false, std::nullopt, std::nullopt});
  step_starts_.push_back(steady_clock::now());
  log_.line(LogLevel::debug, step, {{"state", "started"}});
  if (follower_ != nullptr) follower_->step_started(steps_.back());
}

void CommandObserver::step_ended(std::string_view step, bool ok, std::uint64_t bytes, bool confidential) {
  clear_line();
  const auto ended = std::ranges::find(steps_.rbegin(), steps_.rend(), step, &StepReport::name);
  assert(ended != steps_.rend());
  ended->ok = ok;
  if (confidential) {
    log_.line(LogLevel::info, step, {{"ok", ok}});
  } else {
    ended->ms = milliseconds_since(step_starts_[static_cast<std::size_t>(steps_.rend() - ended) - 1]);
    ended->bytes = bytes;
    log_.line(LogLevel::info, step, {{"ok", ok}, {"ms", *ended->ms}, {"bytes", bytes}});
  }
  if (follower_ != nullptr) follower_->step_ended(*ended);
}

void CommandObserver::progress(std::uint64_t done_bytes, std::uint64_t total_bytes) {
  if (follower_ != nullptr) follower_->progress(done_bytes, total_bytes);
  if (!style_.show_progress || !is_terminal_ || steps_.empty() || total_bytes == 0) return;
  const auto now = steady_clock::now();
  if (now - step_starts_.back() < kQuietStart || now - drawn_ < kBetweenDraws) return;
  drawn_ = now;
  draw(std::min(done_bytes, total_bytes), total_bytes);
}

void CommandObserver::draw(std::uint64_t done_bytes, std::uint64_t total_bytes) {
  const auto percent =
      static_cast<unsigned>(static_cast<double>(done_bytes) / static_cast<double>(total_bytes) * 100);
  const auto line = text("\r\x1b[K", steps_.back().name, ' ', bar(done_bytes, total_bytes), ' ', percent,
                         " % of ", size_text(total_bytes));
  std::fputs(line.c_str(), stderr);
  line_drawn_ = true;
}

void CommandObserver::clear_line() {
  if (line_drawn_) std::fputs("\r\x1b[K", stderr);
  line_drawn_ = false;
}

void CommandObserver::warning(const std::string& sentence) {
  clear_line();
  if (std::ranges::find(warnings_, sentence) != warnings_.end()) return;
  warnings_.push_back(sentence);
  if (follower_ != nullptr) follower_->warning(sentence);
  if (style_.show_warnings) std::fputs(paragraph("warning: ", sentence).c_str(), stderr);
}

void CommandObserver::notice(const std::string& sentence) {
  clear_line();
  if (style_.show_progress) std::fputs(paragraph("note: ", sentence).c_str(), stderr);
}

}  // namespace trainseal::cli
