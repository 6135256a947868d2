#include <algorithm>
#include <thread>

#include "base/text.h"
#include "pkcs11/direct/token.h"
#include "pkcs11/start.h"

namespace trainseal {

CryptokiToken::CryptokiToken(std::shared_ptr<CryptokiModule> module, TokenInfo info)
    : module_(std::move(module)),
      info_(std::move(info)),
      slot_(info_.slot_id),
      pool_(module_->functions(), module_->settings()),
      initialization_(module_->initializations()) {}

CryptokiToken::~CryptokiToken() {
  const auto lock = module_->alone();
  close_sessions();
}

void CryptokiToken::close_sessions() {
  const bool alive = initialization_ == module_->initializations();
  pool_.close(alive);
  if (alive && keeper_ != CK_INVALID_HANDLE) {
    if (logged_in_) module_->functions().C_Logout(keeper_);
    module_->functions().C_CloseSession(keeper_);
  }
  keeper_ = CK_INVALID_HANDLE;
  if (counted_.exchange(false)) module_->count_user(-1);
  ++epoch_;
}

CkResult<TokenInfo> CryptokiToken::read_info() { return read_again(module_->functions(), info_, slot_); }

Result<TokenInfo> CryptokiToken::info() {
  const auto operation = module_->operation();
  auto info = read_info();
  if (!info) return fail(error_of(info.error(), purpose("does not answer")));
  return *std::move(info);
}

CkResult<void> CryptokiToken::open_keeper() {
  initialization_ = module_->initializations();
  TRAINSEAL_CK(module_->functions(), C_OpenSession, slot_, CKF_SERIAL_SESSION, nullptr, nullptr, &keeper_);
  if (!counted_.exchange(true)) module_->count_user(1);
  ++epoch_;
  return {};
}

CkResult<void> CryptokiToken::send_log_in() {
  const ByteView pin = pin_ ? pin_->expose() : ByteView{};
  const CK_RV rv = module_->functions().C_Login(keeper_, CKU_USER, input(pin), pin.size());
  // This process has the only sessions: a log-in that is there already is ours.
  if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN) return std::unexpected(CkFailure{"C_Login", rv});
  // A module that only says so would show no keys ever after.
  CK_SESSION_INFO now{};
  const bool known = module_->functions().C_GetSessionInfo(keeper_, &now) == CKR_OK;
  if (known && now.state == CKS_RO_PUBLIC_SESSION)
    return std::unexpected(CkFailure{"C_Login", CKR_USER_NOT_LOGGED_IN});
  logged_in_ = true;
  return {};
}

bool CryptokiToken::replaces_refused_pin(const std::optional<Pin>& pin) const {
  return pin_refused_ && pin && pin_ && !std::ranges::equal(pin->expose(), pin_->expose());
}

Result<void> CryptokiToken::log_in(std::optional<Pin> pin) {
  const StartLock start_lock(module_->settings().module, module_->settings().deadline);
  const auto lock = module_->alone();
  if (logged_in_ && !replaces_refused_pin(pin)) return {};
  close_sessions();
  logged_in_ = false;
  pin_ = std::move(pin);
  pin_refused_ = false;
  unanswered_ = false;
  auto done = start_log_in();
  if (!done) {
    close_sessions();
    pin_.reset();
  }
  return done;
}

Result<void> CryptokiToken::start_log_in() {
  for (unsigned attempt = 0;; ++attempt) {
    const auto info = read_info();
    CkResult<void> done;
    if (info) {
      TRY_DO(check_pin_flags(*info));
      if (!info->login_required) return {};
      slot_ = info->slot_id;
      done = open_keeper();
      if (done) done = send_log_in();
    } else {
      done = std::unexpected(info.error());
    }
    if (done) return {};
    unanswered_ = may_have_counted(done.error(), info_);
    if (!may_start_again(done.error(), info_) || attempt + 1 == kStartAttempts)
      return fail(error_of(done.error(), purpose("refuses the log-in")));
    close_sessions();
    if (module_->has_users()) {
      std::this_thread::sleep_for(module_->settings().backoff(attempt));
    } else {
      // The next attempt sees whether it worked.
      [[maybe_unused]] const auto restarted = module_->initialize_again(attempt);
    }
  }
}

Result<void> CryptokiToken::log_out() {
  const auto lock = module_->alone();
  close_sessions();
  logged_in_ = false;
  pin_.reset();
  return {};
}

CkResult<void> CryptokiToken::recover(unsigned seen_epoch, FailureClass failure) {
  const auto lock = module_->alone();
  if (epoch_ != seen_epoch) return {};  // another thread has done it
  const auto now = std::chrono::steady_clock::now();
  if (now < no_recovery_before_) return std::unexpected(CkFailure{"C_Initialize", CKR_DEVICE_REMOVED});
  auto recovered = rebuild(failure);
  if (!recovered) no_recovery_before_ = now + module_->settings().recovery_pause;
  return recovered;
}

CkResult<void> CryptokiToken::rebuild(FailureClass failure) {
  const bool restarted = initialization_ != module_->initializations();
  close_sessions();
  for (unsigned attempt = 0;; ++attempt) {
    CkResult<void> ready;
    if ((failure == FailureClass::device && !restarted) || attempt > 0)
      ready = module_->initialize_again(attempt);
    if (ready) ready = come_back();
    if (ready || !may_start_again(ready.error(), info_) || attempt + 1 == kMaxTries) return ready;
    close_sessions();
  }
}

CkResult<void> CryptokiToken::come_back() {
  const auto info = read_info();
  if (!info) return std::unexpected(info.error());
  slot_ = info->slot_id;
  if (auto opened = open_keeper(); !opened) return opened;
  if (!logged_in_) return {};
  // At a PIN pad a person has to come; and a token that counts wrong PINs is not asked again and again.
  CkResult<void> done = std::unexpected(CkFailure{"C_Login", CKR_USER_NOT_LOGGED_IN});
  if (pin_ && !pin_refused_ && check_pin_flags(*info)) {
    done = send_log_in();
    if (!done) done.error().pin_unclear = may_have_counted(done.error(), info_);
  }
  if (done || may_start_again(done.error(), info_)) return done;
  logged_in_ = false;
  pin_.reset();
  return done;
}

}  // namespace trainseal
