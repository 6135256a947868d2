// Threads use a key while faults come and go: every call ends in a right answer or a clean error, nothing
// grows, and when the faults are over everything works. Seconds and seed: TRAINSEAL_SOAK_SECONDS,
// TRAINSEAL_SOAK_SEED.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

#include "faults/matrix/cases.h"
#include "token/soft_hsm.h"
#include "token/worker/remote.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

constexpr unsigned kThreads = 3;
constexpr unsigned kSessions = 4;
constexpr long kMayGrowKiB = 32 * 1024;

unsigned setting(const char* name, unsigned otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? static_cast<unsigned>(std::stoul(value)) : otherwise;
}

class FixedPin final : public PinSource {
 public:
  Result<ObtainedPin> obtain(std::string_view) override { return ObtainedPin{pin(kPin), "the test", {}, {}}; }
};

/// Resident memory of a process in KiB.
long resident_kib(const std::string& process) {
  std::ifstream status("/proc/" + process + "/status");
  for (std::string word; status >> word;) {
    long value = 0;
    if (word == "VmRSS:" && status >> value) return value;
  }
  return 0;
}

std::string worker() {
  std::ifstream children(text("/proc/self/task/", ::getpid(), "/children"));
  std::string first;
  children >> first;
  return first;
}

/// The sessions that the program has and knows of, by process, as the record tells.
class SessionCount {
 public:
  void read(const std::string& record) {
    std::istringstream lines(record);
    for (std::string process, function, rest; lines >> process >> function && std::getline(lines, rest);) {
      long& open = open_[process];
      if (function == "C_OpenSession" && rest.find(" rv=CKR_OK") != rest.npos) ++open;
      if (function == "C_CloseSession") --open;
      if (function == "C_Finalize") open = 0;
    }
  }
  long of(const std::string& process) { return open_[process]; }

 private:
  std::map<std::string, long> open_;
};

/// Faults at random. Refused PINs are the matrix's: after one nothing is tried again, by design.
class Weather {
 public:
  explicit Weather(unsigned seed) : random_(seed) {
    for (const Group group : {Group::module, Group::sessions, Group::find, Group::unwrap, Group::sign})
      for (const Fault& fault : faults_of(group))
        if (fault.what.find("PIN") == fault.what.npos) faults_.push_back(fault.rules);
    deeds_ = {"C_Sign do=hang count=1\n",     "C_Decrypt do=abort count=1\n", "C_SignInit do=abort nth=5\n",
              "C_Sign do=close when=after\n", "C_SignInit do=logout nth=3\n", "C_Decrypt delay=30\n"};
  }
  std::string next() { return chance(4) ? "" : chance(5) ? any(deeds_) : any(faults_); }
  std::chrono::milliseconds duration() { return std::chrono::milliseconds(50 + random_() % 300); }

 private:
  bool chance(unsigned of) { return random_() % of == 0; }
  const std::string& any(const std::vector<std::string>& from) { return from[random_() % from.size()]; }

  std::mt19937 random_;
  std::vector<std::string> faults_, deeds_;
};

class Soak {
 public:
  Soak()
      : module_file_(hsm_.folder().path() / "module.so"),
        rules_(hsm_.folder().path() / "rules"),
        log_(hsm_.folder().path() / "log") {
    std::filesystem::copy_file(TRAINSEAL_INTERPOSER, module_file_);
    ::setenv("TRAINSEAL_INTERPOSE_MODULE", kSoftHsmModule, 1);
    ::setenv("TRAINSEAL_INTERPOSE_RULES", rules_.c_str(), 1);
    ::setenv("TRAINSEAL_INTERPOSE_LOG", log_.c_str(), 1);
    module_ = good(open_worker({.program = TRAINSEAL_PROGRAM,
                                .module = module_file_,
                                .backend = "cryptoki",
                                .sessions = kSessions,
                                .deadline = std::chrono::seconds(2)}));
    token_ = good(module_->token(uri("pkcs11:token=probe")));
    good(log_in_and_keep(*token_, source_, ledger_));
    good(token_->generate_key({"station", Bytes{1}}, 2048));
    key_ = good(token_->key(uri("pkcs11:object=station;type=private")));
    wrapped_ = good(key_->public_key().wrap(symmetric_));
    for (int n = 0; n < 200; ++n) use_once();
  }

