#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/rsa.h"
#include "train/identifier.h"

namespace trainseal {

/// A hex field: its text as it was stored, which is written back as it was, and what it means.
class HexText {
 public:
  /// Strict hex (PROTOCOL §2); `config_invalid` otherwise.
  static Result<HexText> parse(std::string_view text);
  /// New hex is lower case.
  static HexText of(ByteView bytes);
  const std::string& text() const { return text_; }
  ByteView bytes() const { return bytes_; }
  bool operator==(const HexText& other) const { return bytes_ == other.bytes_; }

 private:
  std::string text_;
  Bytes bytes_;
};

/// A public key as configs hold it: hex of PEM text, SPKI or PKCS#1.
class KeyText {
 public:
  static Result<KeyText> parse(std::string_view hex_of_pem);
  static KeyText of(const PublicKey& key);
  const std::string& text() const { return text_; }
  const PublicKey& key() const { return key_; }

 private:
  KeyText(std::string text, PublicKey key) : text_(std::move(text)), key_(std::move(key)) {}
  std::string text_;
  PublicKey key_;
};

enum class SourceType : std::uint8_t { docker_repository, git_repository };
enum class EcoSystem : std::uint8_t { tue, padme };

struct Source {
  SourceType type{};
  std::string address;
  std::optional<std::string> tag;
  std::optional<std::string> branch;
};

struct Creator {
  Identifier id;
  KeyText rsa_public_key;
  /// As JSON text (a quoted string or an integer), written back as it was.
  std::optional<std::string> paillier_public_key;
  std::optional<HexText> encrypted_key;
};

struct StopSignature {
  HexText digest;  ///< parsed as any hex: its length is judged with the chain (PROTOCOL §5.3)
  HexText signature;
};

/// A route's stop: one station's turn.
struct RouteStop {
  Identifier station;
  EcoSystem eco_system{};
  KeyText rsa_public_key;
  std::optional<StopSignature> signature;
  std::optional<HexText> encrypted_key;
};

struct BuildSignature {
  HexText signature;
  KeyText rsa_public_key;
};

/// The fields of `train_config.json` in the order in which they are written (PROTOCOL §2).
struct TrainFields {
  Source source;
  Creator creator;
  Identifier proposal_id;
  std::string id;                           ///< `@id`
  std::optional<std::string> context_json;  ///< `@context` as it is written at indent level 1; absent: null
  HexText session_id;
  std::vector<RouteStop> route;        ///< by index, 0 first
  std::vector<std::string> file_list;  ///< as listed; see `listed_name`
  HexText hash;
  HexText signature;
  std::optional<BuildSignature> build;  ///< absent in a proposal only
  std::optional<HexText> result_hash;
  std::optional<HexText> result_signature;
};

/// Which configs are taken (settings `train`).
struct ConfigRules {
  std::uint64_t max_bytes = 1'048'576;
  std::optional<std::size_t> session_id_bytes = 64;  ///< none: any length
  bool allow_duplicate_listing = false;
  bool proposal = false;  ///< `build` has to be missing
};

/// A train's config: parsed once, immutable. An update is a new value made from changed fields.
class TrainConfig {
 public:
  struct Parsed;
  /// Reads a config strictly by PROTOCOL §2. `config_invalid` names the field as in `route[1].index`.
  static Result<Parsed> parse(ByteView json, const ConfigRules& rules);
  /// From fields made here, checked by the same rules: what is written is read again. `context_json` may be
  /// laid out in any way.
  static Result<TrainConfig> make(TrainFields fields, const ConfigRules& rules);

  const TrainFields& fields() const { return fields_; }
  const TrainFields* operator->() const { return &fields_; }

  /// As Python's `json.dumps(indent=2)` writes it (PROTOCOL §2 "Writing"), byte for byte.
  std::string written() const;

 private:
  explicit TrainConfig(TrainFields fields) : fields_(std::move(fields)) {}
  TrainFields fields_;
};

struct TrainConfig::Parsed {
  TrainConfig config;
  std::vector<std::string> warnings;  ///< e.g. unknown fields, which are dropped
};

}  // namespace trainseal
