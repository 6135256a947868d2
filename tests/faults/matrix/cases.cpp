#include "faults/matrix/cases.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <sstream>

#include "base/text.h"

namespace trainseal::test {
namespace {

// PKCS#11 v2.40 §5.1.1, §5.1.2: what any function may answer, and any that uses a session or a token.
constexpr std::string_view kAny = "GENERAL_ERROR HOST_MEMORY FUNCTION_FAILED";
constexpr std::string_view kInitialized = "CRYPTOKI_NOT_INITIALIZED ARGUMENTS_BAD";
constexpr std::string_view kDevice = "DEVICE_ERROR DEVICE_MEMORY DEVICE_REMOVED";
constexpr std::string_view kSession = "SESSION_CLOSED SESSION_HANDLE_INVALID";
constexpr std::string_view kTemplate =
    "ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID CURVE_NOT_SUPPORTED "
    "DOMAIN_PARAMS_INVALID PIN_EXPIRED SESSION_READ_ONLY TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT "
    "TOKEN_WRITE_PROTECTED USER_NOT_LOGGED_IN";
constexpr std::string_view kKeyInit =
    "FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT "
    "MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE PIN_EXPIRED USER_NOT_LOGGED_IN "
    "FUNCTION_NOT_SUPPORTED";
// A vendor's code, and a module that claims to have done what it has not.
constexpr std::string_view kBesides = "0x80000001";

/// What is common to functions of a kind, and what the section of the function adds.
struct Row {
  Group group;
  std::string_view function;
  std::array<std::string_view, 4> common;
  std::string_view own;
  std::string_view flips;  ///< "" for none, "-" for the whole output, or names of attributes
};

constexpr auto kRows = std::to_array<Row>({
    {Group::module,
     "C_Initialize",
     {kAny},
     "ARGUMENTS_BAD CANT_LOCK CRYPTOKI_ALREADY_INITIALIZED NEED_TO_CREATE_THREADS",
     ""},
    {Group::module, "C_Finalize", {kAny, kInitialized}, "", ""},
    {Group::module, "C_GetInfo", {kAny, kInitialized}, "", "-"},
    {Group::module, "C_GetSlotList", {kAny, kInitialized}, "BUFFER_TOO_SMALL", "-"},
    {Group::module, "C_GetSlotInfo", {kAny, kInitialized}, "DEVICE_ERROR SLOT_ID_INVALID", "-"},
    {Group::module,
     "C_GetTokenInfo",
     {kAny, kInitialized, kDevice},
     "SLOT_ID_INVALID TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED",
     "-"},
    {Group::sessions,
     "C_OpenSession",
     {kAny, kInitialized, kDevice},
     "SESSION_COUNT SESSION_PARALLEL_NOT_SUPPORTED SESSION_READ_WRITE_SO_EXISTS SLOT_ID_INVALID "
     "TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED TOKEN_WRITE_PROTECTED",
     "-"},
    {Group::sessions, "C_CloseSession", {kAny, kInitialized, kDevice, kSession}, "", ""},
    {Group::log_in,
     "C_Login",
     {kAny, kInitialized, kDevice, kSession},
     "FUNCTION_CANCELED OPERATION_NOT_INITIALIZED PIN_INCORRECT PIN_INVALID PIN_LEN_RANGE PIN_EXPIRED "
     "PIN_LOCKED SESSION_READ_ONLY_EXISTS USER_ALREADY_LOGGED_IN USER_ANOTHER_ALREADY_LOGGED_IN "
     "USER_PIN_NOT_INITIALIZED USER_TOO_MANY_TYPES USER_TYPE_INVALID",
     ""},
    {Group::log_in, "C_Logout", {kAny, kInitialized, kDevice, kSession}, "USER_NOT_LOGGED_IN", ""},
    {Group::log_in, "C_GetSessionInfo", {kAny, kInitialized, kDevice, kSession}, "", "-"},
    {Group::find,
     "C_FindObjectsInit",
     {kAny, kInitialized, kDevice, kSession},
     "ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID OPERATION_ACTIVE PIN_EXPIRED",
     ""},
    {Group::find, "C_FindObjects", {kAny, kInitialized, kDevice, kSession}, "OPERATION_NOT_INITIALIZED", "-"},
    {Group::find,
     "C_FindObjectsFinal",
     {kAny, kInitialized, kDevice, kSession},
     "OPERATION_NOT_INITIALIZED",
     ""},
    {Group::find,
     "C_GetAttributeValue",
     {kAny, kInitialized, kDevice, kSession},
     "ATTRIBUTE_SENSITIVE ATTRIBUTE_TYPE_INVALID BUFFER_TOO_SMALL OBJECT_HANDLE_INVALID",
     "CKA_LABEL CKA_ID CKA_KEY_TYPE CKA_MODULUS CKA_PUBLIC_EXPONENT CKA_SENSITIVE CKA_EXTRACTABLE "
     "CKA_ALWAYS_AUTHENTICATE"},
    {Group::unwrap, "C_DecryptInit", {kAny, kInitialized, kDevice, kSession}, kKeyInit, ""},
    {Group::unwrap,
     "C_Decrypt",
     {kAny, kInitialized, kDevice, kSession},
     "BUFFER_TOO_SMALL ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE FUNCTION_CANCELED "
     "OPERATION_NOT_INITIALIZED USER_NOT_LOGGED_IN",
     "-"},
    {Group::sign, "C_SignInit", {kAny, kInitialized, kDevice, kSession}, kKeyInit, ""},
    {Group::sign,
     "C_Sign",
     {kAny, kInitialized, kDevice, kSession},
     "BUFFER_TOO_SMALL DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED FUNCTION_REJECTED "
     "OPERATION_NOT_INITIALIZED USER_NOT_LOGGED_IN",
     "-"},
    {Group::manage,
     "C_GenerateKeyPair",
     {kAny, kInitialized, kDevice, kSession},
     "FUNCTION_CANCELED MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE",
     "-"},
    {Group::manage,
     "C_GetMechanismInfo",
     {kAny, kInitialized, kDevice},
     "SLOT_ID_INVALID TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED MECHANISM_INVALID",
     ""},
    {Group::manage, "C_CreateObject", {kAny, kInitialized, kDevice, kSession}, "", "-"},
    {Group::manage,
     "C_DestroyObject",
     {kAny, kInitialized, kDevice, kSession},
     "ACTION_PROHIBITED OBJECT_HANDLE_INVALID PIN_EXPIRED SESSION_READ_ONLY TOKEN_WRITE_PROTECTED",
     ""},
});

std::vector<std::string> words(std::string_view line) {
  std::istringstream in{std::string(line)};
  return {std::istream_iterator<std::string>(in), {}};
}

std::vector<std::string> codes_of(const Row& row) {
  std::vector<std::string> codes;
  const auto add = [&](std::string_view list) {
    for (const std::string& word : words(list)) codes.push_back(text("CKR_", word));
  };
  std::ranges::for_each(row.common, add);
  add(row.own);
  if (row.function == "C_GenerateKeyPair" || row.function == "C_CreateObject") add(kTemplate);
  codes.emplace_back(kBesides);
  return codes;
}

/// What makes the function be called: a start does of its own accord, a recovery needs a reason.
std::string reason_to_call(const Row& row) {
  if (row.function == "C_GetMechanismInfo") return "C_GenerateKeyPair rv=CKR_KEY_SIZE_RANGE count=1\n";
  const bool recovers =
      row.group == Group::module || row.group == Group::log_in || row.group == Group::sessions;
  return recovers ? "C_SignInit rv=CKR_DEVICE_ERROR count=1\nC_DecryptInit rv=CKR_DEVICE_ERROR count=1\n"
                  : "";
}

void add_faults(std::vector<Fault>& faults, const Row& row) {
  const std::string reason = reason_to_call(row);
  const auto add = [&](std::string what, std::string mode, std::string_view effect, bool unseen = false) {
    faults.push_back({row.function, std::move(what), std::move(mode),
                      text(reason, row.function, ' ', effect, '\n'), unseen, false});
  };
  for (const std::string& code : codes_of(row)) {
    add(code, "before", text("when=before rv=", code));
    add(code, "after", text("when=after rv=", code));
    add(code, "once", text("when=after count=1 rv=", code));
  }
  add("CKR_OK and nothing done", "before", "when=before rv=CKR_OK");
  add("delay", "before", "delay=5", row.function != "C_GetMechanismInfo");
  for (const std::string& flip : words(row.flips)) {
    const std::string which = flip == "-" ? "" : text(" attribute=", flip);
    for (const auto& [mode, count] : {std::pair("after", ""), std::pair("once", " count=1")}) {
      add(text("flip", which), mode, text("do=flip", count, which));
      faults.back().is_about_the_key = row.function == "C_GetAttributeValue";
    }
  }
}

}  // namespace

std::vector<Fault> faults_of(Group group) {
  std::vector<Fault> faults;
  for (const Row& row : kRows)
    if (row.group == group) add_faults(faults, row);
  return faults;
}

std::vector<std::string_view> all_functions() {
  std::vector<std::string_view> functions;
  for (const Row& row : kRows) functions.push_back(row.function);
  return functions;
}

bool refuses_the_pin(std::string_view code) {
  constexpr std::array<std::string_view, 5> kRefusals = {
      "CKR_PIN_INCORRECT", "CKR_PIN_INVALID", "CKR_PIN_LEN_RANGE", "CKR_PIN_EXPIRED", "CKR_PIN_LOCKED"};
  return std::ranges::find(kRefusals, code) != kRefusals.end();
}

}  // namespace trainseal::test
