#include <thread>

#include "base/text.h"
#include "pkcs11/libp11/token.h"
#include "pkcs11/selection.h"
#include "pkcs11/start.h"

namespace trainseal {
namespace {

std::string implementation_of(const ModuleSettings& settings) {
  const std::string digest = module_digest(settings.module);
  return digest.empty() ? digest : text(digest, " libp11");
}

}  // namespace

Libp11Module::Libp11Module(ModuleSettings settings, const CK_FUNCTION_LIST& functions, TrialCache& cache)
    : settings_(std::move(settings)),
      functions_(functions),
      cache_(cache),
      implementation_(implementation_of(settings_)),
      in_use_(settings_.serialize) {}

CkResult<std::vector<TokenInfo>> Libp11Module::read_tokens() {
  if (!context_) {
    auto loaded = Libp11Context::load(settings_);
    if (!loaded) return std::unexpected(loaded.error());
    context_ = *std::move(loaded);
  }
  return trainseal::read_tokens(functions_);
}

void Libp11Module::close_if_unused() {
  if (users_ == 0) context_.reset();
}

CkResult<std::vector<TokenInfo>> Libp11Module::start(const Uri* wanted) {
  const auto read = [this] { return read_tokens(); };
  const auto restart = [this](unsigned attempt) {
    context_.reset();
    std::this_thread::sleep_for(settings_.backoff(attempt));
  };
  return read_until_found(wanted, users_ == 0, read, restart);
}

Result<std::vector<TokenInfo>> Libp11Module::tokens() {
  const StartLock start_lock(settings_.module, settings_.deadline);
  const auto lock = alone();
  auto tokens = start(nullptr);
  if (!tokens) return fail(start_error(settings_.module, tokens.error()));
  return *std::move(tokens);
}

Result<std::shared_ptr<Token>> Libp11Module::token(const Uri& uri) {
  const StartLock start_lock(settings_.module, settings_.deadline);
  const auto lock = alone();
  const auto tokens = start(&uri);
  if (!tokens) return fail(start_error(settings_.module, tokens.error()));
  TRY(TokenInfo found, only_token(settings_.module, *tokens, uri));
  auto& known = opened_[text(uri_of(found).str(), ' ', found.slot_id)];
  if (auto token = known.lock()) return token;
  auto token = std::make_shared<Libp11Token>(shared_from_this(), std::move(found));
  known = token;
  return token;
}

Result<std::shared_ptr<TokenModule>> open_libp11(ModuleSettings settings, TrialCache& cache) {
  TRY(const CK_FUNCTION_LIST* functions, load_module(settings.module));
  return std::make_shared<Libp11Module>(std::move(settings), *functions, cache);
}

}  // namespace trainseal
