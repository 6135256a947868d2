#include "cli/checkup/checkup.h"

#include <algorithm>

#include "base/text.h"
#include "cli/output/hints.h"

namespace trainseal::cli {

void Checkup::problem(const std::string& name, Error error) {
  add(name, "problem", error.what, hint_for(error));
  if (!report_.problem) report_.problem = std::move(error);
}

Report Checkup::report() && {
  report_.fields["checks"] = std::move(checks_);
  report_.line(report_.problem ? "The first problem first: later ones may go away with it."
               : has_notes_    ? "No problem was found. Are the notes meant so?"
                               : "All is well.");
  return std::move(report_);
}

void Checkup::add(const std::string& name, const std::string& state, const std::string& message,
                  const std::string& hint) {
  checks_.push_back({{"name", name}, {"state", state}, {"message", message}, {"hint", hint}});
  constexpr std::size_t kStateColumns = 9;
  constexpr std::size_t kNameColumns = 10;
  const auto padded = [](const std::string& word, std::size_t width) {
    return word + std::string(width - std::min(width, word.size()), ' ');
  };
  report_.line(text(padded(state, kStateColumns), padded(name, kNameColumns), message));
  if (!hint.empty()) report_.line(text(std::string(kStateColumns + kNameColumns, ' '), "-> ", hint));
}

}  // namespace trainseal::cli
