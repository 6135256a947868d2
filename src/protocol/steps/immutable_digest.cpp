#include "protocol/steps/immutable_digest.h"

#include <algorithm>

#include "crypto/hash_thread.h"
#include "protocol/steps/file_stream.h"

namespace trainseal {

Result<Digest512> immutable_digest(const Identifier& creator, ByteView session_id, const ImmutablePlan& plan,
                                   TrainView& train) {
  FileStream stream(nullptr, nullptr, [](std::uint64_t) {});
  HashThread hash;
  const auto add = [&](const TreeEntry& entry) -> Result<void> {
    TRY(const auto source, train.open(Part::train, entry));
    TRY(const auto outcome, stream.pass(*source, entry.size, &hash, FileStream::kNoOutput));
    static_cast<void>(outcome);  // nothing is decrypted here
    return {};
  };
  hash.update(as_bytes(creator.text()));
  for (const TreeEntry& entry : plan.listed) TRY_DO(add(entry));
  hash.update(session_id);
  if (plan.query) TRY_DO(add(*plan.query));
  return hash.finish({});
}

Result<bool> immutable_files_are_plain(const TrainConfig& config, TrainView& train) {
  TRY(auto entries, train.entries(Part::train));
  const ImmutablePlan plan = plan_immutable(config, std::move(entries));
  if (!plan.missing.empty()) return false;
  TRY(const Digest512 digest, immutable_digest(config->creator.id, config->session_id.bytes(), plan, train));
  return std::ranges::equal(digest.bytes(), config->hash.bytes());
}

}  // namespace trainseal
