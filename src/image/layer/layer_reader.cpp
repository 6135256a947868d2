#include "image/layer/layer_reader.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <utility>

#include "base/text.h"
#include "image/archive_types.h"
#include "image/layer/pax_names.h"
#include "image/limits.h"

namespace trainseal {
namespace {

constexpr std::size_t kBlockBytes = 256 * 1024;
constexpr std::size_t kTarBlockBytes = 512;
constexpr const char* kFetchAgain = "Fetch the image again. If it stays so, ask who sent it.";

std::unexpected<Error> damaged(const std::string& layer, std::string_view why) {
  return fail(ErrorCode::store_failed, text(layer, " is damaged or no layer of an image: ", why),
              kFetchAgain);
}

std::unexpected<Error> hostile(const std::string& layer, std::string_view name, std::string_view why) {
  return fail(ErrorCode::hostile_path, text(layer, " holds ", quoted(name), ", ", why),
              "An image made by the usual tools holds no such thing; ask who made this one.");
}

MemberKind kind_of(archive_entry* entry) {
  if (archive_entry_hardlink(entry) != nullptr) return MemberKind::hard_link;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return MemberKind::file;
    case AE_IFDIR:
      return MemberKind::folder;
    case AE_IFLNK:
      return MemberKind::symlink;
    default:
      return MemberKind::special;
  }
}

/// Over extended attributes, by name, and access lists: capabilities are among them.
std::optional<Digest256> digest_attributes(archive_entry* entry) {
  std::map<std::string, std::string> attributes;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  archive_entry_xattr_reset(entry);
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
    attributes[name] = std::string(static_cast<const char*>(value), size);
  if (const int lists = archive_entry_acl_types(entry); lists != 0) {
    const std::unique_ptr<char, decltype(&std::free)> written(
        archive_entry_acl_to_text(entry, nullptr, lists), &std::free);
    if (written) attributes["acl"] = written.get();
  }
  if (attributes.empty()) return std::nullopt;
  Sha256 hash;
  for (const auto& [key, content] : attributes)
    hash.update(as_bytes(text(key, '\0', content.size(), '\0', content)));
  return std::move(hash).finish();
}

MemberFacts facts_of(archive_entry* entry) {
  MemberFacts facts;
  facts.mode = archive_entry_perm(entry);
  facts.uid = archive_entry_uid(entry);
  facts.gid = archive_entry_gid(entry);
  const auto type = archive_entry_filetype(entry);
  if (type == AE_IFCHR || type == AE_IFBLK) facts.device = archive_entry_rdev(entry);
  if (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFIFO) facts.mode |= type;
  facts.attributes = digest_attributes(entry);
  return facts;
}

}  // namespace

std::optional<std::string> clean_member_name(std::string_view name) {
  if (name.size() > ImageLimits::kNameBytes || name.find('\0') != std::string_view::npos) return std::nullopt;
  std::string clean;
  std::size_t depth = 0;
  while (!name.empty()) {
    const std::string_view component = name.substr(0, name.find('/'));
    name.remove_prefix(std::min(name.size(), component.size() + 1));
    if (component.empty() || component == ".") continue;
    if (component == ".." || ++depth > ImageLimits::kDepth) return std::nullopt;
    clean += text(clean.empty() ? "" : "/", component);
  }
  return clean;
}

/// blob → SHA-256 → libarchive, which unpacks → SHA-256 → libarchive, which reads the tar. libarchive's
/// callbacks cannot return an `Error`: it waits in `failure`.
struct LayerReader::State {
  State(ReadBytes blob, const LayerFacts& said, std::string layer)
      : source(std::move(blob)), facts(said), name(std::move(layer)), block(kBlockBytes) {}

  Result<void> open();
  Result<void> open_archive(archive* a, archive_read_callback* read);
  /// The next bytes of the blob; none at its end.
  Result<ByteView> read_blob();
  /// The next bytes of the tar; none at its end.
  Result<ByteView> unpack();
  /// As `unpack`, for libarchive, which insists on the padding of the last member.
  Result<ByteView> unpack_padded();
  Result<void> drain();
  /// What libarchive has consumed of the tar, bytes.
  std::uint64_t consumed() const { return static_cast<std::uint64_t>(archive_filter_bytes(tar.get(), 0)); }
  /// Forgets what libarchive is done with.
  void trim_window();
  Result<LayerMember> describe(archive_entry* entry) const;
  std::unexpected<Error> failed(archive* a);

  /// A callback of libarchive around one of the two above.
  static la_ssize_t hand_over(archive* a, State& state, Result<ByteView> bytes, const void** buffer);

