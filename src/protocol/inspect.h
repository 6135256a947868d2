#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/station.h"
#include "store/train_store.h"

namespace trainseal {

/// A train as a person wants to see it. Nothing in it has been checked.
struct Inspection {
  struct Stop {
    std::string station;
    std::string eco_system;
    unsigned key_bits;
    std::string fingerprint;  ///< hex
    bool signed_;
    bool can_read;  ///< holds a wrapped key
    bool mine;      ///< this station's id
  };
  struct File {
    std::string name;
    std::uint64_t bytes;  ///< as it lies there, encrypted or not
  };
  std::string train_id, session_id, proposal_id, creator_id, source;
  std::string creator_fingerprint, builder_fingerprint;
  std::vector<Stop> route;
  std::vector<std::string> file_list;
  std::vector<File> immutable_files, results;
  bool has_query = false;
  bool has_statements = false;
  bool is_plain = false;  ///< the immutable files lie there in plaintext
  std::optional<std::string> result_hash;
};

Result<Inspection> inspect(Station& station, TrainView& train);

}  // namespace trainseal
