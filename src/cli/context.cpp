#include "cli/context.h"

#include "base/text.h"

namespace trainseal::cli {

Result<const Configuration*> Context::configuration() {
  if (configuration_) return &*configuration_;
  TRY(configuration_, resolve(options_, environment_));
  if (configuration_->software_key && !configuration_->keys.empty())
    observer_.warning(text(*configuration_->software_key,
                           " is about a key outside of tokens, which is never used for trains. Remove the "
                           "variable, and that key "
                           "once it is in the token"));
  return &*configuration_;
}

}  // namespace trainseal::cli
