#include "image/tar/tar_walk.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "image/limits.h"

namespace trainseal {
namespace {

using Block = std::array<std::uint8_t, kTarBlockBytes>;

std::optional<MemberKind> kind_of(char type) {
  switch (type) {
    case '0':
    case '\0':
      return MemberKind::file;
    case '1':
      return MemberKind::hard_link;
    case '2':
      return MemberKind::symlink;
    case '3':
    case '4':
    case '6':
      return MemberKind::special;
    case '5':
      return MemberKind::folder;
    default:
      return std::nullopt;
  }
}

std::uint64_t padding_behind(std::uint64_t size) {
  return (kTarBlockBytes - size % kTarBlockBytes) % kTarBlockBytes;
}

/// Capabilities are among the extended attributes. Only these keys: Docker, podman and umoci set no others.
std::optional<Digest256> digest_attributes(const PaxRecords& records) {
  Sha256 hash;
  bool any = false;
  for (const auto& [key, value] : records) {
    if (!key.starts_with("SCHILY.xattr.") && !key.starts_with("SCHILY.acl.")) continue;
    hash.update(as_bytes(text(key, '\0', value.size(), '\0', value)));
    any = true;
  }
  if (!any) return std::nullopt;
  return std::move(hash).finish();
}

MemberFacts facts_of(const TarHeader& header, const std::optional<PaxRecords>& pax) {
  // As stat(2) has them.
  constexpr std::uint32_t kPipe = 0010000;
  constexpr std::uint32_t kCharacters = 0020000;
  constexpr std::uint32_t kBlocks = 0060000;
  MemberFacts facts{header.mode, header.uid, header.gid, 0, std::nullopt};
  if (header.type == '3' || header.type == '4')
    facts.device = (std::uint64_t{header.device_major} << 32U) | header.device_minor;
  if (header.type == '3') facts.mode |= kCharacters;
  if (header.type == '4') facts.mode |= kBlocks;
  if (header.type == '6') facts.mode |= kPipe;
  if (pax) facts.attributes = digest_attributes(*pax);
  return facts;
}

}  // namespace

std::unexpected<Error> TarTitle::damaged(std::string_view why) const {
  return fail(ErrorCode::store_failed, text(subject, " is damaged or no ", kind, ": ", why),
              "Fetch it again. If it stays so, ask who sent it.");
}

std::unexpected<Error> TarTitle::hostile(std::string_view member, std::string_view why) const {
  return fail(ErrorCode::hostile_path, text(subject, " holds ", quoted(member), ", ", why),
              "The usual tools make no such thing; ask who made this one.");
}

Result<std::size_t> TarWalk::read_fully(MutableByteView buffer) const {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    TRY(const std::size_t got, source_.read(buffer.subspan(filled)));
    if (got == 0) break;
    filled += got;
  }
  return filled;
}

Result<std::size_t> TarWalk::read(MutableByteView buffer) {
  const auto wanted = std::min<std::uint64_t>(left_, buffer.size());
  if (wanted == 0) return std::size_t{0};
  TRY(const std::size_t got, source_.read(buffer.first(wanted)));
  if (got == 0) return title_.damaged("it is cut");
  left_ -= got;
  return got;
}

Result<void> TarWalk::pass_content() {
  TRY(const std::uint64_t passed, source_.skip(left_ + padding_));
  if (passed < left_) return title_.damaged("it is cut");
  left_ = padding_ = 0;
  return {};
}

/// None at the end of the tar.
Result<std::optional<TarHeader>> TarWalk::read_header() {
  Block block{};
  const auto is_zero = [&] {
    return std::ranges::all_of(block, [](std::uint8_t byte) { return byte == 0; });
  };
  TRY(std::size_t got, read_fully(block));
  if (got == 0) return std::nullopt;
  if (got == block.size() && is_zero()) {
    TRY(got, read_fully(block));
    if (got == 0 || (got == block.size() && is_zero())) return std::nullopt;
    return title_.damaged("it goes on behind its end");
  }
  if (got < block.size()) return title_.damaged("it is cut");
  auto header = parse_tar_header(block);
  if (!header) return title_.damaged(header.error());
  return *std::move(header);
}

Result<std::string> TarWalk::read_extension(const TarHeader& header) {
  if (header.size > ImageLimits::kHeaderBytes) return title_.damaged("the header of a member has no end");
  Bytes body(header.size);
  TRY(const std::size_t got, read_fully(body));
  if (got < body.size()) return title_.damaged("it is cut");
  padding_ = padding_behind(header.size);
  TRY_DO(pass_content());
  return std::string(as_text(body));
}

Result<void> TarWalk::extend(const TarHeader& header, Extension& extension) {
  const bool is_name = header.type == 'L';
  if (header.type == 'x') {
    if (!extension.empty()) return title_.hostile(header.name, "one of two headers for one member");
    TRY(const std::string body, read_extension(header));
    auto records = parse_pax_records(body);
    if (!records) return title_.hostile(header.name, records.error());
    extension.pax = *std::move(records);
    return {};
  }
  if (!is_name && header.type != 'K')
    return title_.hostile(header.name, text("of the type ", quoted(std::string_view(&header.type, 1))));
  auto& name = is_name ? extension.long_name : extension.long_link;
  if (extension.pax || name) return title_.hostile(header.name, "one of two headers for one member");
  TRY(name, read_extension(header));
  const auto end = name->find('\0');
  if (end == 0 || name->empty() || name->find_first_not_of('\0', end) != std::string::npos)
    return title_.hostile(header.name, "a long name that ends before its end");
  name->resize(std::min(end, name->size()));
  return {};
}

Result<TarMember> TarWalk::make_member(TarHeader header, const Extension& extension) const {
  if (extension.pax) {
    if (const auto applied = apply_pax_records(*extension.pax, header); !applied)
      return title_.hostile(header.name, applied.error());
  }
  TarMember member;
  member.name = extension.long_name.value_or(std::move(header.name));
  member.kind = kind_of(header.type).value_or(MemberKind::special);
  member.size = header.size;
  member.mtime = header.mtime;
  member.facts = facts_of(header, extension.pax);
  const bool is_link = member.kind == MemberKind::symlink || member.kind == MemberKind::hard_link;
  if (is_link) member.target = extension.long_link.value_or(std::move(header.link));

  if (member.name.empty()) return title_.damaged("a member has no name");
  if (is_link && member.target.empty()) return title_.damaged("a link has no target");
  if (member.kind != MemberKind::file && member.size != 0)
    return title_.hostile(member.name, "which has a content and is no file");
  if (member.kind == MemberKind::file && member.name.ends_with('/'))
    return title_.hostile(member.name, "a file with the name of a folder");
  return member;
}

Result<std::optional<TarMember>> TarWalk::next() {
  TRY_DO(pass_content());
  for (Extension extension;;) {
    TRY(auto header, read_header());
    if (!header && !extension.empty()) return title_.damaged("it ends before its last member");
    if (!header) return std::nullopt;
    if (!kind_of(header->type)) {
      TRY_DO(extend(*header, extension));
      continue;
    }
    TRY(auto member, make_member(*std::move(header), extension));
    left_ = member.size;
    padding_ = padding_behind(member.size);
    return member;
  }
}

}  // namespace trainseal
