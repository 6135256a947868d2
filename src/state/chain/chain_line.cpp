#include "state/chain/chain_line.h"

#include <algorithm>

#include "base/hex.h"
#include "base/text.h"

namespace trainseal {

namespace {

constexpr std::string_view kDigestPrefix = "sha256:";
constexpr std::size_t kMaxTextBytes = 4096;

/// Printable, and of bounded length: others may have chosen it.
std::string shown_text(std::string_view given) {
  std::string cut = printable(given.substr(0, kMaxTextBytes));
  const bool is_cut = given.size() > kMaxTextBytes || cut.size() > kMaxTextBytes;
  if (!is_cut) return cut;
  std::size_t bytes = std::min(cut.size(), kMaxTextBytes);
  const auto continues = [&](std::size_t at) {
    return at < cut.size() && (static_cast<std::uint8_t>(cut[at]) & 0xc0U) == 0x80U;
  };
  while (continues(bytes)) --bytes;
  cut.resize(bytes);
  return text(cut, "…");
}

StateJson shown(const StateJson& value) {
  if (value.is_string()) return shown_text(value.get_ref<const std::string&>());
  if (!value.is_structured()) return value;
  StateJson copy = value;
  for (auto& member : copy) member = shown(member);
  return copy;
}

}  // namespace

std::string chain_line_text(const ChainHead& before, std::string_view time, std::string_view kind,
                            const StateJson& fields) {
  StateJson line{{"seq", before.seq + 1}, {"time", time}, {"prev", spell(before.hash)}, {"kind", kind}};
  for (const auto& [name, value] : fields.items()) line.emplace(name, shown(value));
  return to_text(line);
}

std::optional<ChainLine> parse_chain_line(std::string_view line) {
  auto json = parse_state_json(as_bytes(line));
  if (!json) return std::nullopt;
  const auto prev = read_digest(*json, "prev");
  ChainLine parsed{.prev = prev.value_or(ChainHead::none().hash), .kind = {}, .json = {}};
  std::string time;
  const bool complete = prev && read_member(*json, "seq", parsed.seq) && read_member(*json, "time", time) &&
                        read_member(*json, "kind", parsed.kind);
  if (!complete || parsed.seq == 0) return std::nullopt;
  parsed.json = *std::move(json);
  return parsed;
}

std::string spell(const Digest256& digest) { return text(kDigestPrefix, digest.hex()); }

std::optional<Digest256> read_digest(const StateJson& object, const char* key) {
  std::string spelt;
  if (!read_member(object, key, spelt) || !spelt.starts_with(kDigestPrefix)) return std::nullopt;
  auto digest = Digest256::parse_hex(std::string_view(spelt).substr(kDigestPrefix.size()));
  if (!digest) return std::nullopt;
  return *digest;
}

StateJson to_json(const OpenLine& line) {
  return {{"version", line.version},
          {"log", line.log},
          {"unsigned", line.unsigned_lines},
          {"cut_bytes", line.cut_bytes}};
}

std::optional<OpenLine> read_open_line(const StateJson& json) {
  OpenLine line;
  const bool complete = read_member(json, "version", line.version) && read_member(json, "log", line.log) &&
                        read_member(json, "unsigned", line.unsigned_lines) &&
                        read_member(json, "cut_bytes", line.cut_bytes);
  if (!complete) return std::nullopt;
  return line;
}

StateJson to_json(const HeadLine& line) {
  const SignedHead& head = line.signed_head;
  return {{"signed", {{"seq", head.head.seq}, {"hash", spell(head.head.hash)}}},
          {"key", spell(head.key.fingerprint())},
          {"public_key", encode_hex(as_bytes(head.key.pem()))},
          {"signature", encode_hex(head.signature.bytes)},
          {"closing", line.closing}};
}

std::optional<HeadLine> read_head_line(const StateJson& json) {
  const StateJson* const head = find_member(json, "signed", StateJson::value_t::object);
  std::uint64_t seq = 0;
  if (head == nullptr || !read_member(*head, "seq", seq)) return std::nullopt;
  const auto hash = read_digest(*head, "hash");
  const auto fingerprint = read_digest(json, "key");
  std::string key_hex;
  std::string signature_hex;
  bool closing = false;
  const bool complete = hash && fingerprint && read_member(json, "public_key", key_hex) &&
                        read_member(json, "signature", signature_hex) &&
                        read_member(json, "closing", closing);
  if (!complete) return std::nullopt;
  const auto pem = decode_hex(key_hex);
  const auto signature = decode_hex(signature_hex);
  if (!pem || !signature) return std::nullopt;
  auto key = PublicKey::parse_pem(as_text(*pem));
  if (!key || key->fingerprint() != *fingerprint) return std::nullopt;
  return HeadLine{{{seq, *hash}, *std::move(key), {*signature}}, closing};
}

void Coverage::add_line(std::uint64_t seq, std::string_view kind) {
  last_ = seq;
  if (kind == kHeadKind || kind == kOpenKind) own_lines_.push_back(seq);
}

void Coverage::cover(std::uint64_t seq) {
  covered_ = seq;
  std::erase_if(own_lines_, [seq](std::uint64_t own) { return own <= seq; });
}

}  // namespace trainseal
