#include "store/folder/folder_view.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <system_error>

#include "base/text.h"
#include "store/train_store.h"
#include "train/order.h"

namespace trainseal {
namespace {

constexpr const char* kRootFolderName = "opt";

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool unchanged(const struct stat& before, const struct stat& now) {
  return before.st_dev == now.st_dev && before.st_ino == now.st_ino && before.st_size == now.st_size &&
         same_time(before.st_mtim, now.st_mtim) && same_time(before.st_ctim, now.st_ctim);
}

class FolderFile final : public FileSource {
 public:
  FolderFile(UniqueFd fd, std::filesystem::path path, const struct stat& at_open)
      : fd_(std::move(fd)), path_(std::move(path)), at_open_(at_open) {}

  Result<std::size_t> read(MutableByteView buffer) override {
    std::size_t filled = 0;
    while (filled < buffer.size()) {
      const ssize_t got = ::read(fd_.get(), buffer.data() + filled, buffer.size() - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail(system_error(ErrorCode::store_failed, "read", path_, errno, "read"));
      if (got == 0) {
        TRY_DO(check_end());
        break;
      }
      filled += static_cast<std::size_t>(got);
      done_ += static_cast<std::uint64_t>(got);
      // A file that grows as fast as it is read would have no end.
      if (done_ > size()) return fail(changed_meanwhile(path_));
    }
    return filled;
  }

 private:
  std::uint64_t size() const { return static_cast<std::uint64_t>(at_open_.st_size); }

  Result<void> check_end() const {
    struct stat now{};
    if (fstat(fd_.get(), &now) != 0) {
      return fail(system_error(ErrorCode::store_failed, "read", path_, errno, "fstat"));
    }
    if (done_ != size() || !unchanged(at_open_, now)) return fail(changed_meanwhile(path_));
    return {};
  }

  UniqueFd fd_;
  std::filesystem::path path_;
  struct stat at_open_;
  std::uint64_t done_ = 0;
};

std::string below(const std::string& base, const std::string& name) {
  return base.empty() ? name : text(base, '/', name);
}

Result<std::unique_ptr<FileSource>> open_entry(FolderTree& tree, const std::string& base,
                                               const TreeEntry& entry, bool follow) {
  TRY_DO(check_tree_name(entry.name));
  const std::string name = below(base, entry.name);
  if (entry.kind != EntryKind::symlink) {
    TRY(UniqueFd file, tree.open_file(name));
    return read_once(std::move(file), tree.path() / name, entry.size);
  }
  if (!follow) return fail(ErrorCode::symlink_refused, text(quoted(name), " is a symlink"));
  TRY(UniqueFd file, tree.follow(base, entry.name));
  return read_once(std::move(file), tree.path() / name, std::nullopt);
}

/// A folder that is itself what `pht_train` is to be.
class FilesView final : public TrainView {
 public:
  explicit FilesView(FolderTree tree) : tree_(std::move(tree)) {}

  Result<Bytes> config(std::uint64_t) override {
    return fail(ErrorCode::config_invalid, text(quoted(tree_.path().string()), " holds files, not a train"));
  }
  Result<std::optional<Bytes>> user_key() override { return std::nullopt; }
  Result<std::optional<Bytes>> statements() override { return std::nullopt; }
  Result<std::vector<TreeEntry>> entries(Part part) override {
    return part == Part::train ? tree_.list("") : std::vector<TreeEntry>{};
  }
  Result<std::unique_ptr<FileSource>> open([[maybe_unused]] Part part, const TreeEntry& entry,
                                           bool follow) override {
    assert(part == Part::train);
    return open_entry(tree_, "", entry, follow);
  }

