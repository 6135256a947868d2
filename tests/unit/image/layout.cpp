#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "fixtures/image_fixture.h"

namespace trainseal::image_test {
namespace {

const std::string kTar = Tar().file("opt/train_config.json", "{}").bytes();

std::string found(const LayoutFixture& layout, std::string_view tag = "latest") {
  const auto opened = Layout::open(layout.path);
  return opened ? code(opened->find(tag)) : name(opened.error().code).data();
}

/// Reading all layers of `latest`.
std::string read(const LayoutFixture& layout) {
  const Layout opened = layout.open();
  const auto image = opened.find("latest");
  if (!image) return code(image);
  const std::string verified = code(opened.verify_layers(*image));
  CHECK(code(opened.read_opt(*image)) == verified);
  return verified;
}

std::string platform(std::string_view os, std::string_view architecture) {
  return text(R"(, "platform": {"os": ")", os, R"(", "architecture": ")", architecture, R"("})");
}

constexpr std::string_view kHere =
#ifdef __aarch64__
    "arm64";
#else
    "amd64";
#endif

}  // namespace

TEST_CASE("an image is found by its tag, and its layers belong to it", "[image]") {
  LayoutFixture layout;
  layout.index(
      {LayoutFixture::descriptor(layout.image({kTar}), media_type::kManifest, LayoutFixture::named("latest")),
       LayoutFixture::descriptor(layout.image({kTar, kTar}), media_type::kManifest,
                                 LayoutFixture::named("base"))});
  const Layout opened = layout.open();
  CHECK(value(opened.find("latest")).layers.size() == 1);
  CHECK(value(opened.find("base")).layers.size() == 2);
  CHECK(read(layout) == "success");

  const auto missing = opened.find("other");
  REQUIRE(!missing);
  CHECK(missing.error().code == ErrorCode::store_failed);
  CHECK(missing.error().hint.find("latest, base") != std::string::npos);
}

TEST_CASE("what is no layout is refused", "[image]") {
  LayoutFixture layout;
  CHECK(found(layout) == "store_failed");  // no index
  layout.latest({kTar});
  CHECK(found(layout) == "success");
  write_file(layout.path / "oci-layout", R"({"imageLayoutVersion": "2.0.0"})");
  CHECK(found(layout) == "store_failed");
  std::filesystem::remove(layout.path / "oci-layout");
  CHECK(found(layout) == "store_failed");
}

TEST_CASE("two images of one name are refused", "[image]") {
  LayoutFixture layout;
  const std::string entry =
      LayoutFixture::descriptor(layout.image({kTar}), media_type::kManifest, LayoutFixture::named("latest"));
  layout.index({entry, entry});
  CHECK(found(layout) == "store_failed");
}

TEST_CASE("JSON that two readers would read differently is refused", "[image]") {
  LayoutFixture layout;
  const std::string entry =
      LayoutFixture::descriptor(layout.image({kTar}), media_type::kManifest, LayoutFixture::named("latest"));
  const auto with = [&](const std::string& index) {
    write_file(layout.path / "index.json", index);
    return found(layout);
  };
  CHECK(with(LayoutFixture::index_text(entry)) == "success");
  CHECK(with(text(R"({"manifests": [], "manifests": [)", entry, "]}")) == "store_failed");
  CHECK(with(text(R"({"Manifests": [], "manifests": [)", entry, "]}")) == "store_failed");
  CHECK(with("[]") == "store_failed");
  CHECK(with("{") == "store_failed");
  CHECK(with(LayoutFixture::index_text(entry) + "x") == "store_failed");
  CHECK(with(R"({"manifests": {}})") == "store_failed");
  CHECK(with(R"({"manifests": [1, null, "x"]})") == "store_failed");
  CHECK(with(R"({"a": )" + std::string(100, '[') + std::string(100, ']') + R"(, "manifests": [)" + entry +
             "]}") == "store_failed");
  CHECK(with(LayoutFixture::index_text(entry) + std::string(5 << 20, ' ')) == "store_failed");
  std::string no_size = entry;
  no_size.replace(no_size.find("\"size\""), 6, "\"sise\"");
  CHECK(with(LayoutFixture::index_text(no_size)) == "store_failed");
  std::string climbing = entry;
  climbing.replace(climbing.find("sha256:") + 7, 12, "../../../../");
  CHECK(with(LayoutFixture::index_text(climbing)) == "store_failed");
  std::string other_hash = entry;
  other_hash.replace(other_hash.find("sha256:"), 7, "sha512:");
  CHECK(with(LayoutFixture::index_text(other_hash)) == "store_failed");
}

TEST_CASE("a nested index is entered by platform, attestations passed over", "[image]") {
  LayoutFixture layout;
  const auto manifest = [&](std::string_view more) {
    return LayoutFixture::descriptor(layout.image({kTar}), media_type::kManifest, more);
  };
  const auto nested = [&](std::string entries) {
    const auto blob = layout.blob(LayoutFixture::index_text(entries));
    layout.index({LayoutFixture::descriptor(blob, media_type::kIndex, LayoutFixture::named("latest"))});
    return found(layout);
  };
  const std::string here = manifest(platform("linux", kHere));
  const std::string other = manifest(platform("linux", "s390x"));
  const std::string attestation =
      manifest(platform("unknown", "unknown") +
               R"(, "annotations": {"vnd.docker.reference.type": "attestation-manifest"})");
  CHECK(nested(text(other, ", ", here, ", ", attestation)) == "success");
  CHECK(nested(text(attestation, ", ", manifest(""))) == "success");
  CHECK(nested(text(here, ", ", here)) == "store_failed");
  CHECK(nested(other) == "store_failed");
  CHECK(nested(attestation) == "store_failed");
  CHECK(nested("") == "store_failed");
}

TEST_CASE("indices in indices have an end", "[image]") {
  LayoutFixture layout;
  std::string entry = LayoutFixture::descriptor(layout.image({kTar}), media_type::kManifest);
  for (int i = 0; i < 5; ++i)
    entry = LayoutFixture::descriptor(layout.blob(LayoutFixture::index_text(entry)), media_type::kIndex);
  entry.insert(entry.size() - 1, LayoutFixture::named("latest"));
  layout.index({entry});
  CHECK(found(layout) == "store_failed");
}

TEST_CASE("a blob that is another one is refused", "[image]") {
  LayoutFixture layout;
  layout.latest({kTar});
  const Image image = value(layout.open().find("latest"));
  const auto path = [&](const Descriptor& blob) { return layout.path / "blobs/sha256" / blob.digest.hex(); };

  const auto layer = path(image.layers[0].blob);
  std::string changed = content_of(layer);
  changed[520] ^= 1;
  SECTION("a layer with other bytes") {
    write_file(layer, changed);
    CHECK(read(layout) == "digest_mismatch");
  }
  SECTION("a cut layer") {
    std::filesystem::resize_file(layer, 700);
    CHECK(found(layout) == "digest_mismatch");
  }
  SECTION("a missing layer") {
    std::filesystem::remove(layer);
    CHECK(found(layout) == "store_failed");
  }
  SECTION("a link to a layer") {
    std::filesystem::rename(layer, layout.path / "elsewhere");
    std::filesystem::create_symlink(layout.path / "elsewhere", layer);
    CHECK(found(layout) == "hostile_path");
  }
  SECTION("a pipe, which would make us wait") {
    std::filesystem::remove(layer);
    REQUIRE(mkfifo(layer.c_str(), 0600) == 0);
    CHECK(found(layout) == "hostile_path");
  }
  SECTION("a linked folder of blobs") {
    std::filesystem::rename(layout.path / "blobs", layout.path / "elsewhere");
    std::filesystem::create_directory_symlink("elsewhere", layout.path / "blobs");
    CHECK(found(layout) == "hostile_path");
  }
  SECTION("another config") {
    std::string config = content_of(path(image.config));
    config[5] ^= 1;
    write_file(path(image.config), config);
    CHECK(found(layout) == "digest_mismatch");
  }
  SECTION("another manifest") {
    std::string manifest = content_of(path(image.manifest));
    manifest.replace(manifest.find("\"schemaVersion\": 2"), 18, "\"schemaVersion\": 3");
    write_file(path(image.manifest), manifest);
    CHECK(found(layout) == "digest_mismatch");
  }
}

TEST_CASE("manifest and config must fit", "[image]") {
  LayoutFixture layout;
  const auto layer = layout.blob(kTar);
  const std::string descriptor = LayoutFixture::descriptor(layer, media_type::kLayer);
  const auto with = [&](const std::string& config, const std::string& layers) {
    const auto blob = layout.blob(config);
    const auto manifest =
        layout.blob(text(R"({"config": )", LayoutFixture::descriptor(blob, media_type::kConfig),
                         R"(, "layers": )", layers, "}"));
    layout.index(
        {LayoutFixture::descriptor(manifest, media_type::kManifest, LayoutFixture::named("latest"))});
    return found(layout);
  };
  const auto config = [&](const std::string& diff_ids) {
    return text(R"({"rootfs": {"diff_ids": [)", diff_ids, "]}}");
  };
  const std::string diff_id = text('"', layer.digest, '"');
  CHECK(with(config(diff_id), text('[', descriptor, ']')) == "success");
  CHECK(with(config(diff_id), "[]") == "store_failed");
  CHECK(with(config(""), text('[', descriptor, ']')) == "store_failed");
  CHECK(with(config("7"), text('[', descriptor, ']')) == "store_failed");
  CHECK(with(config("\"sha256:zz\""), text('[', descriptor, ']')) == "store_failed");
  CHECK(with("{}", text('[', descriptor, ']')) == "store_failed");
  CHECK(with(config(diff_id), "7") == "store_failed");
  CHECK(with(config(diff_id),
             text('[', LayoutFixture::descriptor(layer, "application/vnd.oci.image.layer.v1.tar+encrypted"),
                  ']')) == "store_failed");
}

TEST_CASE("a name in the index is given or moved, and nothing else changes", "[image]") {
  LayoutFixture layout;
  const Descriptor first{std::string(media_type::kManifest), Digest256::of(as_bytes("1")), 1};
  const Descriptor second{std::string(media_type::kManifest), Digest256::of(as_bytes("2")), 2};
  const std::string index =
      R"({"schemaVersion": 2, "x-ours": [1.5, {"b": 1, "a": 2}], "manifests": [{"mediaType": "m", "digest": "d", "size": 1}]})";
  const Bytes one = value(name_in_index(as_bytes(index), "latest", first));
  const Bytes two = value(name_in_index(one, "latest", second));
  const Bytes base = value(name_in_index(two, "base", first));
  CHECK(value(find_tag(base, "latest")) == second);
  CHECK(value(find_tag(base, "base")) == first);
  const auto json = nlohmann::ordered_json::parse(base);
  CHECK(json["x-ours"].dump() == R"([1.5,{"b":1,"a":2}])");
  CHECK(json["manifests"].size() == 3);
  CHECK(json["manifests"][0].dump() == R"({"mediaType":"m","digest":"d","size":1})");
}

}  // namespace trainseal::image_test
