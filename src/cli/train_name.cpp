#include "cli/train_name.h"

#include <array>
#include <optional>
#include <system_error>

#include "base/text.h"
#include "image/image_name.h"

namespace trainseal::cli {

namespace {

constexpr std::string_view kDefaultTag = "latest";
constexpr std::string_view kKnownForms =
    "give folder:PATH, a path that begins with /, ./ or ../, oci:PATH:TAG, oci-archive:FILE:TAG, "
    "docker-archive:FILE:NAME:TAG, docker-daemon:NAME:TAG or docker://HOST/NAME:TAG";
// Other programs' names, which would pass for images of an engine.
constexpr std::array<std::string_view, 4> kForeignForms = {"dir:", "containers-storage:", "ostree:", "sif:"};

Result<void> check_path(std::string_view path, std::string_view prefix) {
  if (path.empty())
    return fail(ErrorCode::usage, text("the name ", prefix, " lacks its path"), std::string(kKnownForms));
  if (path.find('\0') != std::string_view::npos)
    return fail(ErrorCode::usage, "a path cannot hold a NUL byte");
  return {};
}

/// What is before and after the last `:` that comes after the last `/`; the default tag where there is none.
struct Tagged {
  std::string_view name, tag;
};
Result<Tagged> split_tag(std::string_view name, std::string_view prefix) {
  const auto colon = name.rfind(':');
  const bool has_tag = colon != std::string_view::npos && name.find('/', colon) == std::string_view::npos;
  if (!has_tag) return Tagged{name, kDefaultTag};
  if (colon + 1 == name.size())
    return fail(ErrorCode::usage, text("the name ", quoted(text(prefix, name)), " lacks its tag"));
  return Tagged{name.substr(0, colon), name.substr(colon + 1)};
}

Result<TrainName> path_and_tag(TrainForm form, std::string_view rest, std::string_view prefix) {
  TRY(const Tagged tagged, split_tag(rest, prefix));
  TRY_DO(check_path(tagged.name, prefix));
  TRY_DO(check_tag(tagged.tag));
  return TrainName{form, tagged.name, {}, std::string(tagged.tag)};
}

/// The file ends at the first `:`, as for skopeo.
Result<TrainName> docker_archive(std::string_view rest) {
  const auto colon = rest.find(':');
  const std::string_view path = rest.substr(0, colon);
  TRY_DO(check_path(path, "docker-archive:"));
  if (colon == std::string_view::npos)
    return TrainName{TrainForm::docker_archive, path, {}, std::string(kDefaultTag)};
  TRY(const Tagged tagged, split_tag(rest.substr(colon + 1), "docker-archive:…:"));
  TRY_DO(check_repository(tagged.name));
  TRY_DO(check_tag(tagged.tag));
  return TrainName{TrainForm::docker_archive, path, std::string(tagged.name), std::string(tagged.tag)};
}

Result<TrainName> image(TrainForm form, std::string_view rest, std::string_view prefix) {
  TRY(const Tagged tagged, split_tag(rest, prefix));
  TRY_DO(check_repository(tagged.name));
  TRY_DO(check_tag(tagged.tag));
  return TrainName{form, {}, std::string(tagged.name), std::string(tagged.tag)};
}

Result<TrainName> registry(std::string_view rest) {
  TRY(auto name, image(TrainForm::registry, rest, "docker://"));
  if (names_registry(name.name)) return name;
  return fail(ErrorCode::usage, text(quoted(text("docker://", rest)), " names no registry"),
              "a registry's image is docker://HOST/NAME:TAG, an engine's is docker-daemon:NAME:TAG");
}

Result<TrainName> folder(std::string_view path) {
  TRY_DO(check_path(path, "folder:"));
  std::error_code none;
  if (std::filesystem::exists(std::filesystem::path(path) / "oci-layout", none))
    return fail(ErrorCode::usage, text(path, " is an OCI image layout, not a folder with a train in it"),
                text("its name is oci:", path, ":TAG"));
  return TrainName{TrainForm::folder, path, {}, {}};
}

/// An engine's image, and not something else whose name looks like one.
Result<void> check_bare_name(std::string_view name) {
  for (const auto form : kForeignForms)
    if (name.starts_with(form))
      return fail(ErrorCode::usage, text(quoted(name), " is no name of a train: ", form, " is skopeo's own"),
                  form == "dir:"
                      ? text("a folder with train_config.json in it is folder:", name.substr(form.size()))
                      : std::string(kKnownForms));
  if (name.find('@') != std::string_view::npos)
    return fail(ErrorCode::usage, text(quoted(name), " names a digest, and a train is named by its tag"),
                "give NAME:TAG; `trainseal verify` shows the digest of what it has looked at");
  std::error_code none;
  const std::string_view file = name.substr(0, name.find(':'));
  if (std::filesystem::exists(file, none))
    return fail(ErrorCode::usage,
                text(quoted(name), " could be the file or folder ", file, " or an engine's image"),
                text("give ./", name, ", oci:./", name, " or oci-archive:./", name,
                     " for the one, docker-daemon:", name, " for the other"));
  return {};
}

/// What follows `prefix`, if the name begins with it.
std::optional<std::string_view> after(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  return name.substr(prefix.size());
}

}  // namespace

std::string_view form_name(TrainForm form) {
  switch (form) {
    case TrainForm::folder:
      return "folder";
    case TrainForm::layout:
      return "oci";
    case TrainForm::oci_archive:
      return "oci-archive";
    case TrainForm::docker_archive:
      return "docker-archive";
    case TrainForm::engine:
      return "docker-daemon";
    case TrainForm::registry:
      return "docker";
  }
  return {};
}

Result<TrainName> parse_train_name(std::string_view name) {
  if (name.empty()) return fail(ErrorCode::usage, "the train's name is empty", std::string(kKnownForms));
  if (const auto rest = after(name, "folder:")) return folder(*rest);
  if (const auto rest = after(name, "oci:")) return path_and_tag(TrainForm::layout, *rest, "oci:");
  if (const auto rest = after(name, "oci-archive:"))
    return path_and_tag(TrainForm::oci_archive, *rest, "oci-archive:");
  if (const auto rest = after(name, "docker-archive:")) return docker_archive(*rest);
  if (const auto rest = after(name, "docker-daemon:"))
    return image(TrainForm::engine, *rest, "docker-daemon:");
  if (const auto rest = after(name, "docker://")) return registry(*rest);
  if (name.starts_with('/') || name.starts_with("./") || name.starts_with("../")) return folder(name);
  if (name == "." || name == "..") return folder(name);
  TRY_DO(check_bare_name(name));
  return image(TrainForm::engine, name, "");
}

}  // namespace trainseal::cli
