#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "fixtures/image_fixture.h"
#include "image/derived_image.h"
#include "image/layer/sealed_layer.h"

namespace trainseal::image_test {
namespace {

constexpr std::int64_t kTime = 1'800'000'000;

struct LayerFile {
  Scratch scratch;
  std::filesystem::path path = scratch / "layer";
  UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};

  SealedLayerWriter begin() { return value(SealedLayerWriter::begin(fd.get(), path, kTime)); }
  std::string bytes() const { return content_of(path); }
};

void add(SealedLayerWriter& writer, std::string_view name, const std::string& content,
         bool executable = false) {
  value(writer.file(name, executable, content.size(), reading(content)));
}

SealedLayer write_train(LayerFile& file) {
  SealedLayerWriter writer = file.begin();
  value(writer.part("pht_results"));
  value(writer.folder("pht_results/sub"));
  add(writer, "pht_results/sub/" + std::string(200, 'n'), std::string(300'000, 'r'));
  value(writer.symlink("pht_results/z", "sub/n"));
  value(writer.part("pht_train"));
  add(writer, "pht_train/run.py", "code", true);
  add(writer, "train_config.json", "{\"new\": 1}");
  value(writer.removal("train_config.json.dsse"));
  add(writer, "user_sym_key.key", "key");
  return value(std::move(writer).finish());
}

std::string listing(const std::filesystem::path& layer) {
  const Scratch scratch;
  const std::string command = text("LC_ALL=C TZ=UTC tar --numeric-owner -tvzf '", layer.string(), "' >'",
                                   (scratch / "list").string(), "'");
  REQUIRE(std::system(command.c_str()) == 0);
  return content_of(scratch / "list");
}

}  // namespace

TEST_CASE("a sealed layer holds these names, with one owner and one time, and no opt/", "[image]") {
  LayerFile file;
  write_train(file);
  const std::string when = " 2027-01-15 08:00 ";
  CHECK(listing(file.path) ==
        text("drwxr-xr-x 0/0               0", when, "opt/pht_results/\n", "-rw-r--r-- 0/0               0",
             when, "opt/pht_results/.wh..wh..opq\n", "drwxr-xr-x 0/0               0", when,
             "opt/pht_results/sub/\n", "-rw-r--r-- 0/0          300000", when, "opt/pht_results/sub/",
             std::string(200, 'n'), '\n', "lrw-r--r-- 0/0               0", when,
             "opt/pht_results/z -> sub/n\n", "drwxr-xr-x 0/0               0", when, "opt/pht_train/\n",
             "-rw-r--r-- 0/0               0", when, "opt/pht_train/.wh..wh..opq\n",
             "-rwxr-xr-x 0/0               4", when, "opt/pht_train/run.py\n",
             "-rw-r--r-- 0/0              10", when, "opt/train_config.json\n",
             "-rw-r--r-- 0/0               0", when, "opt/.wh.train_config.json.dsse\n",
             "-rw-r--r-- 0/0               3", when, "opt/user_sym_key.key\n"));
}

TEST_CASE("a sealed layer is named by what gzip and sha256sum make of it, and is the same each time",
          "[image]") {
  LayerFile file, again;
  const SealedLayer sealed = write_train(file);
  CHECK(write_train(again).layer.blob == sealed.layer.blob);
  const std::string blob = file.bytes();
  CHECK(sealed.layer.blob.digest == Digest256::of(as_bytes(blob)));
  CHECK(sealed.layer.blob.size == blob.size());
  CHECK(sealed.layer.diff_id == Digest256::of(as_bytes(through("gzip -d", blob))));
}

TEST_CASE("a sealed layer is read back", "[image]") {
  LayerFile file;
  const SealedLayer sealed = write_train(file);
  value(check_sealed_layer(reading(file.bytes()), sealed));

  SECTION("cut or changed on the disk") {
    std::string blob = file.bytes();
    CHECK(!check_sealed_layer(reading(blob.substr(0, blob.size() / 2)), sealed));
    blob[blob.size() / 2] ^= 1;
    CHECK(!check_sealed_layer(reading(blob), sealed));
  }
  SECTION("other members than those that were written") {
    const std::string tar = through("gzip -d", file.bytes());
    SealedLayer other = sealed;
    other.members = Digest256::of({});
    CHECK(code(check_sealed_layer(reading(file.bytes()), other)) == "internal");
  }
  SECTION("paths outside, hard links, devices") {
    const auto refused = [](const Tar& tar) {
      const std::string bytes = tar.bytes();
      const LayerFacts facts = facts_of(bytes, bytes);
      return code(check_sealed_layer(reading(bytes),
                                     {{{"", facts.digest, facts.size}, facts.diff_id}, Digest256::of({})}));
    };
    CHECK(refused(Tar().folder("opt")) == "internal");
    CHECK(refused(Tar().file("opt/pht_resultsx", "")) == "internal");
    CHECK(refused(Tar().file("opt/query.json", "")) == "internal");
    CHECK(refused(Tar().file("etc/passwd", "")) == "internal");
    CHECK(refused(Tar().hard_link("opt/pht_results/a", "opt/pht_results/b")) == "internal");
    CHECK(refused(Tar().member("opt/pht_results/a", '3', "")) == "internal");
  }
}

TEST_CASE("a file that changes while it is sealed is noticed", "[image]") {
  LayerFile file;
  SealedLayerWriter writer = file.begin();
  CHECK(code(writer.file("pht_results/a", false, 10, reading("short"))) == "results_unstable");
  CHECK(code(writer.file("pht_results/b", false, 2, reading("longer"))) == "results_unstable");
}

TEST_CASE("the sealed image is its base with one layer on it, and hides what the base had", "[image]") {
  LayoutFixture layout;
  const std::string base_tar = Tar()
                                   .file("opt/pht_results/stale", "old")
                                   .file("opt/train_config.json", "old")
                                   .file("opt/keep", "k")
                                   .bytes();
  const std::string more =
      R"(, "config": {"Env": ["A=1"], "x": 1}, "history": [{"created_by": "base", "y": 2}], "z": {"b": 1, "a": 2})";
  layout.index({LayoutFixture::descriptor(layout.image({base_tar}, more),
                                          "application/vnd.docker.distribution.manifest.v2+json",
                                          LayoutFixture::named("base"))});
  const Image base = value(layout.open().find("base"));

  LayerFile file;
  const SealedLayer sealed = write_train(file);
  const Image image = value(with_layer(base, sealed.layer, {"2026-11-24T20:00:00Z", "trainseal post-run"}));
  value(check_sealed_on(base, sealed.layer, image));
  CHECK(code(check_sealed_on(image, sealed.layer, image)) == "base_mismatch");
  CHECK(code(check_sealed_on(base, base.layers[0], image)) == "base_mismatch");

  const auto config = nlohmann::ordered_json::parse(image.config_json);
  CHECK(config["config"].dump() == R"({"Env":["A=1"],"x":1})");
  CHECK(config["z"].dump() == R"({"b":1,"a":2})");
  CHECK(config["history"][0].dump() == R"({"created_by":"base","y":2})");
  CHECK(config["history"].size() == 2);
  CHECK(config["rootfs"]["diff_ids"].size() == 2);

  layout.blob(file.bytes());
  layout.blob(std::string(as_text(image.config_json)));
  layout.blob(std::string(as_text(image.manifest_json)));
  const Layout opened = layout.open();
  write_file(layout.path / "index.json",
             as_text(value(name_in_index(value(opened.index()), "latest", image.manifest))));
  const Image found = value(opened.find("latest"));
  value(check_sealed_on(base, sealed.layer, found));
  const OptTree tree = value(opened.read_opt(found));
  std::vector<std::string> names;
  for (const OptEntry& entry : tree.list("")) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"keep", "pht_results", "pht_results/sub",
                                          "pht_results/sub/" + std::string(200, 'n'), "pht_results/z",
                                          "pht_train", "pht_train/run.py", "train_config.json",
                                          "user_sym_key.key"});
  CHECK(tree.newest_mtime() == kTime);
  CHECK(value(opened.find("base")).manifest == base.manifest);
}

