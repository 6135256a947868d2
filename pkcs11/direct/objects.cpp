#include "pkcs11/direct/objects.h"

#include <algorithm>
#include <array>

namespace trainseal {
namespace {

// Longer labels, ids and moduli than this are treated as absent: 8192 bits are 1024 bytes.
constexpr std::size_t kMaxAttributeBytes = 1024;
constexpr CK_ULONG kHandlesAtOnce = 64;
// A module that never comes to an end of its objects is broken.
constexpr std::size_t kMaxObjects = 65536;

// What is asked of a private key: nothing of its private part, ever.
constexpr std::array<CK_ATTRIBUTE_TYPE, 13> kKeyAttributes = {CKA_LABEL,
                                                              CKA_ID,
                                                              CKA_KEY_TYPE,
                                                              CKA_MODULUS,
                                                              CKA_PUBLIC_EXPONENT,
                                                              CKA_SENSITIVE,
                                                              CKA_EXTRACTABLE,
                                                              CKA_ALWAYS_SENSITIVE,
                                                              CKA_NEVER_EXTRACTABLE,
                                                              CKA_LOCAL,
                                                              CKA_ALWAYS_AUTHENTICATE,
                                                              CKA_DECRYPT,
                                                              CKA_SIGN};

/// A template under construction. What is added must outlive it.
class Template {
 public:
  Template& add(CK_ATTRIBUTE_TYPE type, ByteView value) {
    attributes_.push_back({type, input(value), value.size()});
    return *this;
  }
  Template& add(CK_ATTRIBUTE_TYPE type, const CK_ULONG& value) {
    return add(type, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
  }
  Template& add(CK_ATTRIBUTE_TYPE type, const SecretBytes& value) { return add(type, value.expose()); }
  Template& add(CK_ATTRIBUTE_TYPE type, std::string_view value) { return add(type, as_bytes(value)); }
  Template& set(CK_ATTRIBUTE_TYPE type) { return add(type, ByteView(&kTrue, 1)); }
  Template& clear(CK_ATTRIBUTE_TYPE type) { return add(type, ByteView(&kFalse, 1)); }

  CK_ATTRIBUTE* data() { return attributes_.data(); }
  CK_ULONG size() const { return attributes_.size(); }

 private:
  static constexpr CK_BBOOL kTrue = CK_TRUE;
  static constexpr CK_BBOOL kFalse = CK_FALSE;
  std::vector<CK_ATTRIBUTE> attributes_;
};

constexpr CK_ULONG kPrivate = CKO_PRIVATE_KEY;
constexpr CK_ULONG kPublic = CKO_PUBLIC_KEY;
constexpr CK_ULONG kRsa = CKK_RSA;
constexpr std::array<std::uint8_t, 3> kExponent = {1, 0, 1};

using Value = std::optional<Bytes>;

/// NSS takes a larger buffer for a number as one that is too small.
std::size_t room_for(CK_ATTRIBUTE_TYPE type) {
  return type == CKA_KEY_TYPE ? sizeof(CK_ULONG) : kMaxAttributeBytes;
}

/// The attributes' values; what the token does not answer is absent.
CkResult<std::vector<Value>> read_attributes(const ObjectSession& at, CK_OBJECT_HANDLE object,
                                             std::span<const CK_ATTRIBUTE_TYPE> types) {
  std::vector<Bytes> buffers;
  std::vector<CK_ATTRIBUTE> attributes;
  for (const CK_ATTRIBUTE_TYPE type : types) {
    buffers.emplace_back(room_for(type));
    attributes.push_back({type, buffers.back().data(), buffers.back().size()});
  }
  const CK_RV rv = at.functions.C_GetAttributeValue(at.session, object, attributes.data(), attributes.size());
  const bool some_missing =
      rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_BUFFER_TOO_SMALL;
  if (rv != CKR_OK && !some_missing) return std::unexpected(CkFailure{"C_GetAttributeValue", rv});

  std::vector<Value> values(types.size());
  if (some_missing && types.size() == 1) return values;
  for (std::size_t i = 0; i < types.size(); ++i) {
    // Some tokens stop at the first attribute that they do not have, so that each is asked for alone.
    if (some_missing) {
      const auto one = read_attributes(at, object, types.subspan(i, 1));
      if (!one) return one;
      values[i] = one->front();
    } else if (attributes[i].ulValueLen <= buffers[i].size()) {
      buffers[i].resize(attributes[i].ulValueLen);
      values[i] = std::move(buffers[i]);
    }
  }
  return values;
}

template <std::size_t N>
CkResult<std::array<Value, N>> read_attributes(const ObjectSession& at, CK_OBJECT_HANDLE object,
                                               const std::array<CK_ATTRIBUTE_TYPE, N>& types) {
  auto values = read_attributes(at, object, std::span<const CK_ATTRIBUTE_TYPE>(types));
  if (!values) return std::unexpected(values.error());
  std::array<Value, N> out;
  std::ranges::move(*values, out.begin());
  return out;
}

CkResult<std::vector<CK_OBJECT_HANDLE>> find_objects(const ObjectSession& at, Template wanted) {
  TRAINSEAL_CK(at.functions, C_FindObjectsInit, at.session, wanted.data(), wanted.size());
  std::vector<CK_OBJECT_HANDLE> found;
  CK_RV rv = CKR_OK;
  for (CK_ULONG count = kHandlesAtOnce; rv == CKR_OK && count > 0;) {
    std::array<CK_OBJECT_HANDLE, kHandlesAtOnce> handles{};
    rv = at.functions.C_FindObjects(at.session, handles.data(), handles.size(), &count);
    if (rv == CKR_OK)
      found.insert(found.end(), handles.begin(), handles.begin() + std::min(count, kHandlesAtOnce));
    if (found.size() > kMaxObjects) rv = CKR_FUNCTION_FAILED;
  }
  at.functions.C_FindObjectsFinal(at.session);
  if (rv != CKR_OK) return std::unexpected(CkFailure{"C_FindObjects", rv});
  return found;
}

Bytes without_leading_zeros(const Value& number) {
  if (!number) return {};
  const auto first = std::ranges::find_if(*number, [](std::uint8_t b) { return b != 0; });
  return {first, number->end()};
}

std::optional<bool> as_bool(const Value& value) {
  if (!value || value->size() != sizeof(CK_BBOOL)) return std::nullopt;
  return value->front() != CK_FALSE;
}

bool is_rsa(const Value& key_type) {
  return key_type &&
         std::ranges::equal(*key_type, ByteView(reinterpret_cast<const std::uint8_t*>(&kRsa), sizeof kRsa));
}

Template named(const CK_ULONG& object_class, const Uri& uri) {
  Template wanted;
  wanted.add(CKA_CLASS, object_class);
  if (uri.object) wanted.add(CKA_LABEL, std::string_view(*uri.object));
  if (uri.id) wanted.add(CKA_ID, std::string_view(*uri.id));
  return wanted;
}

/// The public exponent from the public half, for tokens that do not keep it with the private key.
CkResult<Bytes> exponent_from_public_half(const ObjectSession& at, const FoundKey& key) {
  const auto half = find_public_half(at, key);
  if (!half) return std::unexpected(half.error());
  if (*half == CK_INVALID_HANDLE) return Bytes();
  constexpr std::array<CK_ATTRIBUTE_TYPE, 1> kTypes = {CKA_PUBLIC_EXPONENT};
  const auto values = read_attributes(at, *half, kTypes);
  if (!values) return std::unexpected(values.error());
  return without_leading_zeros(values->front());
}

Template public_template(const KeyName& name) {
  Template half;
  half.add(CKA_CLASS, kPublic).add(CKA_KEY_TYPE, kRsa).set(CKA_TOKEN).clear(CKA_PRIVATE);
  half.set(CKA_ENCRYPT).set(CKA_VERIFY);
  half.add(CKA_LABEL, std::string_view(name.label)).add(CKA_ID, ByteView(name.id));
  return half;
}

Template private_template(const KeyName& name) {
  Template half;
  half.add(CKA_CLASS, kPrivate).add(CKA_KEY_TYPE, kRsa).set(CKA_TOKEN).set(CKA_PRIVATE);
  half.set(CKA_SENSITIVE).clear(CKA_EXTRACTABLE).set(CKA_DECRYPT).set(CKA_SIGN);
  half.add(CKA_LABEL, std::string_view(name.label)).add(CKA_ID, ByteView(name.id));
  return half;
}

}  // namespace

CkResult<FoundKey> describe(const ObjectSession& at, CK_OBJECT_HANDLE private_key) {
  const auto values = read_attributes(at, private_key, kKeyAttributes);
  if (!values) return std::unexpected(values.error());
  const auto& [label, id, key_type, modulus, exponent, sensitive, extractable, always_sensitive,
               never_extractable, local, always_authenticate, decrypts, signs] = *values;
  FoundKey key;
  key.handle = private_key;
  key.info.label = as_text(label.value_or(Bytes()));
  key.info.id = id.value_or(Bytes());
  key.info.uri = uri_of(at.token, key.info.label, key.info.id).str();
  key.info.sensitive = as_bool(sensitive);
  key.info.extractable = as_bool(extractable);
  key.info.always_sensitive = as_bool(always_sensitive);
  key.info.never_extractable = as_bool(never_extractable);
  key.info.local = as_bool(local);
  key.info.always_authenticate = as_bool(always_authenticate);
  key.info.may_decrypt = as_bool(decrypts);
  key.info.may_sign = as_bool(signs);
  key.log_in_for_each_use = key.info.always_authenticate.value_or(false);
  if (!is_rsa(key_type)) {
    key.info.unusable = "not an RSA key";
    return key;
  }
  key.modulus = without_leading_zeros(modulus);
  CkResult<Bytes> public_exponent = without_leading_zeros(exponent);
  if (public_exponent->empty()) public_exponent = exponent_from_public_half(at, key);
  if (!public_exponent) return std::unexpected(public_exponent.error());
  if (auto numbers = PublicKey::from_numbers(key.modulus, *public_exponent))
    key.info.public_key = *std::move(numbers);
  else
    key.info.unusable = std::move(numbers.error().what);
  return key;
}

CkResult<std::vector<FoundKey>> find_private_keys(const ObjectSession& at, const Uri& uri) {
  const auto handles = find_objects(at, named(kPrivate, uri));
  if (!handles) return std::unexpected(handles.error());
  std::vector<FoundKey> keys;
  for (const CK_OBJECT_HANDLE handle : *handles) {
    auto key = describe(at, handle);
    if (!key) return std::unexpected(key.error());
    if (uri.matches(key->info)) keys.push_back(*std::move(key));
  }
  return keys;
}

CkResult<std::vector<PublicKey>> find_public_keys(const ObjectSession& at, const Uri& uri) {
  const auto handles = find_objects(at, named(kPublic, uri).add(CKA_KEY_TYPE, kRsa));
  if (!handles) return std::unexpected(handles.error());
  constexpr std::array<CK_ATTRIBUTE_TYPE, 2> kTypes = {CKA_MODULUS, CKA_PUBLIC_EXPONENT};
  std::vector<PublicKey> keys;
  for (const CK_OBJECT_HANDLE handle : *handles) {
    const auto values = read_attributes(at, handle, kTypes);
    if (!values) return std::unexpected(values.error());
    const auto& [modulus, exponent] = *values;
    if (auto key = PublicKey::from_numbers(without_leading_zeros(modulus), without_leading_zeros(exponent)))
      keys.push_back(*std::move(key));
  }
  return keys;
}

CkResult<CK_OBJECT_HANDLE> find_again(const ObjectSession& at, const FoundKey& known) {
  Template wanted;
  wanted.add(CKA_CLASS, kPrivate).add(CKA_KEY_TYPE, kRsa);
  wanted.add(CKA_LABEL, std::string_view(known.info.label)).add(CKA_ID, ByteView(known.info.id));
  const auto handles = find_objects(at, std::move(wanted));
  if (!handles) return std::unexpected(handles.error());
  constexpr std::array<CK_ATTRIBUTE_TYPE, 1> kTypes = {CKA_MODULUS};
  for (const CK_OBJECT_HANDLE handle : *handles) {
    const auto values = read_attributes(at, handle, kTypes);
    if (!values) return std::unexpected(values.error());
    if (without_leading_zeros(values->front()) == known.modulus) return handle;
  }
  return std::unexpected(CkFailure{"C_FindObjects", CKR_KEY_HANDLE_INVALID});
}

CkResult<bool> is_taken(const ObjectSession& at, const KeyName& name) {
  for (const CK_ULONG& object_class : {kPrivate, kPublic})
    for (const auto& wanted :
         {Template().add(CKA_CLASS, object_class).add(CKA_LABEL, std::string_view(name.label)),
          Template().add(CKA_CLASS, object_class).add(CKA_ID, ByteView(name.id))}) {
      const auto found = find_objects(at, wanted);
      if (!found) return std::unexpected(found.error());
      if (!found->empty()) return true;
    }
  return false;
}

CkResult<KeyPair> generate_pair(const ObjectSession& at, const KeyName& name, unsigned bits) {
  const CK_ULONG modulus_bits = bits;
  Template public_half = public_template(name);
  public_half.add(CKA_MODULUS_BITS, modulus_bits).add(CKA_PUBLIC_EXPONENT, ByteView(kExponent));
  Template private_half = private_template(name);
  CK_MECHANISM mechanism{CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0};
  KeyPair pair;
  TRAINSEAL_CK(at.functions, C_GenerateKeyPair, at.session, &mechanism, public_half.data(),
               public_half.size(), private_half.data(), private_half.size(), &pair.public_key,
               &pair.private_key);
  return pair;
}

CkResult<KeyPair> create_pair(const ObjectSession& at, const KeyName& name, const PrivateNumbers& numbers) {
  Template private_half = private_template(name);
  private_half.add(CKA_MODULUS, ByteView(numbers.modulus))
      .add(CKA_PUBLIC_EXPONENT, ByteView(numbers.public_exponent))
      .add(CKA_PRIVATE_EXPONENT, numbers.private_exponent)
      .add(CKA_PRIME_1, numbers.prime_1)
      .add(CKA_PRIME_2, numbers.prime_2)
      .add(CKA_EXPONENT_1, numbers.exponent_1)
      .add(CKA_EXPONENT_2, numbers.exponent_2)
      .add(CKA_COEFFICIENT, numbers.coefficient);
  Template public_half = public_template(name);
  public_half.add(CKA_MODULUS, ByteView(numbers.modulus))
      .add(CKA_PUBLIC_EXPONENT, ByteView(numbers.public_exponent));
  KeyPair pair;
  TRAINSEAL_CK(at.functions, C_CreateObject, at.session, private_half.data(), private_half.size(),
               &pair.private_key);
  TRAINSEAL_CK(at.functions, C_CreateObject, at.session, public_half.data(), public_half.size(),
               &pair.public_key);
  return pair;
}

CkResult<void> destroy_pair(const ObjectSession& at, const KeyPair& pair) {
  for (const CK_OBJECT_HANDLE half : {pair.public_key, pair.private_key})
    if (half != CK_INVALID_HANDLE) TRAINSEAL_CK(at.functions, C_DestroyObject, at.session, half);
  return {};
}

CkResult<std::size_t> destroy_named(const ObjectSession& at, const KeyName& name) {
  std::size_t destroyed = 0;
  for (const CK_ULONG& object_class : {kPrivate, kPublic}) {
    Template wanted;
    wanted.add(CKA_CLASS, object_class).add(CKA_LABEL, std::string_view(name.label));
    const auto found = find_objects(at, wanted.add(CKA_ID, ByteView(name.id)));
    if (!found) return std::unexpected(found.error());
    for (const CK_OBJECT_HANDLE object : *found) {
      TRAINSEAL_CK(at.functions, C_DestroyObject, at.session, object);
      ++destroyed;
    }
  }
  return destroyed;
}

CkResult<CK_OBJECT_HANDLE> find_public_half(const ObjectSession& at, const FoundKey& key) {
  if (key.modulus.empty()) return CK_INVALID_HANDLE;
  const auto found =
      find_objects(at, Template().add(CKA_CLASS, kPublic).add(CKA_MODULUS, ByteView(key.modulus)));
  if (!found) return std::unexpected(found.error());
  return found->empty() ? CK_INVALID_HANDLE : found->front();
}

}  // namespace trainseal
