#include "store/images/image_view.h"

#include <utility>

#include "base/text.h"
#include "train/order.h"

namespace trainseal {
namespace {

class ImageFile final : public FileSource {
 public:
  ImageFile(std::shared_ptr<const OptTree> opt, const Extent& content)
      : opt_(std::move(opt)), content_(content) {}

  Result<std::size_t> read(MutableByteView buffer) override {
    TRY(const std::size_t got, opt_->read(content_, done_, buffer));
    done_ += got;
    return got;
  }

 private:
  std::shared_ptr<const OptTree> opt_;
  Extent content_;
  std::uint64_t done_ = 0;
};

EntryKind kind_of(const OptEntry& entry) {
  switch (entry.kind) {
    case MemberKind::file:
    case MemberKind::hard_link:
      return EntryKind::file;
    case MemberKind::folder:
      return EntryKind::folder;
    case MemberKind::symlink:
      return EntryKind::symlink;
    case MemberKind::special:
      break;
  }
  return EntryKind::special;
}

}  // namespace

Result<std::optional<Bytes>> ImageView::top_file(std::string_view name, std::uint64_t max_bytes,
                                                 ErrorCode too_large) {
  const auto found = opt_->find(name);
  if (!found) return std::nullopt;
  const std::string where = text("/opt/", name, " in ", name_);
  if (found->kind != MemberKind::file)
    return fail(ErrorCode::hostile_path, text(where, " is not a regular file"));
  if (found->size > max_bytes) return fail(too_large, text(where, " is larger than ", max_bytes, " bytes"));
  Bytes bytes(found->size);
  TRY(const std::size_t size, opt_->read(found->content, 0, bytes));
  bytes.resize(size);
  return bytes;
}

Result<Bytes> ImageView::config(std::uint64_t max_bytes) {
  TRY(auto bytes, top_file(kConfigName, max_bytes, ErrorCode::config_invalid));
  if (bytes) return *std::move(bytes);
  return fail(ErrorCode::config_invalid, text("there is no /opt/", kConfigName, " in ", name_),
              "a train's image holds it, pht_train and pht_results under /opt; is it another image's name?");
}

Result<std::optional<Bytes>> ImageView::user_key() {
  return top_file(kUserKeyName, kMaxUserKeyBytes, ErrorCode::chain_invalid);
}

Result<std::optional<Bytes>> ImageView::statements() {
  return top_file(kStatementsName, kMaxStatementsBytes, ErrorCode::statement_invalid);
}

Result<std::vector<TreeEntry>> ImageView::entries(Part part) {
  const auto folder = opt_->find(folder_name(part));
  if (folder && folder->kind != MemberKind::folder) {
    return fail(ErrorCode::hostile_path, text("/opt/", folder_name(part), " in ", name_, " is no folder"));
  }
  std::vector<TreeEntry> entries;
  for (OptEntry& found : opt_->list(folder_name(part))) {
    TRY_DO(check_tree_name(found.name));
    const EntryKind kind = kind_of(found);
    entries.push_back({std::move(found.name), kind, kind == EntryKind::file && found.executable, found.size,
                       std::move(found.target), found.hard_linked});
  }
  return entries;
}

Result<std::unique_ptr<FileSource>> ImageView::open(Part part, const TreeEntry& entry, bool) {
  const auto found = opt_->find(text(folder_name(part), '/', entry.name));
  if (found && found->kind == MemberKind::file) return std::make_unique<ImageFile>(opt_, found->content);
  const bool link = found && found->kind == MemberKind::symlink;
  return fail(link ? ErrorCode::symlink_refused : ErrorCode::hostile_path,
              text("/opt/", folder_name(part), '/', entry.name, " in ", name_,
                   link ? " is a symlink, which is not followed in an image" : " is not a regular file"));
}

}  // namespace trainseal
