#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/digest.h"
#include "engine/http.h"

namespace trainseal {

/// An image as an engine tells of it.
struct EngineImage {
  std::string id;                          ///< `sha256:` and hex; what it is asked for by
  std::optional<Digest256> config_digest;  ///< none where the engine names images by something else
  std::vector<Digest256> diff_ids;         ///< lowest first
  std::uint64_t size = 0;                  ///< bytes, unpacked, as the engine has counted them
  std::vector<std::string> names;          ///< NAME:TAG, as the engine completes them
};

/// A line of the engine's list of images, or of that of containers.
struct EngineEntry {
  std::string id;            ///< `sha256:` and hex of an image, hex of a container
  std::string image;         ///< the id of a container's image
  std::int64_t created = 0;  ///< seconds since 1970
};

/// A container engine with Docker's API, be it Docker's or podman's. Nothing that it says is trusted: answers
/// are bounded in size and depth and in how long they may take. Errors: `engine_failed` with what the engine
/// says, cut and without paths.
class Engine {
 public:
  /// Agrees with the engine on a version of the API: its newest, but none newer than ours.
  static Result<Engine> connect(const EngineSettings& settings);

  /// The version of the API that both speak, "1.41".
  const std::string& version() const { return version_; }
  /// The image that has the name or id; none if there is none.
  Result<std::optional<EngineImage>> find(const std::string& name) const;
  /// All images, those without a name and those below others among them.
  Result<std::vector<EngineEntry>> images() const;
  /// All containers, the stopped ones among them.
  Result<std::vector<EngineEntry>> containers() const;
  /// Writes the image's archive, as `docker save` does, to the open file `fd`. `no_space` if it is more than
  /// an image of that size can be.
  Result<void> save(const EngineImage& image, int fd, const std::filesystem::path& path) const;
  /// Gives the engine an archive of images, as `docker load` does; done again once if the engine breaks off.
  Result<void> load(const std::filesystem::path& archive) const;
  /// Gives an image the name `repository`:`tag`, which another one may have had.
  Result<void> tag(const std::string& id, const std::string& repository, const std::string& tag) const;
  /// Removes an image that has no name, and those below it that nothing else needs. An engine that has a
  /// container of it refuses.
  Result<void> remove(const std::string& id) const;

 private:
  Engine(HttpClient client, std::string version) : client_(std::move(client)), version_(std::move(version)) {}
  std::string path(std::string_view call) const;
  Result<std::vector<EngineEntry>> list(std::string_view what) const;
  Result<void> load_once(const std::filesystem::path& archive) const;

  HttpClient client_;
  std::string version_;
};

}  // namespace trainseal
