#include "cli/commands/trains.h"

#include <algorithm>

#include "base/text.h"
#include "cli/train_name.h"

namespace trainseal::cli {

namespace {

nlohmann::ordered_json path_json(std::optional<KeyPath> path) {
  if (!path) return nullptr;
  return name(*path);
}

std::string path_text(KeyPath path) {
  return path == KeyPath::native ? "natively" : "raw (RSA on the token, the padding in front of it)";
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_./:=,@%+").find(c) != std::string_view::npos;
}

std::string shell_word(const std::string& word) {
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return word;
  std::string quoted_word = "'";
  for (const char c : word) quoted_word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted_word + "'";
}

}  // namespace

Result<std::unique_ptr<TrainStore>> open_store(const StateFolder& state, const std::string& train) {
  TRY(const auto name, parse_train_name(train));
  return name.tag ? open_layout_store(state, name.path, *name.tag) : open_folder_store(state, name.path);
}

Result<std::unique_ptr<TrainView>> open_view(const std::string& train) {
  TRY(const auto name, parse_train_name(train));
  return name.tag ? open_layout_view(name.path, *name.tag) : open_folder_view(name.path);
}

Result<PreviousStages> PreviousStages::open(const std::vector<std::string>& trains) {
  PreviousStages stages;
  for (const auto& train : trains) {
    TRY(auto view, open_view(train));
    stages.views_.push_back(view.get());
    stages.owned_.push_back(std::move(view));
  }
  return stages;
}

std::filesystem::path real_path(const std::string& path) {
  std::error_code none;
  auto real = std::filesystem::canonical(path, none);
  if (!none) return real;
  return std::filesystem::absolute(path, none).lexically_normal();
}

void describe_token(Report& report, std::optional<KeyPath> unwrap, std::optional<KeyPath> sign) {
  report.fields["token"] = {{"unwrap", path_json(unwrap)}, {"sign", path_json(sign)}};
  std::string done;
  if (unwrap) done += text("unwrapped the train's key ", path_text(*unwrap));
  if (sign) done += text(done.empty() ? "" : ", ", "signed ", path_text(*sign));
  if (!done.empty()) report.line(text("Token:     ", done));
}

std::string command_line(const std::vector<std::string>& words) {
  std::string line = "trainseal";
  for (const auto& word : words) line += text(' ', shell_word(word));
  return line;
}

}  // namespace trainseal::cli
