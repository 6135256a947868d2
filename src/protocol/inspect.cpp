#include "protocol/inspect.h"

#include "protocol/steps/plain_digests.h"
#include "train/order.h"

namespace trainseal {

namespace {

Inspection::Stop stop_of(const RouteStop& stop, const std::optional<Identifier>& me) {
  const PublicKey& key = stop.rsa_public_key.key();
  return {stop.station.text(),
          stop.eco_system == EcoSystem::tue ? "tue" : "padme",
          key.bits(),
          key.fingerprint().hex(),
          stop.signature.has_value(),
          stop.encrypted_key.has_value(),
          me.has_value() && stop.station == *me};
}

Result<std::vector<Inspection::File>> files_of(TrainView& train, Part part) {
  TRY(const auto entries, train.entries(part));
  std::vector<Inspection::File> files;
  for (const TreeEntry& entry : entries) {
    if (entry.kind == EntryKind::file) files.push_back({entry.name, entry.size});
  }
  return files;
}

}  // namespace

Result<Inspection> inspect(Station& station, TrainView& train) {
  TRY(const Bytes bytes, train.config(station.rules.config.max_bytes));
  TRY(const auto parsed, TrainConfig::parse(bytes, station.rules.config));
  for (const std::string& warning : parsed.warnings) station.observer.warning(warning);
  const TrainFields& config = parsed.config.fields();

  Inspection view;
  view.train_id = config.id;
  view.session_id = config.session_id.text();
  view.proposal_id = config.proposal_id.text();
  view.creator_id = config.creator.id.text();
  view.source = config.source.address;
  view.creator_fingerprint = config.creator.rsa_public_key.key().fingerprint().hex();
  if (config.build) view.builder_fingerprint = config.build->rsa_public_key.key().fingerprint().hex();
  for (const RouteStop& stop : config.route) view.route.push_back(stop_of(stop, station.id));
  view.file_list = config.file_list;
  TRY(view.immutable_files, files_of(train, Part::train));
  TRY(view.results, files_of(train, Part::results));
  for (const Inspection::File& file : view.immutable_files) view.has_query |= file.name == kQueryName;
  TRY(const auto statements, train.statements());
  view.has_statements = statements.has_value();
  TRY(view.is_plain, immutable_files_are_plain(parsed.config, train));
  if (config.result_hash) view.result_hash = config.result_hash->text();
  return view;
}

}  // namespace trainseal