  void arm(const std::string& rules) {
    std::filesystem::rename(hsm_.folder().file("rules.new", rules), rules_);
    const auto old = hsm_.folder().path() / "log.old";
    std::error_code none;
    std::filesystem::rename(log_, old, none);
    if (!none) sessions_.read(content_of(old));
  }

  void use_once() {
    const auto unwrapped = key_->unwrap(wrapped_);
    if (unwrapped && !std::ranges::equal(unwrapped->expose(), symmetric_.expose())) ++wrong_;
    count(unwrapped);
    const auto signature = key_->sign_pss(digest_, PssSalt::protocol);
    if (signature && !key_->public_key().verifies(digest_, *signature, PssSalt::protocol)) ++wrong_;
    count(signature);
    // As a service does it before its next train.
    if (!unwrapped || !signature) static_cast<void>(log_in_and_keep(*token_, source_, ledger_));
  }

  void run(std::chrono::seconds time, unsigned seed) {
    Weather weather(seed);
    std::atomic<bool> over = false;
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i)
      threads.emplace_back([&] {
        while (!over) use_once();
      });
    const auto end = std::chrono::steady_clock::now() + time;
    for (; std::chrono::steady_clock::now() < end; ++changes_) {
      arm(weather.next());
      std::this_thread::sleep_for(weather.duration());
    }
    arm("");
    over = true;
  }

  /// The first call that goes well after the faults have ended; how many calls that took.
  unsigned calls_to_recover() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (unsigned calls = 1; std::chrono::steady_clock::now() < end; ++calls) {
      static_cast<void>(log_in_and_keep(*token_, source_, ledger_));
      const auto signature = key_->sign_pss(digest_, PssSalt::protocol);
      if (signature && key_->unwrap(wrapped_)) return calls;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // recoveries are not tried at once
    }
    return 0;
  }

  long open_sessions() {
    arm("");
    return sessions_.of(worker());
  }
  void report(unsigned seed) const {
    std::cout << "seed " << seed << ": " << changes_ << " changes of the faults;";
    for (const auto& [end, count] : ends_) std::cout << ' ' << end << ' ' << count;
    std::cout << '\n';
  }
  unsigned wrong() const { return wrong_; }
  const std::map<std::string, unsigned>& ends() const { return ends_; }

 private:
  template <typename T>
  void count(const Result<T>& result) {
    const std::scoped_lock lock(mutex_);
    ++ends_[result ? "right" : std::string(name(result.error().code))];
  }

  SoftHsm hsm_;
  std::filesystem::path module_file_;  ///< its own: the lock around a start is on it
  std::filesystem::path rules_, log_;
  MemoryLedger ledger_;
  std::shared_ptr<PinSource> source_ = std::make_shared<FixedPin>();
  std::shared_ptr<TokenModule> module_;
  std::shared_ptr<Token> token_;
  std::unique_ptr<TokenKey> key_;
  SymmetricKey symmetric_ = SymmetricKey::generate();
  WrappedKey wrapped_;
  Digest512 digest_ = Sha512::of(as_bytes("a result"));
  std::atomic<unsigned> wrong_ = 0;
  std::mutex mutex_;
  std::map<std::string, unsigned> ends_;
  SessionCount sessions_;
  unsigned changes_ = 0;
};

}  // namespace

TEST_CASE("soak under random faults") {
  const unsigned seed = setting("TRAINSEAL_SOAK_SEED", std::random_device{}());
  Soak soak;
  const long own_before = resident_kib("self");
  const long worker_before = resident_kib(worker());
  soak.run(std::chrono::seconds(setting("TRAINSEAL_SOAK_SECONDS", 60)), seed);
  const unsigned calls = soak.calls_to_recover();
  soak.report(seed);
  std::cout << "well again after " << calls << " calls; sessions " << soak.open_sessions() << "; memory "
            << own_before << " -> " << resident_kib("self") << " KiB, worker " << worker_before << " -> "
            << resident_kib(worker()) << " KiB\n";
  CHECK(calls > 0);
  CHECK(soak.wrong() == 0);
  for (const auto& [end, count] : soak.ends()) {
    INFO(end << ": " << count);
    CHECK((end == "right" || end == "token_unavailable" || end == "token_failed" ||
           end == "mechanism_refused" || end == "key_not_found" || end == "pin_missing"));
  }
  CHECK(soak.open_sessions() <= static_cast<long>(kSessions) + 1);  // and the keeper
  CHECK(resident_kib("self") - own_before < kMayGrowKiB);
  CHECK(resident_kib(worker()) - worker_before < kMayGrowKiB);
}
