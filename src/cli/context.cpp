#include "cli/context.h"

#include "base/text.h"

namespace trainseal::cli {

Result<const Configuration*> Context::configuration() {
  if (configuration_) return &*configuration_;
  TRY(configuration_, resolve(options_, environment_));
  if (configuration_->software_key && !configuration_->keys.empty())
    observer_.warning(text(
        *configuration_->software_key,
        " is ignored: the key on the token is used. Remove the variable, and the key that it is about once "
        "that is in the token"));
  return &*configuration_;
}

}  // namespace trainseal::cli
