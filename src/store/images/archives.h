#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "state/state_folder.h"
#include "store/image_transport.h"

namespace trainseal {

/// The tar of an OCI layout, `oci-archive:FILE`. A file that is not there can be delivered to only.
Result<std::shared_ptr<ImageTransport>> open_oci_archive(const StateFolder& state,
                                                         const std::filesystem::path& file);

/// What `docker save` writes, `docker-archive:FILE:NAME`; with no `name`, that of the images in the file
/// (`usage` if there are several, or none; `store_failed` if there is no file). What is written can also be
/// read as the tar of an OCI layout.
Result<std::shared_ptr<ImageTransport>> open_docker_archive(const StateFolder& state,
                                                            const std::filesystem::path& file,
                                                            const std::string& name);

}  // namespace trainseal
