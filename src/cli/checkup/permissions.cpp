#include "cli/checkup/permissions.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "token/pin.h"

namespace trainseal::cli {

namespace {

namespace fs = std::filesystem;

std::optional<struct stat> status_of(const fs::path& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return status;
}

bool belongs_to_others(const struct stat& status) { return status.st_uid != 0 && status.st_uid != geteuid(); }

/// In a folder with the sticky bit, others can add files but not exchange them.
bool lets_others_exchange(const struct stat& folder) {
  const bool writable = (folder.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (folder.st_mode & S_ISVTX) == 0;
  return belongs_to_others(folder) || writable;
}

}  // namespace

void check_owner(Checkup& checkup, const std::string& name, const fs::path& file) {
  const auto status = status_of(file);
  if (!status) return;  // whoever reads it complains
  if (belongs_to_others(*status) || (status->st_mode & (S_IWGRP | S_IWOTH)) != 0)
    checkup.problem(name, {ErrorCode::settings_invalid,
                           text(file.native(), " can be changed by others"),
                           text("`chown root ", file.native(), "; chmod go-w ", file.native(), '`'),
                           {},
                           {}});
  std::error_code none;
  const fs::path folder = fs::absolute(file, none).parent_path();
  const auto around = status_of(folder);
  if (around && lets_others_exchange(*around))
    checkup.problem(name,
                    {ErrorCode::settings_invalid,
                     text(file.native(), " can be exchanged by others, who may write to ", folder.native()),
                     text("`chown root ", folder.native(), "; chmod go-w ", folder.native(), '`'),
                     {},
                     {}});
}

void check_pin_file(Checkup& checkup, const fs::path& file) {
  // The source has the rules; the PIN itself is dropped at once.
  const auto obtained = pin_from_file(file)->obtain({});
  if (!obtained) return checkup.problem("pin file", obtained.error());
  if (obtained->warning.empty()) return checkup.well("pin file", file.native());
  checkup.note("pin file", obtained->warning, text("`chmod 600 ", file.native(), '`'));
}

void check_softhsm_store(Checkup& checkup, const fs::path& store) {
  const auto around = status_of(store);
  if (!around) return;  // then the token is not there either
  const auto complain = [&](const fs::path& folder, std::string_view can) {
    checkup.problem("token", {ErrorCode::settings_invalid,
                              text("others can ", can, " the keys that SoftHSM keeps in ", folder.native()),
                              text("`chmod o-rwx ", folder.native(),
                                   "`; if somebody may have copied a key, make a new one"),
                              {},
                              {}});
  };
  if ((around->st_mode & S_IWOTH) != 0 && (around->st_mode & S_ISVTX) == 0) complain(store, "exchange");
  if ((around->st_mode & S_IXOTH) == 0) return;
  std::error_code none;
  for (const auto& token : fs::directory_iterator(store, none)) {
    const auto status = status_of(token.path());
    if (status && (status->st_mode & (S_IROTH | S_IWOTH | S_IXOTH)) != 0) complain(token.path(), "read");
  }
}

}  // namespace trainseal::cli
