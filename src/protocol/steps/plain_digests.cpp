#include "protocol/steps/plain_digests.h"

#include <algorithm>

#include "crypto/hash_thread.h"
#include "protocol/steps/file_stream.h"

namespace trainseal {

namespace {

/// Hashes plaintext files one after the other.
class PlainHash {
 public:
  explicit PlainHash(TrainView& train) : train_(train), stream_(nullptr, nullptr, [](std::uint64_t) {}) {}

  void add(ByteView bytes) { hash_.update(bytes); }
  Result<void> add(Part part, const TreeEntry& entry, bool follow = false) {
    TRY(const auto source, train_.open(part, entry, follow));
    TRY_DO(stream_.pass(*source, entry.size, &hash_, FileStream::kNoOutput));
    return {};
  }
  Digest512 finish() { return hash_.finish({}); }

 private:
  TrainView& train_;
  FileStream stream_;
  HashThread hash_;
};

}  // namespace

Result<Digest512> immutable_digest(const Identifier& creator, ByteView session_id, const ImmutablePlan& plan,
                                   TrainView& train) {
  PlainHash hash(train);
  hash.add(as_bytes(creator.text()));
  for (const TreeEntry& entry : plan.listed) TRY_DO(hash.add(Part::train, entry));
  hash.add(session_id);
  if (plan.query) TRY_DO(hash.add(Part::train, *plan.query));
  return hash.finish();
}

Result<Digest512> results_digest(ByteView session_id, const ResultsPlan& plan, TrainView& train) {
  PlainHash hash(train);
  for (const ResultsPlan::File& file : plan.files) TRY_DO(hash.add(Part::results, file.entry, file.follow));
  hash.add(session_id);
  return hash.finish();
}

Result<bool> immutable_files_are_plain(const TrainConfig& config, TrainView& train) {
  TRY(auto entries, train.entries(Part::train));
  const ImmutablePlan plan = plan_immutable(config, std::move(entries));
  if (!plan.missing.empty()) return false;
  TRY(const Digest512 digest, immutable_digest(config->creator.id, config->session_id.bytes(), plan, train));
  return std::ranges::equal(digest.bytes(), config->hash.bytes());
}

}  // namespace trainseal
