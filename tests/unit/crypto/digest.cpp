#include "crypto/digest.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>

using namespace trainseal;

namespace {

// FIPS 180-4's examples, as NIST publishes them.
constexpr std::string_view kOfNothing =
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
constexpr std::string_view kOfAbc =
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
constexpr std::string_view kOfTwoBlocks =
    "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
    "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909";
constexpr std::string_view kOfMillionA =
    "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
    "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b";

}  // namespace

TEST_CASE("SHA-512 gives the published values") {
  CHECK(Sha512::of({}).hex() == kOfNothing);
  CHECK(Sha512::of(as_bytes("abc")).hex() == kOfAbc);
  CHECK(Sha512::of(as_bytes("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                            "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"))
            .hex() == kOfTwoBlocks);
  CHECK(Sha512::of(as_bytes(std::string(1'000'000, 'a'))).hex() == kOfMillionA);
}

TEST_CASE("SHA-512 does not depend on how its input is cut") {
  for (const std::size_t piece : {1U, 63U, 64U, 127U, 128U, 129U, 4096U}) {
    const std::string all(1'000'000, 'a');
    Sha512 hasher;
    std::string_view rest = all;
    while (!rest.empty()) {
      hasher.update(as_bytes(rest.substr(0, piece)));
      rest.remove_prefix(std::min(piece, rest.size()));
      hasher.update({});
    }
    CHECK(std::move(hasher).finish().hex() == kOfMillionA);
  }
}

TEST_CASE("a hasher can be moved in the middle") {
  Sha512 first;
  first.update(as_bytes("a"));
  Sha512 second = std::move(first);
  second.update(as_bytes("bc"));
  CHECK(std::move(second).finish().hex() == kOfAbc);
}

TEST_CASE("SHA-256 gives the published values") {
  CHECK(Digest256::of({}).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(Digest256::of(as_bytes("abc")).hex() ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a digest is read from 128 hex digits of either case") {
  const auto digest = Sha512::of(as_bytes("abc"));
  std::string upper(kOfAbc);
  for (auto& digit : upper) digit = static_cast<char>(std::toupper(digit));
  CHECK(Digest512::parse_hex(kOfAbc).value() == digest);
  CHECK(Digest512::parse_hex(upper).value() == digest);
  CHECK(Digest512::parse_hex(kOfAbc).value().bytes().size() == Digest512::kBytes);
  CHECK_FALSE(Digest512::parse_hex(kOfNothing).value() == digest);

  std::string damaged(kOfAbc);
  damaged[5] = 'x';
  for (const auto& bad : {std::string(), std::string(kOfAbc.substr(2)), std::string(kOfAbc) + "00", damaged,
                          "0x" + std::string(kOfAbc.substr(2))}) {
    const auto refused = Digest512::parse_hex(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::config_invalid);
  }
}
