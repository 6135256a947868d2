#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "registry/skopeo.h"
#include "store/image_transport.h"

namespace trainseal {

/// The images of one repository in a registry, `docker://HOST[:PORT]/NAME`, by the program skopeo. An image
/// named `base` is never sent (`denied`). `repository` has passed `check_repository` and names a host.
Result<std::shared_ptr<ImageTransport>> open_registry(const RegistrySettings& settings,
                                                      const std::string& repository);

}  // namespace trainseal
