#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "service/jobs/gate.h"
#include "service/policy.h"
#include "train/json.h"

namespace trainseal::service {

/// A command of the protocol that the service offers, with the options that its requests may have.
struct Verb {
  enum class Kind : std::uint8_t {
    flag,  ///< true or false
    text,
    train,   ///< the name of a train or an image
    trains,  ///< a list of them
    folder,  ///< below the policy's `out`
  };
  struct Option {
    std::string_view name;  ///< as on the command line, without "--"
    Kind kind;
    bool is_override = false;  ///< needs the policy's leave
  };
  std::string_view name;
  Allowance allowance;
  bool changes = false;         ///< trains, plaintext or state
  std::vector<Option> options;  ///< besides `train`
};

/// The verb of that name; null if the service does not offer it.
const Verb* find_verb(std::string_view name);

/// A request's body as the words of the command, and as what the policy has to allow. `usage` for what is no
/// JSON object with the verb's options.
struct ReadCall {
  std::string train;
  std::vector<std::string> words;
  Wanted wanted;
};
Result<ReadCall> read_call(const Verb& verb, ByteView body);

}  // namespace trainseal::service