  ReadBytes source;
  LayerFacts facts;
  std::string name;
  Bytes block;
  Sha256 blob_hash, tar_hash;
  std::uint64_t blob_bytes = 0, tar_bytes = 0;
  std::uint64_t header_budget = 0;  ///< bytes of the tar that may still be read for this header
  bool in_header = false;
  bool at_end = false;  ///< of the tar
  bool sparse = false;  ///< the member has holes
  bool padded = false;  ///< the last member's padding, which was not there, has been handed over
  std::size_t members = 0;
  std::string window;              ///< the bytes of the tar that were handed over last
  std::uint64_t window_start = 0;  ///< where in the tar they are
  std::uint64_t content_end = 0;   ///< where in the tar the member's content ends
  std::optional<Error> failure;
  libarchive::Archive unpacker{archive_read_new()};
  libarchive::Archive tar{archive_read_new()};
};

Result<ByteView> LayerReader::State::read_blob() {
  TRY(const std::size_t got, source(block));
  blob_bytes += got;
  if (blob_bytes > facts.size) {
    return fail(ErrorCode::digest_mismatch,
                text(name, " has more than the ", facts.size, " bytes that the image's manifest says"),
                kFetchAgain);
  }
  const ByteView bytes = ByteView(block).first(got);
  blob_hash.update(bytes);
  return bytes;
}

Result<ByteView> LayerReader::State::unpack() {
  if (at_end) return ByteView();
  const void* bytes = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  const int status = archive_read_data_block(unpacker.get(), &bytes, &size, &offset);
  if (status == ARCHIVE_EOF) {
    at_end = true;
    return ByteView();
  }
  if (status != ARCHIVE_OK) return failed(unpacker.get());
  tar_bytes += size;
  if (tar_bytes > std::max(ImageLimits::kFreeUnpackedBytes, facts.size * ImageLimits::kRatio)) {
    return damaged(name, text("its ", facts.size, " bytes unpack to more than ", tar_bytes));
  }
  if (in_header) {
    if (size > header_budget) return damaged(name, "the header of a member has no end");
    header_budget -= size;
  }
  const ByteView unpacked(static_cast<const std::uint8_t*>(bytes), size);
  tar_hash.update(unpacked);
  return unpacked;
}

