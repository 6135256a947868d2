// A PKCS #11 module that hands every call on to the real module TRAINSEAL_INTERPOSE_MODULE and appends a line
// about it to the file TRAINSEAL_INTERPOSE_LOG:
//
//   PID FUNCTION KEY=VALUE… rv=CKR_…
//
// Attributes are logged by name (those that are yes or no with their value), mechanisms by name; PINs, data,
// ciphertexts and signatures never. All calls pass through `intercept`, which is where rules that make a
// token fail on demand have their place.

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <type_traits>

#include "base/text.h"
#include "pkcs11/cryptoki.h"

namespace {

using trainseal::text;

// clang-format off
#define TRAINSEAL_FUNCTIONS(X) \
  X(C_Initialize) X(C_Finalize) X(C_GetInfo) X(C_GetSlotList) X(C_GetSlotInfo) X(C_GetTokenInfo) \
  X(C_GetMechanismList) X(C_GetMechanismInfo) X(C_InitToken) X(C_InitPIN) X(C_SetPIN) X(C_OpenSession) \
  X(C_CloseSession) X(C_CloseAllSessions) X(C_GetSessionInfo) X(C_GetOperationState) \
  X(C_SetOperationState) X(C_Login) X(C_Logout) X(C_CreateObject) X(C_CopyObject) X(C_DestroyObject) \
  X(C_GetObjectSize) X(C_GetAttributeValue) X(C_SetAttributeValue) X(C_FindObjectsInit) X(C_FindObjects) \
  X(C_FindObjectsFinal) X(C_EncryptInit) X(C_Encrypt) X(C_EncryptUpdate) X(C_EncryptFinal) \
  X(C_DecryptInit) X(C_Decrypt) X(C_DecryptUpdate) X(C_DecryptFinal) X(C_DigestInit) X(C_Digest) \
  X(C_DigestUpdate) X(C_DigestKey) X(C_DigestFinal) X(C_SignInit) X(C_Sign) X(C_SignUpdate) \
  X(C_SignFinal) X(C_SignRecoverInit) X(C_SignRecover) X(C_VerifyInit) X(C_Verify) X(C_VerifyUpdate) \
  X(C_VerifyFinal) X(C_VerifyRecoverInit) X(C_VerifyRecover) X(C_DigestEncryptUpdate) \
  X(C_DecryptDigestUpdate) X(C_SignEncryptUpdate) X(C_DecryptVerifyUpdate) X(C_GenerateKey) \
  X(C_GenerateKeyPair) X(C_WrapKey) X(C_UnwrapKey) X(C_DeriveKey) X(C_SeedRandom) X(C_GenerateRandom) \
  X(C_GetFunctionStatus) X(C_CancelFunction) X(C_WaitForSlotEvent)
// clang-format on

const CK_FUNCTION_LIST* real = nullptr;

std::string hex(CK_ULONG value) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  do out.insert(out.begin(), digits[value & 15]);
  while ((value >>= 4) != 0);
  return "0x" + out;
}

#define TRAINSEAL_NAME(name) \
  case name:                 \
    return #name;

std::string attribute_name(CK_ATTRIBUTE_TYPE type) {
  switch (type) {
    TRAINSEAL_NAME(CKA_CLASS)
    TRAINSEAL_NAME(CKA_TOKEN)
    TRAINSEAL_NAME(CKA_PRIVATE)
    TRAINSEAL_NAME(CKA_LABEL)
    TRAINSEAL_NAME(CKA_VALUE)
    TRAINSEAL_NAME(CKA_KEY_TYPE)
    TRAINSEAL_NAME(CKA_ID)
    TRAINSEAL_NAME(CKA_SENSITIVE)
    TRAINSEAL_NAME(CKA_ENCRYPT)
    TRAINSEAL_NAME(CKA_DECRYPT)
    TRAINSEAL_NAME(CKA_WRAP)
    TRAINSEAL_NAME(CKA_UNWRAP)
    TRAINSEAL_NAME(CKA_SIGN)
    TRAINSEAL_NAME(CKA_SIGN_RECOVER)
    TRAINSEAL_NAME(CKA_VERIFY)
    TRAINSEAL_NAME(CKA_VERIFY_RECOVER)
    TRAINSEAL_NAME(CKA_DERIVE)
    TRAINSEAL_NAME(CKA_MODULUS)
    TRAINSEAL_NAME(CKA_MODULUS_BITS)
    TRAINSEAL_NAME(CKA_PUBLIC_EXPONENT)
    TRAINSEAL_NAME(CKA_PRIVATE_EXPONENT)
    TRAINSEAL_NAME(CKA_PRIME_1)
    TRAINSEAL_NAME(CKA_PRIME_2)
    TRAINSEAL_NAME(CKA_EXPONENT_1)
    TRAINSEAL_NAME(CKA_EXPONENT_2)
    TRAINSEAL_NAME(CKA_COEFFICIENT)
    TRAINSEAL_NAME(CKA_PUBLIC_KEY_INFO)
    TRAINSEAL_NAME(CKA_EXTRACTABLE)
    TRAINSEAL_NAME(CKA_LOCAL)
    TRAINSEAL_NAME(CKA_NEVER_EXTRACTABLE)
    TRAINSEAL_NAME(CKA_ALWAYS_SENSITIVE)
    TRAINSEAL_NAME(CKA_MODIFIABLE)
    TRAINSEAL_NAME(CKA_ALWAYS_AUTHENTICATE)
    TRAINSEAL_NAME(CKA_WRAP_WITH_TRUSTED)
    default:
      return hex(type);
  }
}

