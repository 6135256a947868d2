// The primitives against what the reference implementation made: its ciphertexts, wrapped keys and
// signatures.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/hex.h"
#include "fixtures/scratch_folder.h"
#include "fixtures/software_token.h"

using namespace trainseal;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

Bytes bytes_of(const fs::path& path) { return read_file(path, 1 << 26, ErrorCode::internal).value(); }

Json json_of(const fs::path& path) { return Json::parse(as_text(bytes_of(path)), nullptr, false); }

Bytes hex_field(const Json& value) { return decode_hex(value.get<std::string>()).value(); }

/// The trains, unpacked for one test.
class Trains {
 public:
  Trains() {
    const std::string command =
        text("tar -xzf '", TRAINSEAL_TEST_DATA, "/trains.tar.gz' -C '", scratch_.path().native(),
             "' trains/basic trains/edges trains/five-mixed-rsa");
    REQUIRE(std::system(command.c_str()) == 0);
  }
  fs::path path(const std::string& name) const { return scratch_.path() / "trains" / name; }

 private:
  test::ScratchFolder scratch_;
};

Bytes decrypted(const SymmetricKey& key, const Bytes& file) {
  CbcDecryptor decryptor(key);
  decryptor.start();
  Bytes plain(file.size() + 32);
  const auto certain = decryptor.update(file, plain);
  plain.resize(certain + decryptor.finish(MutableByteView(plain).subspan(certain)).value());
  return plain;
}

/// Decrypts every file of the sealed stage `stage` and compares it with the same file in `plain_stage`.
unsigned check_files(const fs::path& train, const Json& stage, const Json& plain_stage) {
  const auto key = SymmetricKey::take(SecretBytes::copy_of(hex_field(stage["symmetric_key"]))).value();
  unsigned files = 0;
  for (const auto& entry : plain_stage["entries_in_archive_order"]) {
    const auto name = entry["path"].get<std::string>();
    const bool is_sealed = name.starts_with("pht_train/") || name.starts_with("pht_results/");
    if (entry["type"] != "file" || !is_sealed) continue;
    const auto path = fs::path(stage["stage"].get<std::string>()) / "opt" / name;
    const auto sealed = bytes_of(train / path);
    INFO(path);
    const auto plain = decrypted(key, sealed);
    CHECK(plain.size() == entry["size"].get<std::size_t>());
    CHECK(sealed.size() == encrypted_bytes(plain.size()));
    CHECK(Digest256::of(plain).hex() == entry["sha256"].get<std::string>());
    ++files;
  }
  return files;
}

PublicKey public_key_in(const Json& field) { return PublicKey::parse_pem(as_text(hex_field(field))).value(); }

}  // namespace

TEST_CASE("files that the reference encrypted come back as it recorded them") {
  const Trains trains;
  unsigned files = 0;
  for (const auto* name : {"basic", "edges", "five-mixed-rsa"}) {
    const auto manifest = json_of(trains.path(name) / "manifest.json");
    const auto& stages = manifest["stages"];
    for (std::size_t i = 0; i + 1 < stages.size(); ++i) {
      const bool is_pair = stages[i]["state"] == "encrypted" && stages[i + 1]["state"] == "decrypted";
      if (is_pair) files += check_files(trains.path(name), stages[i], stages[i + 1]);
    }
  }
  CHECK(files == 72);
}

TEST_CASE("keys that the reference wrapped are unwrapped, and its signatures verify") {
  const Trains trains;
  for (const auto* name : {"basic", "five-mixed-rsa"}) {
    INFO(name);
    const auto manifest = json_of(trains.path(name) / "manifest.json");
    const auto& last = manifest["stages"].back();
    const auto config =
        json_of(trains.path(name) / last["stage"].get<std::string>() / "opt" / "train_config.json");

    for (const auto& stop : config["route"]) {
      const auto public_key = public_key_in(stop["rsa_public_key"]);
      const auto& stations = manifest["parameters"]["stations"];
      const auto station =
          std::ranges::find_if(stations, [&](const Json& s) { return s["id"] == stop["station"]; });
      REQUIRE(station != stations.end());
      CHECK(public_key.bits() == (*station)["rsa_bits"].get<unsigned>());

      auto key = test::SoftwareKey::from_pem(
          as_text(bytes_of(trains.path(name) / (*station)["key"].get<std::string>())));
      CHECK(key.public_key() == public_key);
      const auto unwrapped = key.unwrap(WrappedKey{hex_field(stop["encrypted_key"])});
      REQUIRE(unwrapped);
      CHECK(encode_hex(unwrapped->expose()) == last["symmetric_key"].get<std::string>());

      const auto digest = Digest512::parse_hex(stop["signature"]["digest"].get<std::string>()).value();
      const PssSignature signature{hex_field(stop["signature"]["signature"])};
      CHECK(public_key.verifies(digest, signature, PssSalt::protocol));
      CHECK_FALSE(public_key.verifies(digest, signature, PssSalt::statement));
    }

    const auto hash = hex_field(config["hash"]);
    const Pkcs1Signature by_creator{hex_field(config["signature"])};
    CHECK(public_key_in(config["creator"]["rsa_public_key"]).verifies(Sha512::of(hash), by_creator));
    const Pkcs1Signature by_builder{hex_field(config["build"]["signature"])};
    auto hash_and_signature = std::move(Sha512().update(hash).update(by_creator.bytes)).finish();
    CHECK(public_key_in(config["build"]["rsa_public_key"]).verifies(hash_and_signature, by_builder));
  }
}