 private:
  FolderTree tree_;
};

}  // namespace

Result<FolderTree> open_tree(const std::filesystem::path& path) {
  std::error_code error;
  auto canonical = std::filesystem::canonical(path, error);
  if (error) {
    return fail(system_error(ErrorCode::store_failed, "open the folder", path, error.value(), "realpath"));
  }
  TRY(UniqueFd folder, open_canonical_folder(canonical));
  return FolderTree(std::move(folder), std::move(canonical));
}

Result<FolderTree> find_train_folder(const std::filesystem::path& path) {
  TRY(FolderTree top, open_tree(path));
  if (exists_at(top.root(), std::string(kConfigName)) || !exists_at(top.root(), kRootFolderName)) return top;
  TRY(UniqueFd opt, open_folder_at(top.root(), kRootFolderName, ErrorCode::hostile_path));
  if (!exists_at(opt.get(), std::string(kConfigName))) return top;
  return FolderTree(std::move(opt), top.path() / kRootFolderName);
}

Result<std::filesystem::path> path_of_new_folder(const std::filesystem::path& path) {
  const auto named = path.has_filename() ? path : path.parent_path();  // "DIR/" is DIR
  const auto parent = named.has_parent_path() ? named.parent_path() : std::filesystem::path(".");
  std::error_code error;
  const auto canonical = std::filesystem::canonical(parent, error);
  if (!error) return canonical / named.filename();
  Error failure = system_error(ErrorCode::store_failed, "find or make", path, error.value(), "realpath");
  failure.hint = text("Check the path; ", parent.string(), " has to exist.");
  return fail(std::move(failure));
}

Result<std::unique_ptr<FileSource>> read_once(UniqueFd file, std::filesystem::path path,
                                              std::optional<std::uint64_t> listed_size) {
  struct stat found{};
  if (fstat(file.get(), &found) != 0) {
    return fail(system_error(ErrorCode::store_failed, "read", path, errno, "fstat"));
  }
  if (listed_size && *listed_size != static_cast<std::uint64_t>(found.st_size)) {
    return fail(changed_meanwhile(path));
  }
  // Only advice: a file system that cannot take it reads as well.
  static_cast<void>(posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL));
  return std::make_unique<FolderFile>(std::move(file), std::move(path), found);
}

Result<std::unique_ptr<TrainView>> open_folder_view(const std::filesystem::path& path) {
  TRY(FolderTree tree, find_train_folder(path));
  return std::make_unique<FolderView>(std::move(tree));
}

Result<std::unique_ptr<TrainView>> open_files_view(const std::filesystem::path& path) {
  TRY(FolderTree tree, open_tree(path));
  return std::make_unique<FilesView>(std::move(tree));
}

Result<Bytes> FolderView::config(std::uint64_t max_bytes) {
  TRY(auto bytes, top_file(kConfigName, max_bytes, ErrorCode::config_invalid));
  if (bytes) return *std::move(bytes);
  return fail(ErrorCode::config_invalid,
              text("there is no ", kConfigName, " in ", quoted(tree_.path().string())),
              exists_at(tree_.root(), "oci-layout")
                  ? text("this is an OCI image layout: call it oci:", tree_.path().string())
                  : text("a train's folder holds ", kConfigName,
                         ", pht_train and pht_results, at its top or in opt/"));
}

Result<std::optional<Bytes>> FolderView::user_key() {
  return top_file(kUserKeyName, kMaxUserKeyBytes, ErrorCode::chain_invalid);
}

Result<std::optional<Bytes>> FolderView::statements() {
  return top_file(kStatementsName, kMaxStatementsBytes, ErrorCode::statement_invalid);
}

Result<std::vector<TreeEntry>> FolderView::entries(Part part) {
  const std::string base(folder_name(part));
  if (!exists_at(tree_.root(), base)) return std::vector<TreeEntry>{};
  return tree_.list(base);
}

Result<std::unique_ptr<FileSource>> FolderView::open(Part part, const TreeEntry& entry, bool follow) {
  return open_entry(tree_, std::string(folder_name(part)), entry, follow);
}

Result<std::optional<Bytes>> FolderView::top_file(std::string_view name, std::uint64_t max_bytes,
                                                  ErrorCode too_large) {
  if (!exists_at(tree_.root(), std::string(name))) return std::nullopt;
  TRY(UniqueFd file, tree_.open_file(name));
  struct stat found{};
  if (fstat(file.get(), &found) != 0) {
    return fail(system_error(ErrorCode::store_failed, "read", tree_.path() / name, errno, "fstat"));
  }
  if (static_cast<std::uint64_t>(found.st_size) > max_bytes) {
    return fail(too_large,
                text(quoted((tree_.path() / name).string()), " is larger than ", max_bytes, " bytes"));
  }
  TRY(const auto source, read_once(std::move(file), tree_.path() / name, std::nullopt));
  // One byte more than there should be, so that its end is seen and checked.
  Bytes bytes(static_cast<std::size_t>(found.st_size) + 1);
  TRY(const std::size_t size, source->read(bytes));
  bytes.resize(size);
  return bytes;
}

}  // namespace trainseal