std::string mechanism_name(CK_MECHANISM_TYPE type) {
  switch (type) {
    TRAINSEAL_NAME(CKM_RSA_PKCS_KEY_PAIR_GEN)
    TRAINSEAL_NAME(CKM_RSA_PKCS)
    TRAINSEAL_NAME(CKM_RSA_X_509)
    TRAINSEAL_NAME(CKM_RSA_PKCS_OAEP)
    TRAINSEAL_NAME(CKM_RSA_PKCS_PSS)
    TRAINSEAL_NAME(CKM_SHA512_RSA_PKCS)
    TRAINSEAL_NAME(CKM_SHA512_RSA_PKCS_PSS)
    default:
      return hex(type);
  }
}

#undef TRAINSEAL_NAME

void append_line(const std::string& line) {
  const char* path = std::getenv("TRAINSEAL_INTERPOSE_LOG");
  if (!path) return;
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  // One write a line, so that processes and threads do not mix theirs.
  if (::write(fd, line.data(), line.size()) < 0) std::abort();
  ::close(fd);
}

std::string attributes(const CK_ATTRIBUTE* list, CK_ULONG count, bool with_values) {
  std::string out;
  for (CK_ULONG i = 0; i < count; ++i) {
    const CK_ATTRIBUTE& attribute = list[i];
    out += text(i == 0 ? "" : ",", attribute_name(attribute.type));
    if (with_values && attribute.ulValueLen == sizeof(CK_BBOOL) && attribute.pValue)
      out += *static_cast<const CK_BBOOL*>(attribute.pValue) ? ":yes" : ":no";
  }
  return out;
}

std::string mechanism(const CK_MECHANISM* used) {
  if (!used) return " mechanism=none";
  std::string out = text(" mechanism=", mechanism_name(used->mechanism));
  if (used->mechanism == CKM_RSA_PKCS_PSS && used->ulParameterLen == sizeof(CK_RSA_PKCS_PSS_PARAMS))
    out += text(" salt=", static_cast<const CK_RSA_PKCS_PSS_PARAMS*>(used->pParameter)->sLen);
  return out;
}

/// The mechanism that each session's operation was begun with, for the lines of C_Sign and C_Decrypt.
class Operations {
 public:
  std::string begin(CK_SESSION_HANDLE session, const CK_MECHANISM* used) {
    const std::scoped_lock lock(mutex_);
    return begun_[session] = mechanism(used);
  }
  std::string under_way(CK_SESSION_HANDLE session) {
    const std::scoped_lock lock(mutex_);
    return begun_[session];
  }

 private:
  std::mutex mutex_;
  std::map<CK_SESSION_HANDLE, std::string> begun_;
};
Operations operations;

// What a call's line says beyond its name. `Function` is a tag type for each function.
template <auto Member>
struct Function {};

