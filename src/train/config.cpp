#include "train/config.h"

#include "base/hex.h"
#include "base/text.h"
#include "train/json.h"

namespace trainseal {
namespace {

JsonValue to_json(const Identifier& id) {
  return id.is_integer() ? JsonValue::integer(id.text()) : JsonValue::string(id.text());
}

JsonValue to_json(const HexText& hex) { return JsonValue::string(hex.text()); }

JsonValue to_json(const std::string& text) { return JsonValue::string(text); }

template <typename T>
JsonValue to_json(const std::optional<T>& value) {
  return value ? to_json(*value) : JsonValue::null();
}

JsonValue already_written(const std::optional<std::string>& json) {
  return json ? JsonValue::written(*json) : JsonValue::null();
}

std::string_view name(SourceType type) {
  switch (type) {
    case SourceType::docker_repository:
      return "docker_repository";
    case SourceType::git_repository:
      return "git_repository";
  }
  return {};
}

std::string_view name(EcoSystem eco_system) {
  switch (eco_system) {
    case EcoSystem::tue:
      return "tue";
    case EcoSystem::padme:
      return "padme";
  }
  return {};
}

JsonValue to_json(const Source& source) {
  return JsonValue::object()
      .with("type", JsonValue::string(name(source.type)))
      .with("address", to_json(source.address))
      .with("tag", to_json(source.tag))
      .with("branch", to_json(source.branch));
}

JsonValue to_json(const Creator& creator) {
  return JsonValue::object()
      .with("id", to_json(creator.id))
      .with("rsa_public_key", to_json(creator.rsa_public_key.text()))
      .with("paillier_public_key", already_written(creator.paillier_public_key))
      .with("encrypted_key", to_json(creator.encrypted_key));
}

JsonValue to_json(const StopSignature& signature) {
  return JsonValue::object()
      .with("digest", to_json(signature.digest))
      .with("signature", to_json(signature.signature));
}

JsonValue to_json(const std::vector<RouteStop>& route) {
  JsonValue stops = JsonValue::array();
  for (const auto& stop : route) {
    stops.items.push_back(
        JsonValue::object()
            .with("station", to_json(stop.station))
            .with("eco_system", JsonValue::string(name(stop.eco_system)))
            .with("rsa_public_key", to_json(stop.rsa_public_key.text()))
            .with("index", JsonValue::integer(std::to_string(stops.items.size())))
            .with("signature", stop.signature ? to_json(*stop.signature) : JsonValue::null())
            .with("encrypted_key", to_json(stop.encrypted_key)));
  }
  return stops;
}

JsonValue to_json(const std::vector<std::string>& names) {
  JsonValue list = JsonValue::array();
  for (const auto& listed : names) list.items.push_back(to_json(listed));
  return list;
}

JsonValue to_json(const BuildSignature& build) {
  return JsonValue::object()
      .with("signature", to_json(build.signature))
      .with("rsa_public_key", to_json(build.rsa_public_key.text()));
}

}  // namespace

Result<HexText> HexText::parse(std::string_view text) {
  TRY(Bytes bytes, decode_hex(text));
  HexText hex;
  hex.text_ = text;
  hex.bytes_ = std::move(bytes);
  return hex;
}

HexText HexText::of(ByteView bytes) {
  HexText hex;
  hex.text_ = encode_hex(bytes);
  hex.bytes_.assign(bytes.begin(), bytes.end());
  return hex;
}

Result<KeyText> KeyText::parse(std::string_view hex_of_pem) {
  TRY(const Bytes pem, decode_hex(hex_of_pem));
  TRY(PublicKey key, PublicKey::parse_pem(as_text(pem)));
  return KeyText(std::string(hex_of_pem), std::move(key));
}

KeyText KeyText::of(const PublicKey& key) { return {encode_hex(as_bytes(key.pem())), key}; }

Result<TrainConfig> TrainConfig::make(TrainFields fields, const ConfigRules& rules) {
  // What a reader of the written config would refuse is refused here, by the same code.
  const std::string json = TrainConfig(std::move(fields)).written();
  TRY(Parsed parsed, parse(as_bytes(json), rules));
  if (!parsed.warnings.empty()) {
    return fail(ErrorCode::config_invalid,
                "the train's config would have fields that the format does not know", {},
                parsed.warnings.front());
  }
  return std::move(parsed.config);
}

std::string TrainConfig::written() const {
  return write_json(JsonValue::object()
                        .with("source", to_json(fields_.source))
                        .with("creator", to_json(fields_.creator))
                        .with("proposal_id", to_json(fields_.proposal_id))
                        .with("@id", to_json(fields_.id))
                        .with("@context", already_written(fields_.context_json))
                        .with("session_id", to_json(fields_.session_id))
                        .with("route", to_json(fields_.route))
                        .with("file_list", to_json(fields_.file_list))
                        .with("hash", to_json(fields_.hash))
                        .with("signature", to_json(fields_.signature))
                        .with("build", fields_.build ? to_json(*fields_.build) : JsonValue::null())
                        .with("result_hash", to_json(fields_.result_hash))
                        .with("result_signature", to_json(fields_.result_signature)));
}

}  // namespace trainseal
