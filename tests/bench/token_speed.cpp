// How fast a token signs and unwraps: through a bare Cryptoki loop, through the direct backend in this
// process, and through a worker process. scripts/bench token runs it.
//
//   token_speed WAY OPERATION THREADS SECONDS    prints operations per second; 0 seconds: one operation, then
//   exit
//
// WAY: bare, direct, worker-cryptoki, worker-libp11. OPERATION: sign (RSA-PSS, the protocol's salt) or
// unwrap. The environment names TRAINSEAL_MODULE, TRAINSEAL_BENCH_TOKEN, TRAINSEAL_BENCH_KEY,
// TRAINSEAL_BENCH_PIN, TRAINSEAL_BENCH_TRIALS (a state folder).

#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "cli/access/state_trials.h"
#include "pkcs11/backend.h"
#include "pkcs11/cryptoki.h"
#include "token/worker/remote.h"

using namespace trainseal;

namespace {

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    std::fprintf(stderr, "token_speed: %s is not set\n", name);
    std::exit(2);
  }
  return value;
}

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "token_speed: %s\n", what.c_str());
  std::exit(1);
}

template <typename T>
T good(Result<T> result) {
  if (!result) give_up(text(result.error().what, " | ", result.error().detail));
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

void check(CK_RV rv, const char* function) {
  if (rv != CKR_OK) give_up(text(function, ": ", rv_name(rv)));
}

const Digest512 kDigest = Sha512::of(as_bytes("what is signed again and again"));
constexpr unsigned kSessions = 8;

/// One thread's operation.
using Operation = std::function<void()>;
using MakeOperation = std::function<Operation()>;

/// The key through nothing but Cryptoki: what a token can do at most.
class Bare {
 public:
  Bare() {
    void* library = ::dlopen(setting("TRAINSEAL_MODULE").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) give_up("the module cannot be loaded");
    const auto get_list = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
    check(get_list(&p11_), "C_GetFunctionList");
    CK_C_INITIALIZE_ARGS arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;
    check(p11_->C_Initialize(&arguments), "C_Initialize");
    slot_ = find_slot();
    const CK_SESSION_HANDLE session = open();
    std::string pin = setting("TRAINSEAL_BENCH_PIN");
    check(p11_->C_Login(session, CKU_USER, reinterpret_cast<CK_BYTE*>(pin.data()), pin.size()), "C_Login");
    key_ = find_key(session);
    CK_ATTRIBUTE modulus{CKA_MODULUS, nullptr, 0};
    check(p11_->C_GetAttributeValue(session, key_, &modulus, 1), "C_GetAttributeValue");
    modulus_bytes_ = modulus.ulValueLen;
  }
  ~Bare() { p11_->C_Finalize(nullptr); }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;

  Operation sign() {
    return [this, session = open(), out = Bytes(modulus_bytes_)]() mutable {
      CK_RSA_PKCS_PSS_PARAMS pss{CKM_SHA512, CKG_MGF1_SHA512,
                                 salt_bytes(PssSalt::protocol, static_cast<unsigned>(modulus_bytes_ * 8))};
      CK_MECHANISM mechanism{CKM_RSA_PKCS_PSS, &pss, sizeof pss};
      CK_ULONG size = out.size();
      check(p11_->C_SignInit(session, &mechanism, key_), "C_SignInit");
      check(p11_->C_Sign(session, input(kDigest.bytes()), Digest512::kBytes, out.data(), &size), "C_Sign");
    };
  }
  Operation unwrap() {
    Bytes ciphertext(modulus_bytes_, 0x42);
    ciphertext.front() = 0;
    return [this, session = open(), in = ciphertext, out = Bytes(modulus_bytes_)]() mutable {
      CK_MECHANISM mechanism{CKM_RSA_X_509, nullptr, 0};
      CK_ULONG size = out.size();
      check(p11_->C_DecryptInit(session, &mechanism, key_), "C_DecryptInit");
      check(p11_->C_Decrypt(session, in.data(), in.size(), out.data(), &size), "C_Decrypt");
    };
  }

 private:
  CK_SLOT_ID find_slot() const {
    std::vector<CK_SLOT_ID> slots(64);
    CK_ULONG count = slots.size();
    check(p11_->C_GetSlotList(CK_TRUE, slots.data(), &count), "C_GetSlotList");
    const std::string wanted = setting("TRAINSEAL_BENCH_TOKEN");
    for (CK_ULONG i = 0; i < count; ++i) {
      CK_TOKEN_INFO info{};
      check(p11_->C_GetTokenInfo(slots[i], &info), "C_GetTokenInfo");
      if (as_text(info.label).starts_with(wanted)) return slots[i];
    }
    give_up("the token is not there");
  }
  CK_SESSION_HANDLE open() const {
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    check(p11_->C_OpenSession(slot_, CKF_SERIAL_SESSION, nullptr, nullptr, &session), "C_OpenSession");
    return session;
  }
  CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session) const {
    CK_OBJECT_CLASS wanted = CKO_PRIVATE_KEY;
    std::string label = setting("TRAINSEAL_BENCH_KEY");
    std::array<CK_ATTRIBUTE, 2> attributes = {
        {{CKA_CLASS, &wanted, sizeof wanted}, {CKA_LABEL, label.data(), label.size()}}};
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_ULONG found = 0;
    check(p11_->C_FindObjectsInit(session, attributes.data(), attributes.size()), "C_FindObjectsInit");
    check(p11_->C_FindObjects(session, &key, 1, &found), "C_FindObjects");
    check(p11_->C_FindObjectsFinal(session), "C_FindObjectsFinal");
    if (found != 1) give_up("the key is not there");
    return key;
  }

  CK_FUNCTION_LIST* p11_ = nullptr;
  CK_SLOT_ID slot_ = 0;
  CK_OBJECT_HANDLE key_ = CK_INVALID_HANDLE;
  std::size_t modulus_bytes_ = 0;
};

