#include "cli/commands/trains.h"

#include <algorithm>

#include "base/shell_word.h"
#include "base/text.h"
#include "cli/train_name.h"
#include "engine/engine_transport.h"
#include "registry/registry_transport.h"
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

}  // namespace

namespace {

Result<std::shared_ptr<ImageTransport>> open_transport(const Places& places, const TrainName& name) {
  switch (name.form) {
    case TrainForm::oci_archive:
      return open_oci_archive(places.state, name.path);
    case TrainForm::docker_archive:
      return open_docker_archive(places.state, name.path, name.name);
    case TrainForm::engine:
      return open_engine(places.engine, name.name);
    case TrainForm::registry:
      return open_registry(places.registry, name.name);
    case TrainForm::folder:
    case TrainForm::layout:
      break;
  }
  return nullptr;
}

Result<std::optional<ImageRef>> image_ref(const Places& places, const TrainName& name) {
  if (name.form == TrainForm::folder) return std::nullopt;
  TRY(auto transport, open_transport(places, name));
  return ImageRef{name.path, std::move(transport), name.tag};
}

}  // namespace

Result<std::optional<ImageRef>> find_image_ref(const Places& places, const std::string& name) {
  TRY(const auto parsed, parse_train_name(name));
  return image_ref(places, parsed);
}

Result<std::optional<ImageRef>> find_base(const Places& places, const std::optional<std::string>& name) {
  if (!name) return std::nullopt;
  TRY(auto base, find_image_ref(places, *name));
  if (base) return base;
  return fail(ErrorCode::usage, text("--base ", quoted(*name), " is a folder, not an image"),
              "name the image that the train is built on, such as oci:PATH:base");
}

Result<std::unique_ptr<TrainStore>> open_store(const Places& places, const std::string& train,
                                               const std::optional<ImageRef>& base) {
  TRY(const auto name, parse_train_name(train));
  TRY(const auto image, image_ref(places, name));
  return image ? open_image_store(places.state, *image, base) : open_folder_store(places.state, name.path);
}

Result<ViewedTrain> open_view(const Places& places, const std::string& train) {
  TRY(const auto name, parse_train_name(train));
  TRY(const auto image, image_ref(places, name));
  const std::string form(form_name(name.form));
  if (!image) {
    TRY(auto view, open_folder_view(name.path));
    return ViewedTrain{std::move(view), form, nullptr, std::nullopt};
  }
  TRY(auto viewed, open_image_view(*image));
  return ViewedTrain{std::move(viewed.view), form, std::move(viewed.image), std::move(viewed.opened)};
}

Result<PreviousStages> PreviousStages::open(const Places& places, const std::vector<std::string>& trains) {
  PreviousStages stages;
  for (const auto& train : trains) {
    TRY(auto viewed, open_view(places, train));
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

void describe_image(Report& report, const std::optional<OpenedImage>& image) {
  if (!image) return;
  auto& field = report.fields["image"];
  field = {{"config_digest", "sha256:" + image->config_digest}, {"fixed_name", nullptr}};
  if (image->fixed_name.empty()) return report.line(text("Image:     config sha256:", image->config_digest));
  field["fixed_name"] = image->fixed_name;
  report.line(text("Image:     ", image->fixed_name, " – run it by that: a tag can be moved"));
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
