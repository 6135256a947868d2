// What must not compile: each of these would be a way to leak a secret or to take one thing for another.

#include <catch2/catch.hpp>
#include <concepts>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/log.h"
#include "base/secret.h"
#include "crypto/rsa.h"
#include "crypto/symmetric.h"

using namespace trainseal;

namespace {

template <typename T>
concept Streamable = requires(std::ostream& out, const T& value) { out << value; };

template <typename T>
concept Comparable = requires(const T& a, const T& b) { a == b; };

template <typename T>
concept Ordered = requires(const T& a, const T& b) { a < b; };

template <typename T>
constexpr bool kBecomesText =
    std::convertible_to<const T&, std::string_view> || std::constructible_from<std::string_view, const T&> ||
    std::constructible_from<std::string, const T&>;

template <typename T>
constexpr bool kKeepsItself =
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> && !Streamable<T> && !Comparable<T> &&
    !Ordered<T> && !kBecomesText<T> && !std::convertible_to<const T&, ByteView> &&
    !std::convertible_to<const T&, bool>;

static_assert(kKeepsItself<SecretBytes>);
static_assert(kKeepsItself<SymmetricKey>);
static_assert(std::is_nothrow_move_constructible_v<SecretBytes> &&
              std::is_nothrow_move_assignable_v<SecretBytes>);
static_assert(std::is_move_constructible_v<SymmetricKey>);
static_assert(!std::is_default_constructible_v<SymmetricKey>);
static_assert(!std::constructible_from<SymmetricKey, SecretBytes>, "a key's length is checked by take()");
static_assert(!std::convertible_to<std::size_t, SecretBytes>);

template <typename From, typename To>
constexpr bool kPassesFor =
    std::convertible_to<From, To> || std::constructible_from<To, From> || std::assignable_from<To&, From>;

static_assert(!kPassesFor<WrappedKey, PssSignature> && !kPassesFor<WrappedKey, Pkcs1Signature>);
static_assert(!kPassesFor<PssSignature, WrappedKey> && !kPassesFor<PssSignature, Pkcs1Signature>);
static_assert(!kPassesFor<Pkcs1Signature, WrappedKey> && !kPassesFor<Pkcs1Signature, PssSignature>);
static_assert(!std::convertible_to<Bytes, WrappedKey> && !std::convertible_to<Bytes, PssSignature> &&
              !std::convertible_to<Bytes, Pkcs1Signature>);

static_assert(!std::is_default_constructible_v<Digest512> && !std::is_default_constructible_v<Digest256>);
static_assert(!kPassesFor<Bytes, Digest512> && !kPassesFor<ByteView, Digest512> &&
              !kPassesFor<std::array<std::uint8_t, 64>, Digest512> && !kPassesFor<std::string, Digest512>);
static_assert(!kPassesFor<Digest512, Digest256> && !kPassesFor<Digest256, Digest512>);

template <typename T>
constexpr bool kCanBeLogged = std::constructible_from<LogField, std::string_view, T>;

static_assert(kCanBeLogged<std::string> && kCanBeLogged<const char*> && kCanBeLogged<std::string_view>);
static_assert(kCanBeLogged<std::uint64_t> && kCanBeLogged<unsigned> && kCanBeLogged<bool> &&
              kCanBeLogged<ErrorCode>);
static_assert(!kCanBeLogged<Bytes> && !kCanBeLogged<ByteView> && !kCanBeLogged<MutableByteView>);
static_assert(!kCanBeLogged<SecretBytes> && !kCanBeLogged<const SecretBytes&>);
static_assert(!kCanBeLogged<SymmetricKey> && !kCanBeLogged<const SymmetricKey&>);
static_assert(!kCanBeLogged<const std::uint8_t*> && !kCanBeLogged<void*>, "a pointer is not a bool");
static_assert(!kCanBeLogged<WrappedKey> && !kCanBeLogged<PssSignature>);

}  // namespace

TEST_CASE("the compiler refuses to mix up or leak what the types keep apart") {
  SUCCEED("see the static_asserts");
}
