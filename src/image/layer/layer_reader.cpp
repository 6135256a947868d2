#include "image/layer/layer_reader.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "image/archive_types.h"
#include "image/limits.h"

namespace trainseal {
namespace {

constexpr std::size_t kBlockBytes = 256 * 1024;
constexpr const char* kFetchAgain = "Fetch the image again. If it stays so, ask who sent it.";

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

/// blob → SHA-256 → libarchive, which unpacks → SHA-256 → the walk over the tar. libarchive's callback cannot
/// return an `Error`: it waits in `failure`.
struct LayerReader::State {
  State(ReadBytes blob, const LayerFacts& said, std::string layer)
      : source(std::move(blob)),
        facts(said),
        block(kBlockBytes),
        content(kBlockBytes),
        walk({[this](MutableByteView buffer) { return read_tar(buffer); },
              [this](std::uint64_t bytes) { return skip_tar(bytes); }},
             {std::move(layer), "layer of an image"}) {}

  Result<void> open();
  /// The next bytes of the blob; none at its end.
  Result<ByteView> read_blob();
  /// The next bytes of the tar; none at its end.
  Result<ByteView> unpack();
  /// Bytes of the tar that are at hand, more of them where there were none; none at its end.
  Result<ByteView> at_hand();
  Result<std::size_t> read_tar(MutableByteView buffer);
  Result<std::uint64_t> skip_tar(std::uint64_t wanted);
  Result<void> drain();
  Result<LayerMember> describe(TarMember found) const;
  std::unexpected<Error> failed();
  const std::string& name() const { return walk.title().subject; }

  ReadBytes source;
  LayerFacts facts;
  Bytes block;    ///< of the blob
  Bytes content;  ///< of a file that is hashed
  Sha256 blob_hash, tar_hash;
  std::uint64_t blob_bytes = 0, tar_bytes = 0;
  bool at_end = false;  ///< of the tar
  ByteView unpacked;    ///< what is at hand of the tar; libarchive's until it is asked for more
  std::size_t members = 0;
  std::optional<Error> failure;
  libarchive::Archive unpacker{archive_read_new()};
  TarWalk walk;
};

Result<ByteView> LayerReader::State::read_blob() {
  TRY(const std::size_t got, source(block));
  blob_bytes += got;
  if (blob_bytes > facts.size) {
    return fail(ErrorCode::digest_mismatch,
                text(name(), " has more than the ", facts.size, " bytes that the image's manifest says"),
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
  if (status != ARCHIVE_OK) return failed();
  tar_bytes += size;
  if (tar_bytes > facts.max_unpacked) {
    return walk.title().damaged(text("its ", facts.size, " bytes unpack to more than ", facts.max_unpacked,
                                     ", with the layers below"));
  }
  const ByteView got(static_cast<const std::uint8_t*>(bytes), size);
  tar_hash.update(got);
  return got;
}

Result<ByteView> LayerReader::State::at_hand() {
  if (unpacked.empty()) {
    TRY(unpacked, unpack());
  }
  return unpacked;
}

Result<std::size_t> LayerReader::State::read_tar(MutableByteView buffer) {
  TRY(const ByteView bytes, at_hand());
  const std::size_t size = std::min(bytes.size(), buffer.size());
  std::ranges::copy(bytes.first(size), buffer.begin());
  unpacked = bytes.subspan(size);
  return size;
}

Result<std::uint64_t> LayerReader::State::skip_tar(std::uint64_t wanted) {
  std::uint64_t skipped = 0;
  while (skipped < wanted) {
    TRY(const ByteView bytes, at_hand());
    if (bytes.empty()) break;
    const auto size = std::min<std::uint64_t>(bytes.size(), wanted - skipped);
    unpacked = bytes.subspan(size);
    skipped += size;
  }
  return skipped;
}

std::unexpected<Error> LayerReader::State::failed() {
  if (failure) return fail(*failure);
  return walk.title().damaged(libarchive::reason(unpacker.get()));
}

Result<void> LayerReader::State::open() {
  archive* const raw = unpacker.get();
  archive_read_support_filter_gzip(raw);
  archive_read_support_filter_zstd(raw);
  archive_read_support_format_raw(raw);
  archive_read_support_format_empty(raw);
  const auto hand_over = [](archive* asked, void* state, const void** buffer) -> la_ssize_t {
    auto& self = *static_cast<State*>(state);
    auto bytes = self.read_blob();
    if (bytes) {
      *buffer = bytes->data();
      return static_cast<la_ssize_t>(bytes->size());
    }
    if (!self.failure) self.failure = std::move(bytes).error();
    archive_set_error(asked, EIO, "its source failed");
    return -1;
  };
  if (archive_read_open(raw, this, nullptr, hand_over, nullptr) != ARCHIVE_OK) return failed();
  archive_entry* whole = nullptr;
  const int status = archive_read_next_header(raw, &whole);
  if (status != ARCHIVE_OK && status != ARCHIVE_EOF) return failed();
  at_end = status == ARCHIVE_EOF;
  return {};
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
                text(name(), " is not the blob that the image's manifest names: its size or SHA-256 differ"),
                kFetchAgain);
  }
  if (std::move(tar_hash).finish() != facts.diff_id) {
    return fail(ErrorCode::digest_mismatch,
                text(name(), " unpacks to another tar than the diff_id in the image's config says"),
                kFetchAgain);
  }
  return {};
}

Result<LayerMember> LayerReader::State::describe(TarMember found) const {
  const TarTitle& title = walk.title();
  auto clean = clean_member_name(found.name);
  if (!clean) return title.hostile(found.name, "a name with .. in it or beyond every bound");
  LayerMember member{*std::move(clean), found.kind,  (found.facts.mode & 0100U) != 0,
                     found.size,        found.mtime, std::move(found.target),
                     found.facts};
  if (member.kind == MemberKind::hard_link) {
    auto target = clean_member_name(member.target);
    if (!target) return title.hostile(member.name, "a hard link out of the image");
    member.target = *std::move(target);
  }
  if (member.target.size() > ImageLimits::kNameBytes || member.target.find('\0') != std::string::npos)
    return title.hostile(member.name, "a link beyond every bound");
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
  TRY(auto found, state.walk.next());
  if (!found) {
    TRY_DO(state.drain());
    return std::nullopt;
  }
  if (++state.members > ImageLimits::kMembers) return state.walk.title().damaged("it has too many members");
  return state.describe(*std::move(found));
}

Result<std::size_t> LayerReader::read(MutableByteView buffer) { return state_->walk.read(buffer); }

std::uint64_t LayerReader::unpacked() const { return state_->tar_bytes; }

Result<Digest256> LayerReader::content_digest() {
  Sha256 hash;
  for (Bytes& buffer = state_->content;;) {
    TRY(const std::size_t got, read(buffer));
    if (got == 0) return std::move(hash).finish();
    hash.update(ByteView(buffer).first(got));
  }
}

}  // namespace trainseal
