#include "cli/access/passport.h"

#include <algorithm>
#include <chrono>
#include <functional>

namespace trainseal::cli {

namespace {

constexpr auto kMeasuredFor = std::chrono::milliseconds(300);

Result<Rate> measure(const std::function<Result<void>()>& operation) {
  using Clock = std::chrono::steady_clock;
  Rate rate;
  const auto start = Clock::now();
  for (auto now = start; now - start < kMeasuredFor; now = Clock::now()) {
    TRY_DO(operation());
    ++rate.operations;
  }
  rate.microseconds = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
  return rate;
}

Result<void> measure_rates(TokenKey& key, Passport& passport) {
  TRY(const WrappedKey wrapped, key.public_key().wrap(SymmetricKey::generate()));
  TRY(passport.unwraps, measure([&]() -> Result<void> {
        TRY_DO(key.unwrap(wrapped));
        return {};
      }));
  TRY(passport.signatures, measure([&]() -> Result<void> {
        TRY_DO(key.sign_pss(trial_digest(), PssSalt::protocol));
        return {};
      }));
  return {};
}

}  // namespace

std::uint64_t Rate::per_ten_seconds() const {
  constexpr std::uint64_t kTenSeconds = 10'000'000;
  return microseconds == 0 ? 0 : operations * kTenSeconds / microseconds;
}

Result<Passport> take_passport(Token& token, const Uri& uri, WithRates with_rates) {
  Passport passport;
  TRY(passport.trial, token.probe(uri));
  TRY(passport.token, token.info());
  TRY(const auto keys, token.keys());
  const auto probed = std::ranges::find_if(keys, [&](const KeyInfo& key) { return uri.matches(key); });
  if (probed != keys.end()) passport.key = *probed;
  TRY(passport.claimed, token.claimed_mechanisms());
  const bool wanted = with_rates == WithRates::yes && passport.key.always_authenticate != true;
  if (!wanted || !passport.trial.can_run_trains()) return passport;
  TRY(const auto key, token.key(uri));
  TRY_DO(measure_rates(*key, passport));
  return passport;
}

}  // namespace trainseal::cli
