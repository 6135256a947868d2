#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "engine/host.h"
#include "store/image_transport.h"

namespace trainseal {

/// The images `repository` of a container engine, `docker-daemon:NAME`. The engine is asked when the first
/// image is. `repository` has passed `check_repository`.
Result<std::shared_ptr<ImageTransport>> open_engine(const EngineSettings& settings,
                                                    const std::string& repository);

}  // namespace trainseal
