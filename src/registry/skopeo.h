#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "image/image.h"

namespace trainseal {

/// What calls to registries go by (settings `registry`).
struct RegistrySettings {
  std::optional<std::string> authfile;  ///< credentials; none: skopeo's own, REGISTRY_AUTH_FILE first
  bool tls_verify = true;               ///< false: HTTP, too, and any certificate
  std::chrono::seconds patience{600};   ///< how long nothing may move
};

/// The program skopeo, for one repository in a registry. Nothing that a registry says is trusted: what comes
/// is held against digests, and no more of it is taken than the manifest says. Errors: `registry_failed` with
/// what skopeo says, cut; `digest_mismatch` if the registry answers with something else than it was asked
/// for.
class Skopeo {
 public:
  /// `repository` is HOST[:PORT]/NAME; `folder` a private one in a layout, where skopeo runs and
  /// keeps what is temporary.
  Skopeo(RegistrySettings settings, std::string repository, std::filesystem::path folder)
      : settings_(std::move(settings)), repository_(std::move(repository)), folder_(std::move(folder)) {}

  /// The manifest that the tag names now, or the index.
  Result<Bytes> manifest_of_tag(const std::string& tag) const;
  /// The same; none if the registry has no such tag.
  Result<std::optional<Bytes>> find_manifest(const std::string& tag) const;
  /// The manifest of that digest.
  Result<Bytes> manifest(const Digest256& digest) const;
  /// The config of the image of that manifest.
  Result<Bytes> config(const Digest256& manifest) const;
  /// Copies the image of that manifest into the new folder `to`, below `folder`: each blob under its digest
  /// in hex, as the registry has it. `most_bytes`: of the largest blob.
  Result<void> pull(const Digest256& manifest, const std::string& to, std::uint64_t most_bytes) const;
  /// Copies the image `tag` of the layout around `folder` to the reference.
  Result<void> push(const std::string& tag, const std::string& reference) const;

  std::string by_tag(const std::string& tag) const { return text_of(':' + tag); }
  std::string by_digest(const Digest256& digest) const { return text_of("@sha256:" + digest.hex()); }

 private:
  std::string text_of(const std::string& rest) const { return "docker://" + repository_ + rest; }
  Result<Bytes> inspect(const std::string& reference, bool config) const;
  struct Call;
  Result<Bytes> run(Call call) const;

  RegistrySettings settings_;
  std::string repository_;
  std::filesystem::path folder_;
};

}  // namespace trainseal
