#include "cli/train_name.h"

#include <array>
#include <system_error>

#include "base/text.h"

namespace trainseal::cli {

namespace {

struct Form {
  std::string_view prefix;
  std::string_view meaning;
};

constexpr std::array kImageForms = {
    Form{"oci-archive:", "a tar of an OCI image layout"},
    Form{"docker-archive:", "the output of `docker save`"},
    Form{"docker-daemon:", "an image of the container engine"},
    Form{"docker://", "an image in a registry"},
};

constexpr std::string_view kKnownForms =
    "this build handles trains in folders and in OCI image layouts: give folder:PATH, a path that begins "
    "with /, "
    "./ or ../, or oci:PATH:TAG";

Result<void> check_path(std::string_view path, std::string_view prefix) {
  if (path.empty()) return fail(ErrorCode::usage, text("the name ", prefix, " lacks its path"));
  if (path.find('\0') != std::string_view::npos)
    return fail(ErrorCode::usage, "a path cannot hold a NUL byte");
  return {};
}

/// A tag is what follows the last `:` after the last `/`.
Result<TrainName> layout(std::string_view name) {
  const auto colon = name.rfind(':');
  const bool has_tag = colon != std::string_view::npos && name.find('/', colon) == std::string_view::npos;
  const std::string_view path = has_tag ? name.substr(0, colon) : name;
  TRY_DO(check_path(path, "oci:"));
  const std::string_view tag = has_tag ? name.substr(colon + 1) : "latest";
  if (tag.empty())
    return fail(ErrorCode::usage, text("the name ", quoted(text("oci:", name)), " lacks its tag"));
  return TrainName{path, std::string(tag)};
}

Result<TrainName> folder(std::string_view path) {
  TRY_DO(check_path(path, "folder:"));
  std::error_code none;
  if (std::filesystem::exists(std::filesystem::path(path) / "oci-layout", none))
    return fail(ErrorCode::usage, text(path, " is an OCI image layout, not a folder with a train in it"),
                text("its name is oci:", path, ":TAG"));
  return TrainName{path, std::nullopt};
}

}  // namespace

Result<TrainName> parse_train_name(std::string_view name) {
  if (name.empty()) return fail(ErrorCode::usage, "the train's name is empty", std::string(kKnownForms));
  if (name.starts_with("folder:")) return folder(name.substr(7));
  if (name.starts_with("oci:")) return layout(name.substr(4));
  if (name.starts_with('/') || name.starts_with("./") || name.starts_with("../")) return folder(name);
  if (name == "." || name == "..") return folder(name);
  if (name.starts_with("dir:"))
    return fail(ErrorCode::usage, text(quoted(name), " is no name of a train: dir: is skopeo's own layout"),
                text("a folder with train_config.json in it is folder:", name.substr(4)));
  for (const auto& form : kImageForms) {
    if (name.starts_with(form.prefix))
      return fail(ErrorCode::usage,
                  text(quoted(name), " names ", form.meaning, ", which this build cannot handle"),
                  std::string(kKnownForms));
  }
  std::error_code none;
  const bool is_folder = std::filesystem::is_directory(std::filesystem::path(name), none);
  return fail(ErrorCode::usage,
              text(quoted(name), " names an image of the container engine, which this build cannot handle"),
              is_folder ? text("the folder of that name is folder:", name) : std::string(kKnownForms));
}

}  // namespace trainseal::cli
