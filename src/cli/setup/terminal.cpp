#include "cli/setup/terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/text.h"
#include "cli/output/text_layout.h"

namespace trainseal::cli {

namespace {

// A terminal hands out lines of up to 4096 bytes.
constexpr std::size_t kLineBytes = 4096;

std::string trimmed(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto first = line.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return std::string(line.substr(first, line.find_last_not_of(kBlanks) - first + 1));
}

}  // namespace

std::optional<Terminal> Terminal::open() {
  UniqueFd fd(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!fd) return std::nullopt;
  return Terminal(std::move(fd));
}

void Terminal::say(const std::string& untrusted_line) const {
  // A terminal that is gone shows at the next question.
  static_cast<void>(write_all(fd_.get(), as_bytes(text(printable(untrusted_line), '\n')), "/dev/tty",
                              ErrorCode::not_confirmed));
}

void Terminal::say(const std::vector<std::vector<std::string>>& table_rows) const {
  for (const auto& row : table(table_rows)) say(row);
}

std::optional<std::string> Terminal::read_line() const {
  std::array<char, kLineBytes> buffer{};
  ssize_t got = -1;
  do got = ::read(fd_.get(), buffer.data(), buffer.size());
  while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;
  return trimmed({buffer.data(), static_cast<std::size_t>(got)});
}

Result<void> Terminal::ask(const std::string& question, const std::string& preset,
                           const Accept& accept) const {
  const std::string prompt =
      text(printable(question), preset.empty() ? "" : text(" [", printable(preset), ']'), ": ");
  while (true) {
    TRY_DO(write_all(fd_.get(), as_bytes(prompt), "/dev/tty", ErrorCode::not_confirmed));
    const auto line = read_line();
    if (!line) {
      say("");
      return fail(ErrorCode::not_confirmed, "the setup was ended before its last question",
                  "nothing was changed; `trainseal setup` begins anew");
    }
    const std::string& answer = line->empty() ? preset : *line;
    if (answer.empty()) continue;
    if (accept(answer)) return {};
  }
}

Result<bool> Terminal::confirm(const std::string& question, bool preset) const {
  bool confirmed = false;
  TRY_DO(ask(text(question, " (yes or no)"), preset ? "yes" : "no", [&](const std::string& answer) {
    confirmed = answer == "yes" || answer == "y";
    if (confirmed || answer == "no" || answer == "n") return true;
    say("Please answer yes or no.");
    return false;
  }));
  return confirmed;
}

}  // namespace trainseal::cli
