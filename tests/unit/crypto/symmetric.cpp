#include "crypto/symmetric.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "base/random.h"

using namespace trainseal;

namespace {

SymmetricKey key_of(ByteView bytes) { return SymmetricKey::take(SecretBytes::copy_of(bytes)).value(); }
SymmetricKey key_of_hex(std::string_view hex) { return key_of(decode_hex(hex).value()); }

/// What `cipher` makes of `input`, given to it in pieces of `piece` bytes.
template <typename Cipher>
Bytes fed(Cipher& cipher, ByteView input, std::size_t piece) {
  Bytes output;
  Bytes out;
  while (!input.empty()) {
    const auto part = input.first(std::min(piece, input.size()));
    out.assign(part.size() + 32, 0xee);
    const auto written = cipher.update(part, out);
    output.insert(output.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(written));
    input = input.subspan(part.size());
  }
  return output;
}

Bytes encrypt(const SymmetricKey& key, ByteView plain, std::size_t piece = 1 << 20) {
  CbcEncryptor encryptor(key);
  encryptor.start();
  auto output = fed(encryptor, plain, piece);
  Bytes last(32);
  last.resize(encryptor.finish(last));
  output.insert(output.end(), last.begin(), last.end());
  return output;
}

Result<Bytes> decrypt(CbcDecryptor& decryptor, ByteView cipher, std::size_t piece = 1 << 20) {
  decryptor.start();
  auto output = fed(decryptor, cipher, piece);
  Bytes last(16);
  TRY(const auto last_bytes, decryptor.finish(last));
  output.insert(output.end(), last.begin(), last.begin() + static_cast<std::ptrdiff_t>(last_bytes));
  return output;
}

Result<Bytes> decrypt(const SymmetricKey& key, ByteView cipher, std::size_t piece = 1 << 20) {
  CbcDecryptor decryptor(key);
  return decrypt(decryptor, cipher, piece);
}

Bytes counted(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + 1);
  return bytes;
}

const std::vector<std::size_t> kSizes = {0,  1,  15,  16,  17,  31,   32,   33,  47,
                                         48, 49, 255, 256, 257, 4095, 4096, 4097};

/// A block that decrypts, in CBC under the IV in front of it, to `block`: made by encrypting `block` as a
/// first block.
Bytes file_with_last_block(const SymmetricKey& key, ByteView block) {
  auto file = encrypt(key, block);
  file.resize(32);
  return file;
}

}  // namespace

TEST_CASE("keys have the length of an AES key") {
  for (std::size_t size = 0; size < 80; ++size) {
    const auto key = SymmetricKey::take(SecretBytes(size));
    const bool is_aes_length = size == 16 || size == 24 || size == 32;
    CHECK(key.has_value() == is_aes_length);
    if (!key) CHECK(key.error().code == ErrorCode::decrypt_failed);
  }
}

TEST_CASE("generated keys have 32 bytes and differ") {
  const auto first = SymmetricKey::generate();
  const auto second = SymmetricKey::generate();
  CHECK(first.expose().size() == 32);
  CHECK_FALSE(std::ranges::equal(first.expose(), second.expose()));
}

TEST_CASE("decryption gives the published values of AES-CBC") {
  // NIST SP 800-38A, F.2.1 to F.2.6: the same IV and plaintext under keys of each length.
  const std::string iv = "000102030405060708090a0b0c0d0e0f";
  const std::string plain =
      "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
      "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
  struct Case {
    std::string key, cipher;
  };
  const std::vector<Case> cases = {
      {"2b7e151628aed2a6abf7158809cf4f3c",
       "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
       "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"},
      {"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
       "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"
       "571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd"},
      {"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
       "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
       "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"},
  };
  for (const auto& [key, cipher] : cases) {
    CbcDecryptor decryptor(key_of_hex(key));
    decryptor.start();
    // The examples have no padding: all but the block that could be the last one comes out.
    const auto certain = fed(decryptor, decode_hex(iv + cipher).value(), 1000);
    CHECK(encode_hex(certain) == plain.substr(0, 96));
  }
}

TEST_CASE("every size around the blocks comes back, however it is cut") {
  const auto key = SymmetricKey::generate();
  for (const auto size : kSizes) {
    const auto plain = counted(size);
    for (const std::size_t piece : {1U, 3U, 15U, 16U, 17U, 31U, 32U, 33U, 5000U}) {
      INFO("size " << size << ", pieces of " << piece);
      const auto cipher = encrypt(key, plain, piece);
      CHECK(cipher.size() == encrypted_bytes(size));
      const auto back = decrypt(key, cipher, piece);
      REQUIRE(back);
      CHECK(*back == plain);
    }
  }
}

TEST_CASE("large pieces come back under keys of each length") {
  for (const std::size_t key_bytes : {16U, 24U, 32U}) {
    const auto key = key_of(counted(key_bytes));
    const auto plain = counted(3'000'001);
    const auto back = decrypt(key, encrypt(key, plain, 256 * 1024), 256 * 1024 + 5);
    REQUIRE(back);
    CHECK(*back == plain);
  }
}