Result<ByteView> LayerReader::State::unpack_padded() {
  static constexpr std::array<std::uint8_t, kTarBlockBytes> kPadding{};
  if (!in_header) trim_window();
  TRY(const ByteView bytes, unpack());
  window += as_text(bytes);
  if (!bytes.empty() || padded || tar_bytes < content_end) return bytes;
  // umoci ends a tar with the content of its last member; Go's reader takes that. The digest is of what is
  // there.
  padded = true;
  const std::uint64_t block_end = (content_end + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes;
  return ByteView(kPadding).first(block_end > tar_bytes ? block_end - tar_bytes : 0);
}

void LayerReader::State::trim_window() {
  const std::uint64_t done = std::min<std::uint64_t>(consumed() - window_start, window.size());
  window.erase(0, done);
  window_start += done;
}

la_ssize_t LayerReader::State::hand_over(archive* a, State& state, Result<ByteView> bytes,
                                         const void** buffer) {
  if (!bytes) {
    if (!state.failure) state.failure = std::move(bytes).error();
    archive_set_error(a, EIO, "its source failed");
    return -1;
  }
  *buffer = bytes->data();
  return static_cast<la_ssize_t>(bytes->size());
}

std::unexpected<Error> LayerReader::State::failed(archive* a) {
  if (failure) return fail(*failure);
  return damaged(name, libarchive::reason(a));
}

Result<void> LayerReader::State::open_archive(archive* a, archive_read_callback* read) {
  if (archive_read_open(a, this, nullptr, read, nullptr) != ARCHIVE_OK) return failed(a);
  return {};
}

Result<void> LayerReader::State::open() {
  archive* const outer = unpacker.get();
  archive_read_support_filter_gzip(outer);
  archive_read_support_filter_zstd(outer);
  archive_read_support_format_raw(outer);
  archive_read_support_format_empty(outer);
  TRY_DO(open_archive(outer, [](archive* a, void* state, const void** buffer) {
    auto& self = *static_cast<State*>(state);
    return hand_over(a, self, self.read_blob(), buffer);
  }));
  archive_entry* whole = nullptr;
  const int status = archive_read_next_header(outer, &whole);
  if (status != ARCHIVE_OK && status != ARCHIVE_EOF) return failed(outer);
  at_end = status == ARCHIVE_EOF;

  archive_read_support_format_tar(tar.get());
  archive_read_support_format_empty(tar.get());
  return open_archive(tar.get(), [](archive* a, void* state, const void** buffer) {
    auto& self = *static_cast<State*>(state);
    return hand_over(a, self, self.unpack_padded(), buffer);
  });
}

Result<void> LayerReader::State::drain() {
  for (;;) {
    TRY(const ByteView bytes, unpack());
    if (bytes.empty()) break;
  }
  for (;;) {
    TRY(const ByteView bytes, read_blob());
    if (bytes.empty()) break;
  }
  if (blob_bytes != facts.size || std::move(blob_hash).finish() != facts.digest) {
    return fail(ErrorCode::digest_mismatch,
                text(name, " is not the blob that the image's manifest names: its size or SHA-256 differ"),
                kFetchAgain);
  }
  if (std::move(tar_hash).finish() != facts.diff_id) {
    return fail(ErrorCode::digest_mismatch,
                text(name, " unpacks to another tar than the diff_id in the image's config says"),
                kFetchAgain);
  }
  return {};
}

Result<LayerMember> LayerReader::State::describe(archive_entry* entry) const {
  const char* const told = archive_entry_pathname(entry);
  if (told == nullptr) return damaged(name, "a member has no name");
  const auto headers = std::string_view(window).substr(0, consumed() - window_start);
  const auto raw = read_pax_names(as_bytes(headers));
  if (!raw) return damaged(name, text("the headers of ", quoted(told), " contradict each other"));
  const std::string found = raw->path.value_or(told);
  auto clean = clean_member_name(found);
  if (!clean) return hostile(name, found, "a name with .. in it or beyond every bound");
  LayerMember member;
  member.name = *std::move(clean);
  member.kind = kind_of(entry);
  member.executable = (archive_entry_perm(entry) & 0100) != 0;
  member.mtime = archive_entry_mtime(entry);
  member.facts = facts_of(entry);
  if (member.kind == MemberKind::file) member.size = static_cast<std::uint64_t>(archive_entry_size(entry));
  if (member.kind == MemberKind::hard_link) {
    auto target = clean_member_name(raw->link_path.value_or(archive_entry_hardlink(entry)));
    if (!target) return hostile(name, found, "a hard link out of the image");
    member.target = *std::move(target);
  }
  if (member.kind == MemberKind::symlink) {
    const char* const target = archive_entry_symlink(entry);
    member.target = raw->link_path.value_or(target != nullptr ? target : "");
    if (member.target.size() > ImageLimits::kNameBytes || member.target.find('\0') != std::string::npos) {
      return hostile(name, found, "a link beyond every bound");
    }
  }
  return member;
}

Result<LayerReader> LayerReader::open(ReadBytes blob, const LayerFacts& facts, std::string name) {
  auto state = std::make_unique<State>(std::move(blob), facts, std::move(name));
  TRY_DO(state->open());
  return LayerReader(std::move(state));
}

LayerReader::LayerReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
LayerReader::LayerReader(LayerReader&&) noexcept = default;
LayerReader::~LayerReader() = default;

Result<std::optional<LayerMember>> LayerReader::next() {
  State& state = *state_;
  archive* const tar = state.tar.get();
  // What is left of the member before is no part of the next one's header.
  if (state.members > 0 && archive_read_data_skip(tar) < ARCHIVE_WARN) return state.failed(tar);
  state.trim_window();
  state.in_header = true;
  state.header_budget = ImageLimits::kHeaderBytes;
  archive_entry* entry = nullptr;
  const int status = archive_read_next_header(tar, &entry);
  state.in_header = false;
  if (status == ARCHIVE_EOF) {
    TRY_DO(state.drain());
    return std::nullopt;
  }
  // A warning is about a name that libarchive has guessed, or a header that it has understood in part.
  if (status != ARCHIVE_OK) return state.failed(tar);
  if (++state.members > ImageLimits::kMembers) return damaged(state.name, "it has too many members");
  state.sparse = archive_entry_sparse_count(entry) > 0;
  TRY(auto member, state.describe(entry));
  state.content_end = state.consumed() + member.size;
  return member;
}

Result<std::size_t> LayerReader::read(MutableByteView buffer) {
  // A few bytes can describe a file of exabytes.
  if (state_->sparse) return damaged(state_->name, "a file of the train has holes");
  const auto got = archive_read_data(state_->tar.get(), buffer.data(), buffer.size());
  if (got < 0) return state_->failed(state_->tar.get());
  return static_cast<std::size_t>(got);
}

Result<Digest256> LayerReader::content_digest() {
  Sha256 hash;
  la_int64_t expected = 0;
  for (;;) {
    const void* bytes = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(state_->tar.get(), &bytes, &size, &offset);
    if (status == ARCHIVE_EOF) return std::move(hash).finish();
    if (status != ARCHIVE_OK) return state_->failed(state_->tar.get());
    if (offset != expected) hash.update(as_bytes(text("a hole up to ", offset, '\n')));
    hash.update({static_cast<const std::uint8_t*>(bytes), size});
    expected = offset + static_cast<la_int64_t>(size);
  }
}

}  // namespace trainseal
