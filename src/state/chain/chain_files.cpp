#include "state/chain/chain_files.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>

#include "base/text.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

constexpr std::string_view kSuffix = ".jsonl";

/// A lock of the open file, not of the process: it may be asked for without being taken.
struct flock write_lock() {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

struct OpenFile {
  UniqueFd fd;
  std::filesystem::path path;
  struct stat info{};
};

/// None if it is not there.
Result<std::optional<OpenFile>> open_if_there(const std::filesystem::path& path) {
  OpenFile file{UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)), path};
  if (!file.fd && errno == ENOENT) return std::nullopt;
  if (!file.fd || fstat(file.fd.get(), &file.info) != 0)
    return state_failure(system_error(ErrorCode::state_failed, "open", path, errno, "open"));
  return file;
}

bool is_same(const OpenFile& one, const OpenFile& other) {
  return one.info.st_ino == other.info.st_ino && one.info.st_dev == other.info.st_dev;
}

/// The number in `<name>-<number>.jsonl`; none if `file` is another one's name.
std::optional<std::uint64_t> archived_number(std::string_view file, std::string_view name) {
  const bool is_ours = file.size() > name.size() + kSuffix.size() && file.starts_with(name) &&
                       file[name.size()] == '-' && file.ends_with(kSuffix);
  if (!is_ours) return std::nullopt;
  file.remove_prefix(name.size() + 1);
  file.remove_suffix(kSuffix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(file.data(), file.data() + file.size(), number);
  if (error != std::errc() || end != file.data() + file.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace

std::filesystem::path ChainFiles::archived(std::uint64_t first_seq) const {
  return folder_ / text(name_, '-', first_seq, kSuffix);
}

Result<std::vector<ArchivedFile>> ChainFiles::archived() const {
  TRY(const auto paths, files_in(folder_, kSuffix));
  std::vector<ArchivedFile> files;
  for (const auto& path : paths) {
    if (const auto number = archived_number(path.filename().native(), name_))
      files.push_back({*number, path});
  }
  std::ranges::sort(files, {}, &ArchivedFile::first_seq);
  return files;
}

Result<void> ChainFiles::for_each(
    std::uint64_t from_seq,
    const std::function<Result<void>(int fd, const std::filesystem::path& path)>& take) const {
  // The current one first: it may be archived meanwhile, and is not taken twice then.
  TRY(const auto newest, open_if_there(current()));
  TRY(const auto older, archived());
  for (auto file = older.begin(); file != older.end(); ++file) {
    const bool is_before = std::next(file) != older.end() && std::next(file)->first_seq <= from_seq;
    if (is_before) continue;
    TRY(const auto opened, open_if_there(file->path));
    if (!opened) continue;
    if (newest && is_same(*opened, *newest)) break;
    TRY_DO(take(opened->fd.get(), file->path));
  }
  if (newest) return take(newest->fd.get(), newest->path);
  return {};
}

Result<std::optional<ChainHead>> ChainFiles::noted_head() const {
  TRY(const auto document, read_state_file(note()));
  if (!document) return std::nullopt;
  ChainHead head = ChainHead::none();
  std::string log;
  std::string hash;
  const bool complete = read_member(*document, "log", log) && log == name_ &&
                        read_member(*document, "seq", head.seq) && read_member(*document, "hash", hash);
  const auto digest = Digest256::parse_hex(hash);
  if (!complete || !digest) return unreadable(note(), "a field is missing or malformed");
  head.hash = *digest;
  return head;
}

Result<void> ChainFiles::note_head(const ChainHead& head) const {
  return write_state_file(
      note(),
      {{"version", StateFolder::kVersion}, {"log", name_}, {"seq", head.seq}, {"hash", head.hash.hex()}});
}

Result<StateLock> ChainFiles::lock() const {
  const auto path = lock_path();
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return state_failure(system_error(ErrorCode::state_failed, "open the lock", path, errno, "open"));
  struct flock lock = write_lock();
  if (fcntl(fd.get(), F_OFD_SETLK, &lock) == 0) return StateLock(std::move(fd));
  if (errno != EAGAIN && errno != EACCES)
    return state_failure(system_error(ErrorCode::state_failed, "lock", path, errno, "fcntl"));
  return fail(ErrorCode::busy, text("another process writes the log ", quoted(current().string())),
              "is the service running already? One at a time can use a state folder; --instance gives each a "
              "folder of its own");
}

Result<bool> ChainFiles::is_locked() const {
  const auto path = lock_path();
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno == ENOENT) return false;
  struct flock lock = write_lock();
  if (!fd || fcntl(fd.get(), F_OFD_GETLK, &lock) != 0)
    return state_failure(system_error(ErrorCode::state_failed, "look at the lock", path, errno, "fcntl"));
  return lock.l_type != F_UNLCK;
}

}  // namespace trainseal
