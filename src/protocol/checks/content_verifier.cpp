#include "protocol/checks/content_verifier.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash_thread.h"
#include "protocol/steps/file_stream.h"
#include "protocol/steps/step.h"

namespace trainseal {

namespace {

/// One run over a train's contents. `fault` is the first thing that was wrong, for the local log.
class Decryption {
 public:
  Decryption(const ContentVerifier::Job& job, const SymmetricKey& key, StagedTrain& staged)
      : job_(job),
        staged_(staged),
        stream_(&key, nullptr, [this](std::uint64_t done) { job_.observer.progress(done, total_bytes()); }) {}

  /// Stages `pht_train` and holds its hash against the config's (PROTOCOL §4).
  Result<void> immutable_files() {
    const ImmutablePlan& plan = job_.plan.immutable;
    TRY_DO(staged_.add_part(Part::train));
    for (const TreeEntry& folder : plan.folders) TRY_DO(staged_.add_folder(Part::train, folder.name));
    for (const std::string& name : plan.missing) note(text("pht_train/", name, " is listed but missing"));

    HashThread hash;
    hash.update(as_bytes(job_.config->creator.id.text()));
    for (const TreeEntry& file : plan.listed) TRY_DO(decrypt(Part::train, file, &hash));
    hash.update(job_.config->session_id.bytes());
    if (plan.query) TRY_DO(decrypt(Part::train, *plan.query, &hash));
    expect(hash.finish({}), job_.config->hash, "hash of the immutable files");

    if (job_.unlisted == UnlistedRule::keep) {
      for (const TreeEntry& file : plan.unlisted) TRY_DO(decrypt(Part::train, file, nullptr));
    }
    return {};
  }

  /// Stages `pht_results` and holds their hash against the config's.
  Result<void> results() {
    TRY_DO(staged_.add_part(Part::results));
    if (!job_.plan.results) return {};
    const ResultsPlan& plan = *job_.plan.results;
    for (const TreeEntry& folder : plan.folders) TRY_DO(staged_.add_folder(Part::results, folder.name));
    for (const TreeEntry& link : plan.symlinks)
      TRY_DO(staged_.add_symlink(Part::results, link.name, link.target));
    HashThread hash;
    for (const ResultsPlan::File& file : plan.files) TRY_DO(decrypt(Part::results, file.entry, &hash));
    expect(hash.finish(job_.config->session_id.bytes()), *job_.config->result_hash, "hash of the results");
    return {};
  }

  void note(std::string fault) {
    if (fault_.empty()) fault_ = std::move(fault);
  }
  const std::string& fault() const { return fault_; }

 private:
  Result<void> decrypt(Part part, const TreeEntry& entry, HashThread* hash) {
    TRY(const auto source, job_.train.open(part, entry));
    TRY(const UniqueFd file, staged_.add_file(part, entry.name, entry.executable));
    TRY(const auto outcome, stream_.pass(*source, entry.size, hash, file.get()));
    if (outcome == FileStream::Outcome::undecryptable) {
      note(text(folder_name(part), "/", entry.name, " does not decrypt"));
    }
    return {};
  }

  void expect(const Digest512& digest, const HexText& wanted, std::string_view what) {
    if (!std::ranges::equal(digest.bytes(), wanted.bytes())) note(text("the ", what, " is another one"));
  }

  std::uint64_t total_bytes() const {
    return job_.plan.immutable.bytes + (job_.plan.results ? job_.plan.results->bytes : 0);
  }

  const ContentVerifier::Job& job_;
  StagedTrain& staged_;
  FileStream stream_;
  std::string fault_;
};

std::unexpected<Error> undecryptable(std::string fault) {
  return fail(
      ErrorCode::decrypt_failed,
      "the train's contents are not what its creator and the stations before this one have signed",
      "A file or a wrapped key was changed, or it was made for another key. Nothing was released. Fetch the "
      "train again, then ask the station before yours; -v on this machine says what it was.",
      std::move(fault));
}

}  // namespace

Result<VerifiedTrain> ContentVerifier::verify(const Job& job, Result<SymmetricKey> unwrapped,
                                              std::unique_ptr<StagedTrain> staged) {
  if (!unwrapped && unwrapped.error().code != ErrorCode::decrypt_failed)
    return fail(std::move(unwrapped).error());
  Step step(job.observer, "contents", Step::Kind::confidential);
  const bool genuine = unwrapped.has_value();
  const SymmetricKey key = genuine ? *std::move(unwrapped) : SymmetricKey::generate();

  Decryption decryption(job, key, *staged);
  if (!genuine) decryption.note("the wrapped key does not unwrap");
  TRY_DO(decryption.immutable_files());
  TRY_DO(decryption.results());
  if (!decryption.fault().empty()) return undecryptable(decryption.fault());
  step.succeeded();
  return VerifiedTrain(ReleasePermit(), std::move(staged));
}

}  // namespace trainseal
