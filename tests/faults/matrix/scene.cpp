#include "faults/matrix/scene.h"

#include <algorithm>
#include <thread>

#include "fixtures/software_token.h"

namespace trainseal::test {
namespace {

constexpr const char* kKey = "pkcs11:token=probe;object=station;type=private";

/// The one place that knows what stands behind the token layer's interface.
Result<std::shared_ptr<TokenModule>> open_backend(TrialCache& cache) {
  ModuleSettings settings;
  settings.module = TRAINSEAL_INTERPOSER;
  settings.first_backoff = std::chrono::milliseconds(1);
  settings.recovery_pause = kRecoveryPause;
  settings.deadline = std::chrono::seconds(2);
  return open_cryptoki(settings, cache);
}

template <typename T>
StepOutcome outcome(std::string step, const Result<T>& result) {
  StepOutcome out{std::move(step), result.has_value(), {}, {}};
  if (!result) out.error = result.error();
  return out;
}

}  // namespace

Scene::Scene()
    : rules_(hsm_.folder().path() / "rules"),
      log_(hsm_.folder().path() / "log"),
      foreign_key_(SoftwareKey::generate().private_pem()),
      digest_(Sha512::of(as_bytes("a result"))),
      symmetric_(SymmetricKey::generate()) {
  ::setenv("TRAINSEAL_INTERPOSE_MODULE", kSoftHsmModule, 1);
  ::setenv("TRAINSEAL_INTERPOSE_LOG", log_.c_str(), 1);
  ::setenv("TRAINSEAL_INTERPOSE_RULES", rules_.c_str(), 1);
  module_ = good(open_backend(cache_));
  token_ = good(module_->token(uri("pkcs11:token=probe")));
  good(token_->log_in(pin(kPin)));
  const KeyInfo made = good(token_->generate_key({"station", Bytes{1}}, 2048));
  wrapped_ = good(made.public_key->wrap(symmetric_));
  key_ = good(token_->key(uri(kKey)));
}

void Scene::arm(const std::string& rules) const {
  std::filesystem::remove(log_);
  const auto fresh = hsm_.folder().file("rules.new", rules);
  std::filesystem::rename(fresh, rules_);
}

std::string Scene::record() const { return content_of(log_); }

StepOutcome Scene::unwrap() {
  const auto key = key_->unwrap(wrapped_);
  StepOutcome out = outcome("unwrap", key);
  if (key && !std::ranges::equal(key->expose(), symmetric_.expose())) out.wrong = "a wrong key was returned";
  if (!key && key.error().code == ErrorCode::decrypt_failed) out.wrong = "a good ciphertext was called bad";
  return out;
}

StepOutcome Scene::sign() {
  const auto signature = key_->sign_pss(digest_, PssSalt::protocol);
  StepOutcome out = outcome("sign", signature);
  if (signature && !key_->public_key().verifies(digest_, *signature, PssSalt::protocol))
    out.wrong = "a wrong signature was returned";
  return out;
}

std::vector<StepOutcome> Scene::use() {
  if (!key_) return {outcome("open", open_all())};
  return {unwrap(), sign()};
}

Result<void> Scene::open_all() {
  if (!module_) {
    TRY(module_, open_backend(cache_));
  }
  if (!token_) {
    TRY(token_, module_->token(uri("pkcs11:token=probe")));
  }
  TRY_DO(token_->log_in(pin(kPin)));
  if (!key_) {
    TRY(key_, token_->key(uri(kKey)));
  }
  return {};
}

std::vector<StepOutcome> Scene::start() {
  key_.reset();
  token_.reset();
  module_.reset();
  cache_.entries.clear();
  std::vector<StepOutcome> steps = {outcome("open", open_all())};
  if (!steps.front().right) return steps;
  steps.push_back(unwrap());
  steps.push_back(sign());
  return steps;
}

StepOutcome Scene::attempt(bool with_a_new_key) {
  if (with_a_new_key) key_.reset();
  StepOutcome out = outcome("open", open_all());
  if (out.right) out = unwrap();
  if (out.right && out.wrong.empty()) out = sign();
  return out;
}

StepOutcome Scene::import() {
  return outcome("import",
                 token_->import_key({made_, Bytes{2}}, SecretBytes::copy_of(as_bytes(foreign_key_)), {}));
}

StepOutcome Scene::generate() { return outcome("generate", token_->generate_key({made_, Bytes{2}}, 2048)); }

StepOutcome Scene::remove() {
  return outcome("delete", token_->delete_key(uri(text("pkcs11:object=", made_, ";type=private"))));
}

std::vector<StepOutcome> Scene::manage(std::string_view function) {
  if (!token_) return {outcome("open", open_all())};
  const bool generates = function == "C_GenerateKeyPair" || function == "C_GetMechanismInfo";
  return {generates ? generate() : import(), remove()};
}

StepOutcome Scene::is_tidy() {
  StepOutcome removed = remove();
  if (!removed.right && removed.error.code != ErrorCode::key_not_found) return removed;
  const StepOutcome made = import();
  if (!made.right) return made;
  removed = remove();
  if (!removed.right) return removed;
  const auto keys = token_->keys();
  StepOutcome out = outcome("keys", keys);
  if (keys && keys->size() != 1) out.wrong = text(keys->size(), " keys are on the token");
  return out;
}

}  // namespace trainseal::test