TEST_CASE("skopeo and umoci read what was sealed", "[image]") {
  LayoutFixture layout;
  layout.index({LayoutFixture::descriptor(
      layout.image({Tar().file("opt/pht_results/stale", "old").file("opt/keep", "k").bytes()}),
      media_type::kManifest, LayoutFixture::named("base"))});
  const Image base = value(layout.open().find("base"));
  LayerFile file;
  const SealedLayer sealed = write_train(file);
  const Image image = value(with_layer(base, sealed.layer, {"2026-11-24T20:00:00Z", "trainseal post-run"}));
  layout.blob(file.bytes());
  layout.blob(std::string(as_text(image.config_json)));
  layout.blob(std::string(as_text(image.manifest_json)));
  write_file(layout.path / "index.json",
             as_text(value(name_in_index(value(layout.open().index()), "latest", image.manifest))));

  const auto run = [&](const std::string& command) {
    INFO(command);
    CHECK(std::system(text(command, " >'", (layout.scratch / "log").string(), "' 2>&1").c_str()) == 0);
    INFO(content_of(layout.scratch / "log"));
  };
  const std::string here = layout.path.string();
  const std::string unpacked = (layout.scratch / "unpacked").string();
  run(text("umoci unpack --rootless --image '", here, ":latest' '", unpacked, "'"));
  CHECK(content_of(unpacked + "/rootfs/opt/pht_train/run.py") == "code");
  CHECK(content_of(unpacked + "/rootfs/opt/keep") == "k");
  CHECK_FALSE(std::filesystem::exists(unpacked + "/rootfs/opt/pht_results/stale"));

  // What another program writes is read in turn, with the same layers and config.
  LayoutFixture copied;
  std::filesystem::remove_all(copied.path);
  run(text("skopeo copy --insecure-policy 'oci:", here, ":latest' 'oci:", copied.path.string(), ":latest'"));
  const Image copy = value(copied.open().find("latest"));
  CHECK(copy.config == image.config);
  CHECK(copy.layers.back().diff_id == sealed.layer.diff_id);
  value(copied.open().verify_layers(copy));
}

}  // namespace trainseal::image_test
