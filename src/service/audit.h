#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "state/chain/chain_log.h"
#include "token/token_key.h"

namespace trainseal::service {

/// The service's audit: what was asked, what the key did and how it ended, each on disk before anything
/// follows from it (SERVICE "Audit"). Thread-safe.
class Audit {
 public:
  /// The log is `<state>/audit.jsonl`. Errors: as `ChainLog::open`.
  static Result<std::unique_ptr<Audit>> open(const StateFolder& state);

  /// Errors: as `ChainLog::append`; then what is to be recorded must not happen, or must not be told.
  Result<void> record(std::string_view kind, const nlohmann::ordered_json& fields);
  /// Has the token sign the head, with the statement's salt. Errors: the token's, and as `record`.
  Result<void> sign_head(TokenKey& key);
  /// The same, as the last line of all.
  Result<void> close(TokenKey& key);

  const ChainLog& log() const { return *log_; }

 private:
  explicit Audit(std::unique_ptr<ChainLog> log) : log_(std::move(log)) {}
  Result<SignedHead> signed_head(TokenKey& key) const;

  std::unique_ptr<ChainLog> log_;
};

}  // namespace trainseal::service
