#include "cli/commands/trains.h"

#include <algorithm>

#include "base/text.h"
#include "cli/train_name.h"
#include "store/images/archives.h"

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

namespace {

std::unexpected<Error> not_built(const TrainName& name, std::string_view meaning) {
  std::error_code none;
  return fail(
      ErrorCode::usage,
      text(quoted(name.name), " names an image of ", meaning, ", which this build cannot handle"),
      std::filesystem::is_directory(name.name, none)
          ? text("the folder of that name is folder:", name.name)
          : "skopeo copy takes it into a layout or an archive: oci:PATH:TAG, docker-archive:FILE:NAME:TAG");
}

Result<std::shared_ptr<ImageTransport>> open_transport(const StateFolder& state, const TrainName& name) {
  switch (name.form) {
    case TrainForm::oci_archive:
      return open_oci_archive(state, name.path);
    case TrainForm::docker_archive:
      return open_docker_archive(state, name.path, name.name);
    case TrainForm::engine:
      return not_built(name, "the container engine");
    case TrainForm::registry:
      return not_built(name, "a registry");
    case TrainForm::folder:
    case TrainForm::layout:
      break;
  }
  return nullptr;
}

Result<std::optional<ImageRef>> image_ref(const StateFolder& state, const TrainName& name) {
  if (name.form == TrainForm::folder) return std::nullopt;
  TRY(auto transport, open_transport(state, name));
  return ImageRef{name.path, std::move(transport), name.tag};
}

}  // namespace

Result<std::optional<ImageRef>> find_image_ref(const StateFolder& state, const std::string& name) {
  TRY(const auto parsed, parse_train_name(name));
  return image_ref(state, parsed);
}

Result<std::optional<ImageRef>> find_base(const StateFolder& state, const std::optional<std::string>& name) {
  if (!name) return std::nullopt;
  TRY(auto base, find_image_ref(state, *name));
  if (base) return base;
  return fail(ErrorCode::usage, text("--base ", quoted(*name), " is a folder, not an image"),
              "name the image that the train is built on, such as oci:PATH:base");
}

Result<std::unique_ptr<TrainStore>> open_store(const StateFolder& state, const std::string& train,
                                               const std::optional<ImageRef>& base) {
  TRY(const auto name, parse_train_name(train));
  TRY(const auto image, image_ref(state, name));
  return image ? open_image_store(state, *image, base) : open_folder_store(state, name.path);
}

Result<ViewedTrain> open_view(const StateFolder& state, const std::string& train) {
  TRY(const auto name, parse_train_name(train));
  TRY(const auto image, image_ref(state, name));
  TRY(auto view, image ? open_image_view(*image) : open_folder_view(name.path));
  return ViewedTrain{std::move(view), std::string(form_name(name.form))};
}

Result<PreviousStages> PreviousStages::open(const StateFolder& state,
                                            const std::vector<std::string>& trains) {
  PreviousStages stages;
  for (const auto& train : trains) {
    TRY(auto viewed, open_view(state, train));
    stages.views_.push_back(viewed.view.get());
    stages.owned_.push_back(std::move(viewed.view));
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