template <typename Tag, typename... Arguments>
std::string details(Tag, Arguments...) {
  return {};
}
std::string details(Function<&CK_FUNCTION_LIST::C_OpenSession>, CK_SLOT_ID, CK_FLAGS flags, void*, CK_NOTIFY,
                    CK_SESSION_HANDLE*) {
  return (flags & CKF_RW_SESSION) != 0 ? " mode=rw" : " mode=ro";
}
std::string details(Function<&CK_FUNCTION_LIST::C_Login>, CK_SESSION_HANDLE session, CK_USER_TYPE user,
                    CK_BYTE*, CK_ULONG) {
  return text(" session=", session, " user=", user);
}
std::string details(Function<&CK_FUNCTION_LIST::C_GetAttributeValue>, CK_SESSION_HANDLE session,
                    CK_OBJECT_HANDLE object, CK_ATTRIBUTE* list, CK_ULONG count) {
  return text(" session=", session, " object=", object, " attributes=", attributes(list, count, false));
}
std::string details(Function<&CK_FUNCTION_LIST::C_SetAttributeValue>, CK_SESSION_HANDLE session,
                    CK_OBJECT_HANDLE object, CK_ATTRIBUTE* list, CK_ULONG count) {
  return text(" session=", session, " object=", object, " attributes=", attributes(list, count, true));
}
std::string details(Function<&CK_FUNCTION_LIST::C_FindObjectsInit>, CK_SESSION_HANDLE session,
                    CK_ATTRIBUTE* list, CK_ULONG count) {
  return text(" session=", session, " attributes=", attributes(list, count, true));
}
std::string details(Function<&CK_FUNCTION_LIST::C_CreateObject>, CK_SESSION_HANDLE session,
                    CK_ATTRIBUTE* list, CK_ULONG count, CK_OBJECT_HANDLE*) {
  return text(" session=", session, " attributes=", attributes(list, count, true));
}
std::string details(Function<&CK_FUNCTION_LIST::C_DestroyObject>, CK_SESSION_HANDLE session,
                    CK_OBJECT_HANDLE object) {
  return text(" session=", session, " object=", object);
}
std::string details(Function<&CK_FUNCTION_LIST::C_GenerateKeyPair>, CK_SESSION_HANDLE session,
                    CK_MECHANISM* used, CK_ATTRIBUTE* public_half, CK_ULONG public_count,
                    CK_ATTRIBUTE* private_half, CK_ULONG private_count, CK_OBJECT_HANDLE*,
                    CK_OBJECT_HANDLE*) {
  return text(" session=", session, mechanism(used), " public=", attributes(public_half, public_count, true),
              " private=", attributes(private_half, private_count, true));
}
std::string details(Function<&CK_FUNCTION_LIST::C_SignInit>, CK_SESSION_HANDLE session, CK_MECHANISM* used,
                    CK_OBJECT_HANDLE key) {
  return text(" session=", session, " object=", key, operations.begin(session, used));
}
std::string details(Function<&CK_FUNCTION_LIST::C_DecryptInit>, CK_SESSION_HANDLE session, CK_MECHANISM* used,
                    CK_OBJECT_HANDLE key) {
  return text(" session=", session, " object=", key, operations.begin(session, used));
}
std::string details(Function<&CK_FUNCTION_LIST::C_Sign>, CK_SESSION_HANDLE session, CK_BYTE*, CK_ULONG bytes,
                    CK_BYTE*, CK_ULONG*) {
  return text(" session=", session, operations.under_way(session), " bytes=", bytes);
}
std::string details(Function<&CK_FUNCTION_LIST::C_Decrypt>, CK_SESSION_HANDLE session, CK_BYTE*,
                    CK_ULONG bytes, CK_BYTE*, CK_ULONG*) {
  return text(" session=", session, operations.under_way(session), " bytes=", bytes);
}

/// Every call comes through here: `call` does it with the real module.
template <typename Call>
CK_RV intercept(const char* function, const std::string& what, Call call) {
  const CK_RV rv = call();
  append_line(text(::getpid(), ' ', function, what, " rv=", trainseal::rv_name(rv), '\n'));
  return rv;
}

template <auto Member, typename Pointer>
struct Wrapper;
template <auto Member, typename... Arguments>
struct Wrapper<Member, CK_RV (*)(Arguments...)> {
  static inline const char* name = "";
  static CK_RV call(Arguments... arguments) {
    return intercept(name, details(Function<Member>{}, arguments...), [&]() -> CK_RV {
      return real->*Member ? (real->*Member)(arguments...) : CKR_FUNCTION_NOT_SUPPORTED;
    });
  }
};

CK_FUNCTION_LIST wrapped_list() {
  CK_FUNCTION_LIST list{};
  list.version = real->version;
#define TRAINSEAL_WRAP(function)                                                             \
  {                                                                                          \
    using This = Wrapper<&CK_FUNCTION_LIST::function, decltype(CK_FUNCTION_LIST::function)>; \
    This::name = #function;                                                                  \
    list.function = This::call;                                                              \
  }
  TRAINSEAL_FUNCTIONS(TRAINSEAL_WRAP)
#undef TRAINSEAL_WRAP
  list.C_GetFunctionList = C_GetFunctionList;
  return list;
}

CK_RV load_real() {
  const char* path = std::getenv("TRAINSEAL_INTERPOSE_MODULE");
  void* library = path ? ::dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
  const auto get_list =
      library ? reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList")) : nullptr;
  CK_FUNCTION_LIST* list = nullptr;
  const CK_RV rv = get_list ? get_list(&list) : CKR_LIBRARY_LOAD_FAILED;
  real = list;
  return rv;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  if (!real) {
    if (const CK_RV rv = load_real(); rv != CKR_OK) return rv;
  }
  static CK_FUNCTION_LIST wrapped = wrapped_list();
  *list = &wrapped;
  return CKR_OK;
}
