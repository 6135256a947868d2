#pragma once

#include <filesystem>
#include <string>

#include "protocol/station.h"
#include "store/train_store.h"

namespace trainseal {

struct Proposal {
  std::string json;  ///< the config without `build`, in the written form
  std::string train_id;
  std::string session_id;   ///< hex, 64 random bytes
  std::string hash;         ///< hex
  std::string fingerprint;  ///< of the creator's key
  std::size_t stops = 0;
};

/// The creator's part (SERVICE.md "Examples" has a SPEC): a fresh session id, the hash over `files` (the
/// tree's top is the content of `pht_train`) and the creator's signature. `spec_folder` is where the SPEC's
/// key files are looked up. `usage` names what is wrong with the SPEC.
Result<Proposal> propose(Station& station, ByteView spec, const std::filesystem::path& spec_folder,
                         const std::filesystem::path& files);

}  // namespace trainseal
