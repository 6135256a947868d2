#include "engine/engine.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "engine/answer.h"

namespace trainseal {
namespace {

constexpr std::size_t kMostAnswerBytes = std::size_t{1} << 20;
constexpr std::size_t kMostListBytes = std::size_t{8} << 20;
constexpr std::size_t kMostComplaintBytes = std::size_t{64} << 10;
constexpr const char* kDefaultHost = "unix:///var/run/docker.sock";
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
/// What an archive may have beyond the files that an engine counts: a header and padding for each.
constexpr std::uint64_t kFreeArchiveBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kArchiveRatio = 4;

/// A version of the API, 1.41 for example.
struct ApiVersion {
  unsigned major = 0, minor = 0;
  auto operator<=>(const ApiVersion&) const = default;
  std::string text() const { return trainseal::text(major, '.', minor); }
};
/// The newest whose description we have read; the calls that are used are the same in all since 1.24.
constexpr ApiVersion kOurNewest{1, 51};
constexpr ApiVersion kOurOldest{1, 24};

bool read_number(std::string_view text, unsigned& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::optional<ApiVersion> parse_version(std::string_view text) {
  ApiVersion version;
  const auto dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view minor = text.substr(dot + 1);
  return read_number(text.substr(0, dot), version.major) && read_number(minor, version.minor)
             ? std::optional(version)
             : std::nullopt;
}

std::unexpected<Error> no_common_version(const EngineHost& host, std::string_view theirs) {
  return fail(ErrorCode::engine_failed,
              text("the engine at ", host.name,
                   " speaks no version of Docker's API that is known here: ", quoted(theirs.substr(0, 40))),
              text("versions ", kOurOldest.text(), " to ", kOurNewest.text(),
                   " are; is it an engine that listens there?"));
}

/// What the answer is if it is no success.
std::unexpected<Error> refused(HttpExchange& exchange, int status, std::string_view doing) {
  auto body = read_body(exchange, kMostComplaintBytes);
  std::string said = body ? complaint(*body) : std::string();
  if (said.empty()) said = text("status ", status);
  return fail(Error{ErrorCode::engine_failed,
                    text("the container engine cannot ", doing, ": ", said),
                    kLookAtItsLog,
                    text("status ", status),
                    {}});
}

Result<void> expect_success(HttpExchange& exchange, std::string_view doing) {
  TRY(const int status, exchange.status());
  if (status / 100 != 2) return refused(exchange, status, doing);
  return {};
}

std::unexpected<Error> odd_image(std::string_view why) {
  return fail(ErrorCode::engine_failed,
              text("what the container engine says of the image makes no sense: ", why),
              "is it an engine that listens there? `docker image inspect` shows the same");
}

std::optional<Digest256> parse_digest(const EngineJson& json) {
  if (!json.is_string()) return std::nullopt;
  std::string_view digest = json.get_ref<const std::string&>();
  if (digest.starts_with("sha256:")) digest.remove_prefix(7);
  auto parsed = Digest256::parse_hex(digest);
  if (!parsed) return std::nullopt;
  return *parsed;
}

/// Engines that keep images as registries do say so with a descriptor, whose digest is the image's id.
bool is_id_of_manifest(const EngineJson& json) {
  const auto descriptor = json.find("Descriptor");
  return descriptor != json.end() && descriptor->is_object() && descriptor->contains("digest");
}

Result<EngineImage> read_image(const EngineJson& json) {
  const EngineJson nothing;
  const auto member = [&](const EngineJson& object, const char* key) -> const EngineJson& {
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found != object.end() ? *found : nothing;
  };
  const auto id = parse_digest(member(json, "Id"));
  if (!id) return odd_image("it has no id");
  const EngineJson& layers = member(member(json, "RootFS"), "Layers");
  if (!layers.is_array()) return odd_image("it has no layers");
  EngineImage image{text("sha256:", id->hex()), std::nullopt, {}, 0, {}};
  if (!is_id_of_manifest(json)) image.config_digest = *id;
  for (const EngineJson& layer : layers) {
    const auto diff_id = parse_digest(layer);
    if (!diff_id) return odd_image("a layer has no digest");
    image.diff_ids.push_back(*diff_id);
  }
  const EngineJson& size = member(json, "Size");
  if (size.is_number_unsigned()) image.size = size.get<std::uint64_t>();
  const EngineJson& names = member(json, "RepoTags");
  for (const EngineJson& name : names) {
    if (names.is_array() && name.is_string()) image.names.push_back(name.get<std::string>());
  }
  return image;
}

EngineEntry read_entry(const EngineJson& line) {
  EngineEntry entry;
  const auto text_at = [&](const char* key) {
    const auto found = line.is_object() ? line.find(key) : line.end();
    return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  entry.id = text_at("Id");
  entry.image = text_at("ImageID");
  const auto created = line.is_object() ? line.find("Created") : line.end();
  if (created != line.end() && created->is_number_integer()) entry.created = created->get<std::int64_t>();
  return entry;
}

std::uint64_t most_archive_bytes(const EngineImage& image) {
  constexpr std::uint64_t kLargest = UINT64_MAX / kArchiveRatio - kFreeArchiveBytes;
  return std::min(image.size, kLargest) * kArchiveRatio + kFreeArchiveBytes;
}

/// Before gigabytes are asked for.
Result<void> check_room(std::uint64_t needed, const std::filesystem::path& path) {
  std::error_code error;
  const auto room = std::filesystem::space(path.parent_path(), error);
  if (error || room.available > needed) return {};
  return fail(ErrorCode::no_space,
              text("the image has ", needed, " bytes, and ", quoted(path.parent_path().string()),
                   " has room for ", room.available),
              "make room there, or name another folder in TMPDIR");
}

}  // namespace

Result<Engine> Engine::connect(const EngineSettings& settings) {
  TRY(EngineHost host, parse_engine_host(settings.host.value_or(kDefaultHost)));
  HttpClient client(std::move(host), settings.patience);
  TRY(const auto ping, client.start("GET", "/_ping"));
  TRY_DO(expect_success(*ping, "answer"));
  const std::string told = ping->header("Api-Version");
  const auto theirs = parse_version(told);
  if (!theirs || *theirs < kOurOldest) return no_common_version(client.host(), told);
  if (*theirs <= kOurNewest) return Engine(std::move(client), theirs->text());
  TRY(const auto exchange, client.start("GET", "/version"));
  TRY_DO(expect_success(*exchange, "say its version"));
  TRY(const std::string body, read_body(*exchange, kMostAnswerBytes));
  TRY(const EngineJson json, parse_object(body));
  const auto oldest = json.find("MinAPIVersion");
  const auto theirs_oldest =
      oldest != json.end() && oldest->is_string() ? parse_version(oldest->get<std::string>()) : std::nullopt;
  if (theirs_oldest && *theirs_oldest > kOurNewest)
    return no_common_version(client.host(), text(theirs_oldest->text(), " and newer"));
  return Engine(std::move(client), kOurNewest.text());
}

std::string Engine::path(std::string_view call) const { return text("/v", version_, call); }

Result<std::optional<EngineImage>> Engine::find(const std::string& name) const {
  TRY(const auto exchange, client_.start("GET", path(text("/images/", name, "/json"))));
  TRY(const int status, exchange->status());
  if (status == 404) return std::nullopt;
  if (status != 200) return refused(*exchange, status, text("look at the image ", name));
  TRY(const std::string body, read_body(*exchange, kMostAnswerBytes));
  TRY(const EngineJson json, parse_object(body));
  TRY(EngineImage image, read_image(json));
  return image;
}

Result<std::vector<EngineEntry>> Engine::list(std::string_view what) const {
  TRY(const auto exchange, client_.start("GET", path(text('/', what, "/json?all=1"))));
  TRY_DO(expect_success(*exchange, text("list its ", what)));
  TRY(const std::string body, read_body(*exchange, kMostListBytes));
  TRY(const EngineJson json, parse_list(body));
  std::vector<EngineEntry> entries;
  for (const EngineJson& line : json) entries.push_back(read_entry(line));
  return entries;
}

Result<std::vector<EngineEntry>> Engine::images() const { return list("images"); }
Result<std::vector<EngineEntry>> Engine::containers() const { return list("containers"); }

Result<void> Engine::save(const EngineImage& image, int fd, const std::filesystem::path& path) const {
  TRY_DO(check_room(image.size, path));
  TRY(const auto exchange, client_.start("GET", this->path(text("/images/", image.id, "/get"))));
  TRY_DO(expect_success(*exchange, text("hand out the image ", image.id)));
  Bytes buffer(kPieceBytes);
  for (std::uint64_t total = 0;;) {
    TRY(const std::size_t got, exchange->read(buffer));
    if (got == 0) return {};
    total += got;
    if (total > most_archive_bytes(image)) {
      return fail(ErrorCode::engine_failed,
                  text("the container engine sends more than an image of ", image.size, " bytes can have"),
                  "look at the image (docker image inspect), then try again");
    }
    TRY_DO(write_all(fd, ByteView(buffer).first(got), path, ErrorCode::store_failed));
  }
}

Result<void> Engine::load(const std::filesystem::path& archive) const {
  auto loaded = load_once(archive);
  // podman 4.3 sometimes refuses a good archive with "broken pipe"; loading twice does no harm.
  if (loaded || loaded.error().code != ErrorCode::engine_failed) return loaded;
  return load_once(archive);
}

Result<void> Engine::load_once(const std::filesystem::path& archive) const {
  const UniqueFd file(open(archive.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail(system_error(ErrorCode::store_failed, "read", archive, errno, "open"));
  TRY(const auto exchange, client_.start("POST", path("/images/load?quiet=1"), HttpClient::Body::tar));
  Bytes buffer(kPieceBytes);
  std::optional<Error> broken;
  while (!broken) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(system_error(ErrorCode::store_failed, "read", archive, errno, "read"));
    if (got == 0) break;
    auto sent = exchange->write(ByteView(buffer).first(static_cast<std::size_t>(got)));
    if (!sent) broken = std::move(sent).error();
  }
  exchange->end_body();
  const auto status = exchange->status();
  if (!status) return fail(broken ? *std::move(broken) : status.error());
  if (*status / 100 != 2) return refused(*exchange, *status, "take the image");
  if (broken) return fail(*std::move(broken));
  TRY(const std::string body, read_body(*exchange, kMostComplaintBytes));
  const std::string said = complaint_in_stream(body);
  if (said.empty()) return {};
  return fail(ErrorCode::engine_failed, text("the container engine cannot take the image: ", said),
              kLookAtItsLog);
}

Result<void> Engine::tag(const std::string& id, const std::string& repository, const std::string& tag) const {
  TRY(const auto exchange,
      client_.start("POST", path(text("/images/", id, "/tag?repo=", repository, "&tag=", tag))));
  return expect_success(*exchange, text("name the image ", repository, ':', tag));
}

Result<void> Engine::remove(const std::string& id) const {
  TRY(const auto exchange, client_.start("DELETE", path(text("/images/", id))));
  return expect_success(*exchange, text("remove the image ", id));
}

}  // namespace trainseal
