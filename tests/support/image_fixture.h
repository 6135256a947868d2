#pragma once

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "crypto/digest.h"
#include "image/layer_reader.h"
#include "image/layout.h"
#include "store_fixture.h"

namespace trainseal::image_test {

using store_test::code;
using store_test::content_of;
using store_test::Scratch;
using store_test::value;
using store_test::write_file;

/// Writes tars byte by byte, also those that no honest program writes.
class Tar {
 public:
  Tar() { std::setlocale(LC_CTYPE, "C.UTF-8"); }  // as main does

  Tar& file(const std::string& name, std::string_view content, const std::string& mode = "0000644") {
    return member(name, '0', content, {}, mode);
  }
  Tar& folder(const std::string& name) { return member(name, '5', {}, {}, "0000755"); }
  Tar& symlink(const std::string& name, const std::string& target) { return member(name, '2', {}, target); }
  Tar& hard_link(const std::string& name, const std::string& target) { return member(name, '1', {}, target); }
  Tar& member(const std::string& name, char type, std::string_view content, const std::string& target = {},
              const std::string& mode = "0000644") {
    std::string header(512, '\0');
    const auto put = [&](std::size_t at, std::string_view field) {
      std::ranges::copy(field, header.begin() + static_cast<std::ptrdiff_t>(at));
    };
    put(0, name);
    put(100, mode);
    put(108, "0000000");
    put(116, "0000000");
    put(124, octal(content.size(), 11));
    put(136, octal(1'700'000'000, 11));
    put(148, "        ");
    header[156] = type;
    put(157, target);
    put(257, std::string_view("ustar\00000", 8));
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    put(148, octal(sum, 6) + std::string("\0 ", 2));
    bytes_ += header;
    bytes_ += content;
    bytes_.append((512 - content.size() % 512) % 512, '\0');
    return *this;
  }
  std::string bytes() const { return bytes_ + std::string(1024, '\0'); }

 private:
  static std::string octal(std::size_t number, int digits) {
    std::string written(static_cast<std::size_t>(digits), '0');
    for (auto digit = written.rbegin(); digit != written.rend(); ++digit, number /= 8)
      *digit = static_cast<char>('0' + number % 8);
    return written;
  }
  std::string bytes_;
};

/// `bytes` through a program such as gzip.
inline std::string through(const std::string& program, const std::string& bytes) {
  const Scratch scratch;
  write_file(scratch / "in", bytes);
  const std::string command =
      text(program, " <'", (scratch / "in").string(), "' >'", (scratch / "out").string(), "'");
  REQUIRE(std::system(command.c_str()) == 0);
  return content_of(scratch / "out");
}

inline ReadBytes reading(std::string bytes) {
  return [bytes = std::move(bytes),
          done = std::size_t{0}](MutableByteView buffer) mutable -> Result<std::size_t> {
    // Short reads, as pipes give them.
    const std::size_t size = std::min({buffer.size(), bytes.size() - done, std::size_t{7000}});
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(done), size, buffer.begin());
    done += size;
    return size;
  };
}

inline LayerFacts facts_of(const std::string& blob, const std::string& tar) {
  return {Digest256::of(as_bytes(blob)), blob.size(), Digest256::of(as_bytes(tar))};
}

/// An image layout, made file by file.
class LayoutFixture {
 public:
  LayoutFixture() { write_file(path / "oci-layout", R"({"imageLayoutVersion": "1.0.0"})"); }

  struct Blob {
    std::string digest;
    std::size_t size;
  };
  Blob blob(const std::string& bytes) {
    const std::string hex = Digest256::of(as_bytes(bytes)).hex();
    write_file(path / "blobs/sha256" / hex, bytes);
    return {text("sha256:", hex), bytes.size()};
  }
  static std::string descriptor(const Blob& blob, std::string_view type, std::string_view more = "") {
    return text(R"({"mediaType": ")", type, R"(", "digest": ")", blob.digest, R"(", "size": )", blob.size,
                more, "}");
  }
  static std::string named(std::string_view tag) {
    return text(R"(, "annotations": {"org.opencontainers.image.ref.name": ")", tag, R"("})");
  }

  /// A manifest for the tars, uncompressed.
  Blob image(const std::vector<std::string>& tars, std::string_view config_more = "") {
    std::string layers, diff_ids;
    for (const std::string& tar : tars) {
      const Blob layer = blob(tar);
      layers += text(layers.empty() ? "" : ", ", descriptor(layer, media_type::kLayer));
      diff_ids += text(diff_ids.empty() ? "" : ", ", '"', layer.digest, '"');
    }
    const Blob config =
        blob(text(R"({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [)",
                  diff_ids, "]}", config_more, "}"));
    return blob(text(R"({"schemaVersion": 2, "config": )", descriptor(config, media_type::kConfig),
                     R"(, "layers": [)", layers, "]}"));
  }
  /// `index.json` with these entries.
  void index(const std::vector<std::string>& entries) {
    std::string all;
    for (const std::string& entry : entries) all += text(all.empty() ? "" : ", ", entry);
    write_file(path / "index.json", index_text(all));
  }
  static std::string index_text(std::string_view entries) {
    return text(R"({"schemaVersion": 2, "manifests": [)", entries, "]}");
  }
  /// The layers as the image `latest`.
  void latest(const std::vector<std::string>& tars) {
    index({descriptor(image(tars), media_type::kManifest, named("latest"))});
  }
  Layout open() const { return value(Layout::open(path)); }

  Scratch scratch;
  std::filesystem::path path = scratch / "layout";
};

}  // namespace trainseal::image_test