TEST_CASE("one encryptor and one decryptor serve many files, each with an IV of its own") {
  const auto key = SymmetricKey::generate();
  CbcEncryptor encryptor(key);
  CbcDecryptor decryptor(key);
  std::set<Bytes> ivs;
  for (const auto size : kSizes) {
    const auto plain = counted(size);
    encryptor.start();
    Bytes file = fed(encryptor, plain, 100);
    Bytes last(32);
    last.resize(encryptor.finish(last));
    file.insert(file.end(), last.begin(), last.end());
    ivs.emplace(file.begin(), file.begin() + 16);
    const auto back = decrypt(decryptor, file);
    REQUIRE(back);
    CHECK(*back == plain);
  }
  CHECK(ivs.size() == kSizes.size());
}

TEST_CASE("a failed or abandoned file does not spoil the next") {
  const auto key = SymmetricKey::generate();
  const auto plain = counted(100);
  const auto cipher = encrypt(key, plain);
  CbcDecryptor decryptor(key);
  for (const std::size_t kept_bytes : {0U, 7U, 16U, 20U, 32U, 50U, 112U}) {
    CHECK_FALSE(decrypt(decryptor, ByteView(cipher).first(kept_bytes)));
    CHECK(decrypt(decryptor, cipher).value() == plain);
    decryptor.start();
    fed(decryptor, ByteView(cipher).first(kept_bytes), 1000);
    CHECK(decrypt(decryptor, cipher).value() == plain);
  }

  CbcEncryptor encryptor(key);
  encryptor.start();
  Bytes out(64);
  encryptor.update(counted(5), out);
  encryptor.start();
  auto file = fed(encryptor, plain, 7);
  file.resize(file.size() + 32);
  file.resize(file.size() - 32 + encryptor.finish(MutableByteView(file).last(32)));
  CHECK(decrypt(key, file).value() == plain);
}

TEST_CASE("every length that cannot be is refused, with one and the same error") {
  const auto key = SymmetricKey::generate();
  const auto cipher = encrypt(key, counted(64));
  const auto of_nothing = decrypt(key, {});
  REQUIRE_FALSE(of_nothing);
  CHECK(of_nothing.error().code == ErrorCode::decrypt_failed);
  for (std::size_t kept_bytes = 1; kept_bytes < cipher.size(); ++kept_bytes) {
    // Cut at a block, what is left ends in plaintext that counts up and is no padding.
    const auto refused = decrypt(key, ByteView(cipher).first(kept_bytes));
    INFO(kept_bytes);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().what == of_nothing.error().what);
    CHECK(refused.error().hint == of_nothing.error().hint);
    CHECK(refused.error().detail == of_nothing.error().detail);
  }
}

TEST_CASE("padding is right for 1 to 16 equal bytes and wrong for everything else") {
  const auto key = SymmetricKey::generate();
  for (unsigned pad = 0; pad < 256; ++pad) {
    Bytes block(16, 0x5a);
    const auto pad_bytes = std::min<std::size_t>(pad, 16);
    std::fill_n(block.rbegin(), pad_bytes, static_cast<std::uint8_t>(pad));
    block.back() = static_cast<std::uint8_t>(pad);
    const auto plain = decrypt(key, file_with_last_block(key, block));
    INFO(pad);
    CHECK(plain.has_value() == (pad >= 1 && pad <= 16));
    if (plain) CHECK(plain->size() == 16 - pad);
    if (!plain) CHECK(plain.error().code == ErrorCode::decrypt_failed);

    // One byte of the padding that differs, in any place and any bit.
    for (std::size_t place = 1; plain && place < pad; ++place) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        auto damaged = block;
        damaged[15 - place] ^= static_cast<std::uint8_t>(1U << bit);
        if (decrypt(key, file_with_last_block(key, damaged))) FAIL("place " << place << ", bit " << bit);
      }
    }
  }
}

TEST_CASE("a flipped bit changes what comes out or makes it fail, and never more than that") {
  const auto key = SymmetricKey::generate();
  const auto plain = counted(40);
  const auto cipher = encrypt(key, plain);
  for (std::size_t byte = 0; byte < cipher.size(); ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      auto damaged = cipher;
      damaged[byte] ^= static_cast<std::uint8_t>(1U << bit);
      const auto back = decrypt(key, damaged);
      if (back && *back == plain) FAIL("byte " << byte << ", bit " << bit << " made no difference");
      if (back && back->size() > 47) FAIL("byte " << byte << ", bit " << bit << " made the file longer");
    }
  }
}

TEST_CASE("another key does not give the plaintext") {
  const auto plain = counted(1000);
  const auto cipher = encrypt(SymmetricKey::generate(), plain);
  const auto back = decrypt(SymmetricKey::generate(), cipher);
  CHECK((!back || *back != plain));
}

TEST_CASE("update holds back what may be padding") {
  const auto key = SymmetricKey::generate();
  const auto cipher = encrypt(key, counted(64));
  CbcDecryptor decryptor(key);
  decryptor.start();
  Bytes out(200);
  CHECK(decryptor.update(ByteView(cipher).first(16), out) == 0);
  CHECK(decryptor.update(ByteView(cipher).subspan(16, 16), out) == 0);
  CHECK(decryptor.update(ByteView(cipher).subspan(32, 15), out) == 0);
  CHECK(decryptor.update(ByteView(cipher).subspan(47, 1), out) == 16);
  CHECK(decryptor.update(ByteView(cipher).subspan(48), out) == 48);
  CHECK(decryptor.update({}, out) == 0);
  CHECK(decryptor.finish(out).value() == 0);
}
