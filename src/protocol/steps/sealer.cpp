#include "protocol/steps/sealer.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash_thread.h"
#include "protocol/steps/file_stream.h"
#include "protocol/steps/step.h"
#include "store/images/sealing.h"
#include "train/route.h"

namespace trainseal {

namespace {

Result<FileStream::Outcome> stage_file(TrainView& train, Part part, const TreeEntry& entry, bool follow,
                                       FileStream& stream, HashThread* hash, StagedTrain& staged) {
  TRY(const auto source, train.open(part, entry, follow));
  TRY(const UniqueFd file, staged.add_file(part, entry.name, entry.executable));
  return stream.pass(*source, entry.size, hash, file.get());
}

std::unexpected<Error> changed_files(std::string what) {
  return fail(ErrorCode::digest_mismatch, std::move(what),
              "The train's files were changed since they were released, perhaps by its own code. Its results "
              "cannot be sealed: "
              "discard the run, fetch the train again and tell its creator.");
}

}  // namespace

TrainSealer::TrainSealer(Observer& observer, std::unique_ptr<StagedTrain> staged)
    : observer_(observer), staged_(std::move(staged)), key_(SymmetricKey::generate()) {}

Result<void> TrainSealer::seal_immutable(const TrainConfig& config, const ImmutableSource& source,
                                         const ImmutablePlan& plan, bool keep_unlisted) {
  if (!plan.missing.empty()) {
    return changed_files(text("pht_train lacks files that the creator has signed: ", listed(plan.missing)));
  }
  Step step(observer_, "train-files");
  FileStream stream(source.key, &key_, [&](std::uint64_t done) { observer_.progress(done, plan.bytes); });
  bool sound = true;
  const auto add = [&](const TreeEntry& entry, HashThread* hash) -> Result<void> {
    TRY(const auto outcome, stage_file(source.train, Part::train, entry, false, stream, hash, *staged_));
    sound = sound && outcome == FileStream::Outcome::sound;
    return {};
  };

  TRY_DO(staged_->add_part(Part::train));
  for (const TreeEntry& folder : plan.folders) TRY_DO(staged_->add_folder(Part::train, folder.name));
  HashThread hash;
  hash.update(as_bytes(config->creator.id.text()));
  for (const TreeEntry& entry : plan.listed) TRY_DO(add(entry, &hash));
  hash.update(config->session_id.bytes());
  if (plan.query) TRY_DO(add(*plan.query, &hash));
  const Digest512 digest = hash.finish({});
  if (!sound || !std::ranges::equal(digest.bytes(), config->hash.bytes())) {
    return changed_files("pht_train does not have the hash that the creator has signed");
  }
  if (keep_unlisted) {
    for (const TreeEntry& entry : plan.unlisted) TRY_DO(add(entry, nullptr));
  }
  step.succeeded(stream.bytes());
  return {};
}

Result<void> TrainSealer::seal_no_results() { return staged_->add_part(Part::results); }

Result<TrainSealer::SealedResults> TrainSealer::seal_results(ByteView session_id, TrainView& train,
                                                             const ResultsPlan& plan) {
  Step step(observer_, "results");
  FileStream stream(nullptr, &key_, [&](std::uint64_t done) { observer_.progress(done, plan.bytes); });
  TRY_DO(staged_->add_part(Part::results));
  for (const TreeEntry& folder : plan.folders) TRY_DO(staged_->add_folder(Part::results, folder.name));
  for (const TreeEntry& link : plan.symlinks)
    TRY_DO(staged_->add_symlink(Part::results, link.name, link.target));
  HashThread hash;
  for (const ResultsPlan::File& file : plan.files) {
    TRY_DO(stage_file(train, Part::results, file.entry, file.follow, stream, &hash, *staged_));
  }
  step.succeeded(stream.bytes());
  return SealedResults{hash.finish(session_id), stream.bytes()};
}

Result<HexText> TrainSealer::wrap_for(const PublicKey& reader) const {
  TRY(const WrappedKey wrapped, reader.wrap(key_));
  return HexText::of(wrapped.bytes);
}

Result<SealedTrain> TrainSealer::copy(Observer& observer, TrainView& sealed,
                                      std::unique_ptr<StagedTrain> staged) {
  Step step(observer, "copy");
  FileStream stream(nullptr, nullptr, [](std::uint64_t) {});
  const auto copy_entry = [&](Part part, const TreeEntry& entry) -> Result<void> {
    if (entry.kind == EntryKind::folder) return staged->add_folder(part, entry.name);
    if (entry.kind == EntryKind::symlink) return staged->add_symlink(part, entry.name, entry.target);
    TRY_DO(stage_file(sealed, part, entry, false, stream, nullptr, *staged));
    return {};
  };
  for (const Part part : {Part::train, Part::results}) {
    TRY_DO(staged->add_part(part));
    TRY(const auto entries, sealed.entries(part));
    for (const TreeEntry& entry : entries) TRY_DO(copy_entry(part, entry));
  }
  TRY_DO(stage_top_files(sealed, *staged));
  step.succeeded(stream.bytes());
  return SealedTrain(CommitPermit(), std::move(staged));
}

Result<SealedTrain> TrainSealer::finish(const TrainConfig& config,
                                        const std::optional<Bytes>& statements) && {
  TRY_DO(check_immutable_signatures(config));
  TRY_DO(completed_stops(config));
  TRY_DO(check_chain(config));
  TRY_DO(staged_->add_top(kConfigName, as_bytes(config.written())));
  if (config->creator.encrypted_key) {
    TRY_DO(staged_->add_top(kUserKeyName, config->creator.encrypted_key->bytes()));
  }
  if (statements) TRY_DO(staged_->add_top(kStatementsName, *statements));
  return SealedTrain(CommitPermit(), std::move(staged_));
}

}  // namespace trainseal
