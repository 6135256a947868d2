#include "pkcs11/mechanisms.h"

#include <algorithm>
#include <array>

namespace trainseal {
namespace {

struct NamedMechanism {
  CK_MECHANISM_TYPE type;
  std::string_view name;
};

// Making keys, unwrapping and signing: what trains could have to do with.
#define TRAINSEAL_MECHANISM(name) \
  NamedMechanism { name, #name }
constexpr std::array kRsaMechanisms = {
    TRAINSEAL_MECHANISM(CKM_RSA_PKCS_KEY_PAIR_GEN),
    TRAINSEAL_MECHANISM(CKM_RSA_X9_31_KEY_PAIR_GEN),
    TRAINSEAL_MECHANISM(CKM_RSA_X_509),
    TRAINSEAL_MECHANISM(CKM_RSA_PKCS),
    TRAINSEAL_MECHANISM(CKM_RSA_PKCS_OAEP),
    TRAINSEAL_MECHANISM(CKM_RSA_PKCS_PSS),
    TRAINSEAL_MECHANISM(CKM_SHA512_RSA_PKCS),
    TRAINSEAL_MECHANISM(CKM_SHA512_RSA_PKCS_PSS),
};
#undef TRAINSEAL_MECHANISM

// More than any token has: what claims more is not asked for its list.
constexpr CK_ULONG kMostMechanisms = 4096;

CkResult<std::vector<CK_MECHANISM_TYPE>> all_mechanisms(const CK_FUNCTION_LIST& functions, CK_SLOT_ID slot) {
  CK_ULONG count = 0;
  TRAINSEAL_CK(functions, C_GetMechanismList, slot, nullptr, &count);
  std::vector<CK_MECHANISM_TYPE> types(std::min(count, kMostMechanisms));
  count = types.size();
  TRAINSEAL_CK(functions, C_GetMechanismList, slot, types.data(), &count);
  types.resize(std::min<std::size_t>(count, types.size()));
  return types;
}

}  // namespace

CkResult<std::vector<ClaimedMechanism>> read_rsa_mechanisms(const CK_FUNCTION_LIST& functions,
                                                            CK_SLOT_ID slot) {
  const auto types = all_mechanisms(functions, slot);
  if (!types) return std::unexpected(types.error());
  std::vector<ClaimedMechanism> claimed;
  for (const CK_MECHANISM_TYPE type : *types) {
    const auto* const known = std::ranges::find(kRsaMechanisms, type, &NamedMechanism::type);
    if (known == kRsaMechanisms.end()) continue;
    CK_MECHANISM_INFO info{};
    TRAINSEAL_CK(functions, C_GetMechanismInfo, slot, type, &info);
    const auto is_set = [&](CK_FLAGS flag) { return (info.flags & flag) != 0; };
    claimed.push_back({std::string(known->name), info.ulMinKeySize, info.ulMaxKeySize, is_set(CKF_HW),
                       is_set(CKF_DECRYPT), is_set(CKF_SIGN), is_set(CKF_GENERATE_KEY_PAIR)});
  }
  return claimed;
}

}  // namespace trainseal
