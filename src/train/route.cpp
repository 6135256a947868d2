#include "train/route.h"

#include <algorithm>

#include "base/text.h"

namespace trainseal {
namespace {

std::string stop_place(std::size_t stop) { return text("route[", stop, "]"); }

std::string stop_name(const TrainConfig& config, std::size_t stop) {
  return text("stop ", stop + 1, " (station ", quoted(config->route[stop].station.text()), ")");
}

std::unexpected<Error> refuse(ErrorCode code, std::string what, std::string subject, std::string hint = {}) {
  return fail(Error{code, std::move(what), std::move(hint), {}, std::move(subject)});
}

bool verifies_v15(const PublicKey& key, const Digest512& message_digest, const HexText& signature) {
  const ByteView bytes = signature.bytes();
  return key.verifies(message_digest, Pkcs1Signature{{bytes.begin(), bytes.end()}});
}

/// False as well for a digest that has not 64 bytes.
bool verifies_pss(const PublicKey& key, const HexText& digest, const HexText& signature) {
  const auto value = Digest512::parse_hex(digest.text());
  const ByteView bytes = signature.bytes();
  return value && key.verifies(*value, PssSignature{{bytes.begin(), bytes.end()}}, PssSalt::protocol);
}

Result<void> check_stop_signature(const TrainConfig& config, std::size_t stop) {
  const auto& entry = config->route[stop];
  if (verifies_pss(entry.rsa_public_key.key(), entry.signature->digest, entry.signature->signature))
    return {};
  return refuse(ErrorCode::signature_invalid,
                text("the signature of ", stop_name(config, stop), " does not fit its digest"),
                text(stop_place(stop), ".signature"),
                "the train was changed after this stop, or with a wrong key");
}

/// Digest of the completed stop recomputed from what is stored before it.
Result<void> check_digest(const TrainConfig& config, std::size_t stop, const HexText& result_hash,
                          std::string_view whose_results) {
  TRY(const Digest512 results, Digest512::parse_hex(result_hash.text()));
  if (std::ranges::equal(route_digest(config, stop, results).bytes(),
                         config->route[stop].signature->digest.bytes())) {
    return {};
  }
  return refuse(ErrorCode::chain_invalid,
                text("the digest of ", stop_name(config, stop),
                     " does not follow from the stops before it and ", whose_results),
                text(stop_place(stop), ".signature.digest"),
                "stops or results were exchanged; compare with the train as it left the station before");
}

Result<void> check_result_signature(const TrainConfig& config, std::size_t last) {
  const auto& key = config->route[last].rsa_public_key.key();
  if (verifies_pss(key, *config->result_hash, *config->result_signature)) return {};
  return refuse(ErrorCode::signature_invalid,
                text("the signature over the results is not by ", stop_name(config, last)),
                "result_signature", "the results were changed after this stop, or signed with a wrong key");
}

std::unexpected<Error> differs(std::string_view field) {
  return refuse(ErrorCode::chain_invalid, text(field, " of the train differs from that of the earlier stage"),
                std::string(field), "this is another train, or it was changed on its way");
}

Result<void> check_same_build(const TrainFields& now, const TrainFields& earlier) {
  if (now.build.has_value() != earlier.build.has_value()) return differs("build");
  if (!now.build) return {};
  if (now.build->rsa_public_key.key() != earlier.build->rsa_public_key.key())
    return differs("build.rsa_public_key");
  if (now.build->signature != earlier.build->signature) return differs("build.signature");
  return {};
}

Result<void> check_same_identity(const TrainFields& now, const TrainFields& earlier) {
  if (now.id != earlier.id) return differs("@id");
  if (now.creator.id != earlier.creator.id) return differs("creator.id");
  if (now.creator.rsa_public_key.key() != earlier.creator.rsa_public_key.key()) {
    return differs("creator.rsa_public_key");
  }
  if (now.proposal_id != earlier.proposal_id) return differs("proposal_id");
  if (now.session_id != earlier.session_id) return differs("session_id");
  if (now.file_list != earlier.file_list) return differs("file_list");
  if (now.hash != earlier.hash) return differs("hash");
  if (now.signature != earlier.signature) return differs("signature");
  return check_same_build(now, earlier);
}

Result<void> check_same_route(const TrainFields& now, const TrainFields& earlier) {
  if (now.route.size() != earlier.route.size()) return differs("route");
  for (std::size_t stop = 0; stop < now.route.size(); ++stop) {
    if (now.route[stop].station != earlier.route[stop].station)
      return differs(text(stop_place(stop), ".station"));
    if (now.route[stop].rsa_public_key.key() != earlier.route[stop].rsa_public_key.key()) {
      return differs(text(stop_place(stop), ".rsa_public_key"));
    }
  }
  return {};
}

/// The signatures of the first `count` stops, which both stages have.
Result<void> check_same_signatures(const TrainFields& now, const TrainFields& earlier, std::size_t count) {
  for (std::size_t stop = 0; stop < count; ++stop) {
    const auto& ours = *now.route[stop].signature;
    const auto& theirs = *earlier.route[stop].signature;
    if (ours.digest != theirs.digest) return differs(text(stop_place(stop), ".signature.digest"));
    if (ours.signature != theirs.signature) return differs(text(stop_place(stop), ".signature.signature"));
  }
  return {};
}

/// The signatures of both stages, of which so many stops have signed.
Result<void> check_stages(const TrainConfig& config, std::size_t completed, const TrainConfig& earlier,
                          std::size_t completed_earlier) {
  if (completed < completed_earlier) {
    return refuse(ErrorCode::chain_invalid,
                  text(completed, " stops have signed, but ", completed_earlier, " had at the earlier stage"),
                  "route", "signatures were removed, or the stages are given in the wrong order");
  }
  if (completed_earlier == 0) return {};
  TRY_DO(check_same_signatures(config.fields(), earlier.fields(), completed_earlier));
  return check_digest(config, completed_earlier - 1, *earlier->result_hash,
                      "the earlier stage's result_hash");
}

}  // namespace

std::optional<std::size_t> find_stop(const TrainConfig& config, const Identifier& station) {
  const auto& route = config->route;
  const auto found = std::ranges::find(route, station, &RouteStop::station);
  if (found == route.end()) return std::nullopt;
  return static_cast<std::size_t>(found - route.begin());
}

std::string route_text(const TrainConfig& config) {
  std::string stations;
  for (const auto& stop : config->route) stations += text(stations.empty() ? "" : ", ", stop.station.text());
  return stations;
}

Result<std::size_t> completed_stops(const TrainConfig& config) {
  const auto& route = config->route;
  const auto is_signed = [](const RouteStop& stop) { return stop.signature.has_value(); };
  const auto completed = static_cast<std::size_t>(std::ranges::find_if_not(route, is_signed) - route.begin());
  const auto beyond = static_cast<std::size_t>(
      std::find_if(route.begin() + static_cast<std::ptrdiff_t>(completed), route.end(), is_signed) -
      route.begin());
  if (beyond != route.size()) {
    return refuse(
        ErrorCode::not_my_turn,
        text(stop_name(config, beyond), " has signed, but ", stop_name(config, completed), " has not"),
        text(stop_place(completed), ".signature"), "the train skipped a station, or a signature was removed");
  }
  const auto check_result_field = [&](bool present, std::string_view field) -> Result<void> {
    if (present == (completed > 0)) return {};
    return refuse(
        ErrorCode::not_my_turn,
        text(field, present ? " is there, but no stop has signed" : " is missing, but stops have signed"),
        std::string(field), "the train was changed on its way");
  };
  TRY_DO(check_result_field(config->result_hash.has_value(), "result_hash"));
  TRY_DO(check_result_field(config->result_signature.has_value(), "result_signature"));
  return completed;
}

Result<void> check_immutable_signatures(const TrainConfig& config) {
  if (!verifies_v15(config->creator.rsa_public_key.key(), Sha512::of(config->hash.bytes()),
                    config->signature)) {
    return refuse(ErrorCode::signature_invalid,
                  text("the signature of the creator ", quoted(config->creator.id.text()),
                       " does not fit the train's hash"),
                  "signature", "the train was changed, or the creator's key was exchanged");
  }
  const auto& build = config->build;
  if (build &&
      !verifies_v15(build->rsa_public_key.key(), build_message_digest(config.fields()), build->signature)) {
    return refuse(ErrorCode::signature_invalid,
                  "the signature of the builder does not fit the train's hash and the creator's signature",
                  "build.signature", "the train was changed, or the builder's key was exchanged");
  }
  return {};
}

Result<void> check_chain(const TrainConfig& config) {
  TRY(const std::size_t completed, completed_stops(config));
  if (completed == 0) return {};
  for (std::size_t stop = 0; stop < completed; ++stop) TRY_DO(check_stop_signature(config, stop));
  TRY_DO(check_digest(config, completed - 1, *config->result_hash, "result_hash"));
  return check_result_signature(config, completed - 1);
}

Result<void> check_against_earlier(const TrainConfig& config, const TrainConfig& earlier) {
  TRY_DO(check_same_identity(config.fields(), earlier.fields()));
  TRY_DO(check_same_route(config.fields(), earlier.fields()));
  TRY(const std::size_t completed, completed_stops(config));
  const auto completed_earlier = completed_stops(earlier);
  if (!completed_earlier) {
    return refuse(ErrorCode::chain_invalid,
                  text("the earlier stage contradicts itself: ", completed_earlier.error().what),
                  completed_earlier.error().subject, "give the stage as it left the station before");
  }
  return check_stages(config, completed, earlier, *completed_earlier);
}
Digest512 route_digest(const TrainConfig& config, std::size_t stop, const Digest512& result_hash) {
  Sha512 hash;
  if (stop == 0) hash.update(config->session_id.bytes());
  for (std::size_t before = 0; before < stop; ++before)
    hash.update(config->route[before].signature->digest.bytes());
  hash.update(result_hash.bytes());
  return std::move(hash).finish();
}

Digest512 build_message_digest(const TrainFields& fields) {
  Sha512 hash;
  hash.update(fields.hash.bytes()).update(fields.signature.bytes());
  return std::move(hash).finish();
}

}  // namespace trainseal