/// The key as the program uses it.
class Ours {
 public:
  explicit Ours(std::shared_ptr<TokenModule> module) : module_(std::move(module)) {
    token_ = good(module_->token(good(Uri::parse("pkcs11:token=" + setting("TRAINSEAL_BENCH_TOKEN")))));
    good(token_->log_in(good(Pin::take(SecretBytes::copy_of(as_bytes(setting("TRAINSEAL_BENCH_PIN")))))));
    key_ = good(token_->key(good(Uri::parse("pkcs11:object=" + setting("TRAINSEAL_BENCH_KEY")))));
  }
  Operation sign() {
    return [this] { good(key_->sign_pss(kDigest, PssSalt::protocol)); };
  }
  Operation unwrap() {
    return [this, wrapped = good(key_->public_key().wrap(SymmetricKey::generate()))] {
      good(key_->unwrap(wrapped));
    };
  }

 private:
  std::shared_ptr<TokenModule> module_;
  std::shared_ptr<Token> token_;
  std::unique_ptr<TokenKey> key_;
};

double rate(const MakeOperation& make, unsigned threads, double seconds) {
  std::atomic<unsigned long> done = 0;
  std::vector<Operation> operations;
  for (unsigned i = 0; i < threads; ++i) operations.push_back(make());
  for (const Operation& operation : operations) operation();  // what is done once only is not measured
  const auto start = std::chrono::steady_clock::now();
  const auto end = start + std::chrono::duration<double>(seconds);
  {
    std::vector<std::jthread> running;
    for (const Operation& operation : operations)
      running.emplace_back([&] {
        for (; std::chrono::steady_clock::now() < end; ++done) operation();
      });
  }
  return static_cast<double>(done) /
         std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <typename Key>
void measure(Key& key, const std::string& operation, unsigned threads, double seconds) {
  const MakeOperation make = [&] { return operation == "sign" ? key.sign() : key.unwrap(); };
  if (seconds == 0) return make()();
  std::printf("%.2f\n", rate(make, threads, seconds));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) give_up("token_speed WAY OPERATION THREADS SECONDS");
  const std::string way = argv[1];
  const std::string operation = argv[2];
  const auto threads = static_cast<unsigned>(std::atoi(argv[3]));
  const double seconds = std::atof(argv[4]);
  if (way == "bare") {
    Bare key;
    measure(key, operation, threads, seconds);
    return 0;
  }
  cli::StateTrials trials(setting("TRAINSEAL_BENCH_TRIALS"));
  std::shared_ptr<TokenModule> module;
  if (way == "direct")
    module = good(open_cryptoki(
        {.module = setting("TRAINSEAL_MODULE"), .init_args = {}, .sessions = kSessions}, trials));
  else
    module = good(open_worker({.program = TRAINSEAL_PROGRAM,
                               .module = setting("TRAINSEAL_MODULE"),
                               .backend = way.substr(way.find('-') + 1),
                               .sessions = kSessions,
                               .trials_folder = setting("TRAINSEAL_BENCH_TRIALS")}));
  Ours key(std::move(module));
  measure(key, operation, threads, seconds);
}
