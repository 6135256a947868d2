#pragma once

// What is known about each function: overloads for a tag, with its arguments. Attributes are described by
// name (those that are yes or no with their value), mechanisms by name; PINs, data, ciphertexts and
// signatures never.

#include <algorithm>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/text.h"
#include "interposer/names.h"
#include "interposer/record.h"
#include "interposer/rules.h"

namespace interposer {

using trainseal::MutableByteView;
using trainseal::text;

template <auto Member>
struct Function {};
#define TRAINSEAL_TAG(function) Function<&CK_FUNCTION_LIST::function>

inline Operations operations;
inline Sessions sessions;

/// A call for the record and for the rules.
struct Description {
  std::string words;
  Call call{};
};

inline std::string attribute_words(const CK_ATTRIBUTE* list, CK_ULONG count, bool with_values) {
  std::string out;
  for (CK_ULONG i = 0; i < count; ++i) {
    const CK_ATTRIBUTE& attribute = list[i];
    out += text(i == 0 ? "" : ",", name_of(attributes(), attribute.type));
    if (with_values && attribute.ulValueLen == sizeof(CK_BBOOL) && attribute.pValue)
      out += *static_cast<const CK_BBOOL*>(attribute.pValue) ? ":yes" : ":no";
  }
  return out;
}

inline Description operation_words(CK_SESSION_HANDLE session, const std::string& more,
                                   const Operations::Begun& begun) {
  Description out{text(" session=", session, more, begun.text())};
  out.call.mechanism = begun.mechanism;
  out.call.salt = begun.salt;
  return out;
}

template <typename Tag, typename... Arguments>
Description describe(Tag, Arguments...) {
  return {};
}
inline Description describe(TRAINSEAL_TAG(C_OpenSession), CK_SLOT_ID, CK_FLAGS flags, void*, CK_NOTIFY,
                            CK_SESSION_HANDLE*) {
  return {(flags & CKF_RW_SESSION) != 0 ? " mode=rw" : " mode=ro"};
}
inline Description describe(TRAINSEAL_TAG(C_Login), CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE*,
                            CK_ULONG) {
  Description out{text(" session=", session, " user=", name_of(users(), user))};
  out.call.user = user;
  return out;
}
inline Description describe(TRAINSEAL_TAG(C_GetAttributeValue), CK_SESSION_HANDLE session,
                            CK_OBJECT_HANDLE object, CK_ATTRIBUTE* list, CK_ULONG count) {
  Description out{
      text(" session=", session, " object=", object, " attributes=", attribute_words(list, count, false))};
  out.call.attributes = {list, count};
  return out;
}
inline Description describe(TRAINSEAL_TAG(C_SetAttributeValue), CK_SESSION_HANDLE session,
                            CK_OBJECT_HANDLE object, CK_ATTRIBUTE* list, CK_ULONG count) {
  return {text(" session=", session, " object=", object, " attributes=", attribute_words(list, count, true))};
}
inline Description describe(TRAINSEAL_TAG(C_FindObjectsInit), CK_SESSION_HANDLE session, CK_ATTRIBUTE* list,
                            CK_ULONG count) {
  return {text(" session=", session, " attributes=", attribute_words(list, count, true))};
}
inline Description describe(TRAINSEAL_TAG(C_CreateObject), CK_SESSION_HANDLE session, CK_ATTRIBUTE* list,
                            CK_ULONG count, CK_OBJECT_HANDLE*) {
  return {text(" session=", session, " attributes=", attribute_words(list, count, true))};
}
inline Description describe(TRAINSEAL_TAG(C_DestroyObject), CK_SESSION_HANDLE session,
                            CK_OBJECT_HANDLE object) {
  return {text(" session=", session, " object=", object)};
}
inline Description describe(TRAINSEAL_TAG(C_GenerateKeyPair), CK_SESSION_HANDLE session, CK_MECHANISM* used,
                            CK_ATTRIBUTE* public_half, CK_ULONG public_count, CK_ATTRIBUTE* private_half,
                            CK_ULONG private_count, CK_OBJECT_HANDLE*, CK_OBJECT_HANDLE*) {
  Description out = operation_words(session, "", Operations::of(used));
  out.words += text(" public=", attribute_words(public_half, public_count, true),
                    " private=", attribute_words(private_half, private_count, true));
  return out;
}
inline Description describe(TRAINSEAL_TAG(C_SignInit), CK_SESSION_HANDLE session, CK_MECHANISM* used,
                            CK_OBJECT_HANDLE key) {
  return operation_words(session, text(" object=", key), operations.begin(session, used));
}
inline Description describe(TRAINSEAL_TAG(C_DecryptInit), CK_SESSION_HANDLE session, CK_MECHANISM* used,
                            CK_OBJECT_HANDLE key) {
  return operation_words(session, text(" object=", key), operations.begin(session, used));
}
inline Description describe(TRAINSEAL_TAG(C_Sign), CK_SESSION_HANDLE session, CK_BYTE*, CK_ULONG bytes,
                            CK_BYTE*, CK_ULONG*) {
  Description out = operation_words(session, "", operations.under_way(session));
  out.words += text(" bytes=", bytes);
  return out;
}
inline Description describe(TRAINSEAL_TAG(C_Decrypt), CK_SESSION_HANDLE session, CK_BYTE*, CK_ULONG bytes,
                            CK_BYTE*, CK_ULONG*) {
  Description out = operation_words(session, "", operations.under_way(session));
  out.words += text(" bytes=", bytes);
  return out;
}

/// What a changed call points to.
struct Amended {
  CK_MECHANISM mechanism{};
  CK_RSA_PKCS_PSS_PARAMS pss{};
  std::vector<CK_ATTRIBUTE> attributes;
  CK_BBOOL yes = CK_TRUE;
  std::string pin;
};

/// Changes the arguments as rules want it.
template <typename Tag, typename... Arguments>
void amend(Tag, const std::vector<Rule>&, Amended&, Arguments&...) {}
inline void amend(TRAINSEAL_TAG(C_SignInit), const std::vector<Rule>& rules, Amended& amended,
                  CK_SESSION_HANDLE&, CK_MECHANISM*& used, CK_OBJECT_HANDLE&) {
  for (const Rule& rule : rules) {
    if (!rule.use_salt || !Operations::of(used).salt) continue;
    amended.mechanism = *used;
    amended.pss = *static_cast<const CK_RSA_PKCS_PSS_PARAMS*>(used->pParameter);
    amended.pss.sLen = *rule.use_salt;
    amended.mechanism.pParameter = &amended.pss;
    used = &amended.mechanism;
  }
}
inline void amend(TRAINSEAL_TAG(C_Login), const std::vector<Rule>& rules, Amended& amended,
                  CK_SESSION_HANDLE&, CK_USER_TYPE&, CK_BYTE*& pin, CK_ULONG& size) {
  for (const Rule& rule : rules) {
    if (!rule.typed) continue;
    amended.pin = pin == nullptr ? *rule.typed : "not from the pad";
    pin = reinterpret_cast<CK_BYTE*>(amended.pin.data());
    size = amended.pin.size();
  }
}
inline void amend(TRAINSEAL_TAG(C_GenerateKeyPair), const std::vector<Rule>& rules, Amended& amended,
                  CK_SESSION_HANDLE&, CK_MECHANISM*&, CK_ATTRIBUTE*&, CK_ULONG&, CK_ATTRIBUTE*& half,
                  CK_ULONG& count, CK_OBJECT_HANDLE*&, CK_OBJECT_HANDLE*&) {
  amended.attributes.assign(half, half + count);
  for (const Rule& rule : rules)
    if (rule.add) amended.attributes.push_back({*rule.add, &amended.yes, sizeof amended.yes});
  half = amended.attributes.data();
  count = amended.attributes.size();
}

/// Follows a call that went well, and changes its answer as rules want it.
template <typename Tag, typename... Arguments>
void follow(Tag, const std::vector<Rule>&, Arguments...) {}
inline void follow(TRAINSEAL_TAG(C_GetTokenInfo), const std::vector<Rule>& rules, CK_SLOT_ID,
                   CK_TOKEN_INFO* info) {
  for (const Rule& rule : rules) info->flags |= rule.set;
}
inline void follow(TRAINSEAL_TAG(C_OpenSession), const std::vector<Rule>&, CK_SLOT_ID, CK_FLAGS, void*,
                   CK_NOTIFY, CK_SESSION_HANDLE* session) {
  sessions.opened(*session);
}
inline void follow(TRAINSEAL_TAG(C_CloseSession), const std::vector<Rule>&, CK_SESSION_HANDLE session) {
  sessions.closed(session);
}
inline void follow(TRAINSEAL_TAG(C_CloseAllSessions), const std::vector<Rule>&, CK_SLOT_ID) {
  sessions.all_closed();
}
inline void follow(TRAINSEAL_TAG(C_Finalize), const std::vector<Rule>&, void*) { sessions.all_closed(); }

template <typename T>
MutableByteView bytes_of(T* value, CK_ULONG count = 1) {
  if (value == nullptr) return {};
  return {reinterpret_cast<std::uint8_t*>(value), count * sizeof(T)};
}

/// What a call that went well has written, for `do=flip`.
template <typename Tag, typename... Arguments>
MutableByteView output(Tag, const Rule&, Arguments...) {
  return {};
}
inline MutableByteView output(TRAINSEAL_TAG(C_GetInfo), const Rule&, CK_INFO* info) { return bytes_of(info); }
inline MutableByteView output(TRAINSEAL_TAG(C_GetSlotList), const Rule&, CK_BBOOL, CK_SLOT_ID* slots,
                              CK_ULONG* count) {
  return bytes_of(slots, *count);
}
inline MutableByteView output(TRAINSEAL_TAG(C_GetSlotInfo), const Rule&, CK_SLOT_ID, CK_SLOT_INFO* info) {
  return bytes_of(info);
}
inline MutableByteView output(TRAINSEAL_TAG(C_GetTokenInfo), const Rule&, CK_SLOT_ID, CK_TOKEN_INFO* info) {
  return bytes_of(info);
}
inline MutableByteView output(TRAINSEAL_TAG(C_OpenSession), const Rule&, CK_SLOT_ID, CK_FLAGS, void*,
                              CK_NOTIFY, CK_SESSION_HANDLE* session) {
  return bytes_of(session);
}
inline MutableByteView output(TRAINSEAL_TAG(C_GetSessionInfo), const Rule&, CK_SESSION_HANDLE,
                              CK_SESSION_INFO* info) {
  return bytes_of(&info->state);
}
inline MutableByteView output(TRAINSEAL_TAG(C_CreateObject), const Rule&, CK_SESSION_HANDLE, CK_ATTRIBUTE*,
                              CK_ULONG, CK_OBJECT_HANDLE* object) {
  return bytes_of(object);
}
inline MutableByteView output(TRAINSEAL_TAG(C_GetAttributeValue), const Rule& rule, CK_SESSION_HANDLE,
                              CK_OBJECT_HANDLE, CK_ATTRIBUTE* list, CK_ULONG count) {
  const std::span<CK_ATTRIBUTE> all(list, count);
  const auto meant = std::ranges::find_if(all, [&](const CK_ATTRIBUTE& attribute) {
    const bool answered =
        attribute.pValue && attribute.ulValueLen > 0 && attribute.ulValueLen != CK_UNAVAILABLE_INFORMATION;
    return answered && (!rule.attribute || attribute.type == *rule.attribute);
  });
  if (meant == all.end()) return {};
  return bytes_of(static_cast<std::uint8_t*>(meant->pValue), meant->ulValueLen);
}
inline MutableByteView output(TRAINSEAL_TAG(C_FindObjects), const Rule&, CK_SESSION_HANDLE,
                              CK_OBJECT_HANDLE* found, CK_ULONG, CK_ULONG* count) {
  return bytes_of(found, *count);
}
inline MutableByteView output(TRAINSEAL_TAG(C_Decrypt), const Rule&, CK_SESSION_HANDLE, CK_BYTE*, CK_ULONG,
                              CK_BYTE* plain, CK_ULONG* count) {
  return bytes_of(plain, *count);
}
inline MutableByteView output(TRAINSEAL_TAG(C_Sign), const Rule&, CK_SESSION_HANDLE, CK_BYTE*, CK_ULONG,
                              CK_BYTE* signature, CK_ULONG* count) {
  return bytes_of(signature, *count);
}
inline MutableByteView output(TRAINSEAL_TAG(C_GenerateKeyPair), const Rule&, CK_SESSION_HANDLE, CK_MECHANISM*,
                              CK_ATTRIBUTE*, CK_ULONG, CK_ATTRIBUTE*, CK_ULONG, CK_OBJECT_HANDLE*,
                              CK_OBJECT_HANDLE* private_key) {
  return bytes_of(private_key);
}

}  // namespace interposer
