#include <thread>

#include "base/text.h"
#include "pkcs11/libp11/token.h"
#include "pkcs11/selection.h"
#include "pkcs11/start.h"

namespace trainseal {
namespace {

std::string implementation_of(const ModuleSettings& settings, TrialCache& cache) {
  const std::string digest = module_digest(settings.module, cache);
  return digest.empty() ? digest : text(digest, " libp11");
}

}  // namespace

Libp11Module::Libp11Module(ModuleSettings settings, const CK_FUNCTION_LIST& functions, TrialCache& cache)
    : settings_(std::move(settings)),
      functions_(functions),
      cache_(cache),
      implementation_(implementation_of(settings_, cache)),
      in_use_(settings_.serialize) {}

CkResult<void> Libp11Module::load() {
  if (context_) return {};
  auto loaded = Libp11Context::load(settings_);
  if (!loaded) return std::unexpected(loaded.error());
  context_ = *std::move(loaded);
  return {};
}

void Libp11Module::close_if_unused() {
  if (users_ == 0) context_.reset();
}

std::optional<CkResult<std::vector<TokenInfo>>> Libp11Module::read_beside_operations(const Uri* wanted) {
  const auto lock = operation();
  if (!context_) return std::nullopt;
  auto tokens = read_tokens(functions_);
  if (users_ > 0 || shows(tokens, wanted)) return tokens;
  return std::nullopt;
}

CkResult<std::vector<TokenInfo>> Libp11Module::start(const Uri* wanted) {
  const StartLock start_lock(settings_.module, settings_.deadline);
  if (auto tokens = read_beside_operations(wanted)) return *std::move(tokens);
  const auto lock = alone();
  const auto read = [this]() -> CkResult<std::vector<TokenInfo>> {
    if (auto ready = load(); !ready) return std::unexpected(ready.error());
    return read_tokens(functions_);
  };
  const auto restart = [this](unsigned attempt) {
    context_.reset();
    std::this_thread::sleep_for(settings_.backoff(attempt));
  };
  return read_until_found(wanted, users_ == 0, read, restart);
}

Result<std::vector<TokenInfo>> Libp11Module::tokens() {
  auto tokens = start(nullptr);
  if (!tokens) return fail(start_error(settings_.module, tokens.error()));
  return *std::move(tokens);
}

Result<std::shared_ptr<Token>> Libp11Module::token(const Uri& uri) {
  const auto tokens = start(&uri);
  if (!tokens) return fail(start_error(settings_.module, tokens.error()));
  TRY(const TokenInfo found, only_token(settings_.module, *tokens, uri));
  return opened_.find_or(found, [&] { return std::make_shared<Libp11Token>(shared_from_this(), found); });
}

Result<std::shared_ptr<TokenModule>> open_libp11(ModuleSettings settings, TrialCache& cache) {
  TRY(const CK_FUNCTION_LIST* functions, load_module(settings.module));
  return std::make_shared<Libp11Module>(std::move(settings), *functions, cache);
}

}  // namespace trainseal
