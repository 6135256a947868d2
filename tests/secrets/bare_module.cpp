// What a PKCS#11 module keeps of a PIN and of what it decrypted: logs in, decrypts and signs once, wipes its
// own copies and stops, by SIGSTOP, for a test that looks into its memory.
//
//   bare_module MODULE TOKEN KEY PIN_FILE CIPHERTEXT_FILE

#include <dlfcn.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/secret.h"
#include "pkcs11/cryptoki.h"

namespace {

void check(CK_RV rv, const char* function) {
  if (rv == CKR_OK) return;
  std::fprintf(stderr, "bare_module: %s: %s\n", function, trainseal::rv_name(rv).c_str());
  std::exit(1);
}

CK_SLOT_ID slot_of(const CK_FUNCTION_LIST& p11, std::string_view token) {
  std::array<CK_SLOT_ID, 64> slots{};
  CK_ULONG count = slots.size();
  check(p11.C_GetSlotList(CK_TRUE, slots.data(), &count), "C_GetSlotList");
  for (CK_ULONG i = 0; i < count; ++i) {
    CK_TOKEN_INFO info{};
    check(p11.C_GetTokenInfo(slots[i], &info), "C_GetTokenInfo");
    if (trainseal::as_text(info.label).starts_with(token)) return slots[i];
  }
  std::fprintf(stderr, "bare_module: no such token\n");
  std::exit(1);
}

CK_OBJECT_HANDLE private_key(const CK_FUNCTION_LIST& p11, CK_SESSION_HANDLE session, std::string label) {
  CK_OBJECT_CLASS wanted = CKO_PRIVATE_KEY;
  std::array<CK_ATTRIBUTE, 2> attributes = {
      {{CKA_CLASS, &wanted, sizeof wanted}, {CKA_LABEL, label.data(), label.size()}}};
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  CK_ULONG found = 0;
  check(p11.C_FindObjectsInit(session, attributes.data(), attributes.size()), "C_FindObjectsInit");
  check(p11.C_FindObjects(session, &key, 1, &found), "C_FindObjects");
  check(p11.C_FindObjectsFinal(session), "C_FindObjectsFinal");
  return key;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  void* library = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  const auto get_list =
      library ? reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList")) : nullptr;
  CK_FUNCTION_LIST* p11 = nullptr;
  if (!get_list || get_list(&p11) != CKR_OK) return 1;
  check(p11->C_Initialize(nullptr), "C_Initialize");
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  check(p11->C_OpenSession(slot_of(*p11, argv[2]), CKF_SERIAL_SESSION, nullptr, nullptr, &session),
        "C_OpenSession");
  auto pin = trainseal::read_file(argv[4], 256, trainseal::ErrorCode::internal).value();
  check(p11->C_Login(session, CKU_USER, pin.data(), pin.size()), "C_Login");
  trainseal::wipe(pin);

  const CK_OBJECT_HANDLE key = private_key(*p11, session, argv[3]);
  auto ciphertext = trainseal::read_file(argv[5], 1024, trainseal::ErrorCode::internal).value();
  trainseal::Bytes out(ciphertext.size());
  CK_ULONG size = out.size();
  CK_MECHANISM raw{CKM_RSA_X_509, nullptr, 0};
  check(p11->C_DecryptInit(session, &raw, key), "C_DecryptInit");
  check(p11->C_Decrypt(session, ciphertext.data(), ciphertext.size(), out.data(), &size), "C_Decrypt");
  trainseal::wipe(out);
  check(p11->C_SignInit(session, &raw, key), "C_SignInit");
  ciphertext.front() = 0;
  size = out.size();
  check(p11->C_Sign(session, ciphertext.data(), ciphertext.size(), out.data(), &size), "C_Sign");
  std::raise(SIGSTOP);
}
