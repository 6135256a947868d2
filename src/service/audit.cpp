#include "service/audit.h"

#include <utility>

namespace trainseal::service {

namespace {
constexpr const char* kLogName = "audit";
}

Result<std::unique_ptr<Audit>> Audit::open(const StateFolder& state) {
  TRY(auto log, ChainLog::open(state, kLogName));
  return std::unique_ptr<Audit>(new Audit(std::move(log)));
}

Result<void> Audit::record(std::string_view kind, const nlohmann::ordered_json& fields) {
  TRY_DO(log_->append(kind, fields));
  return {};
}

Result<SignedHead> Audit::signed_head(TokenKey& key) const {
  const ChainHead head = log_->head();
  TRY(auto signature, key.sign_pss(digest_of(kLogName, head), PssSalt::statement));
  return SignedHead{head, key.public_key(), std::move(signature)};
}

Result<void> Audit::sign_head(TokenKey& key) {
  TRY(const auto head, signed_head(key));
  TRY_DO(log_->append_head(head));
  return {};
}

Result<void> Audit::close(TokenKey& key) {
  TRY(const auto head, signed_head(key));
  TRY_DO(log_->close(head));
  return {};
}

}  // namespace trainseal::service
