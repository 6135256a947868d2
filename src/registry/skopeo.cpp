#include "registry/skopeo.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/text.h"
#include "image/limits.h"
#include "registry/program.h"

namespace trainseal {
namespace {

constexpr std::size_t kLongestComplaint = 300;
constexpr int kNotFound = 127;
/// What skopeo may write to any file of its own, such as its notes on where blobs are.
constexpr std::uint64_t kFreeFileBytes = std::uint64_t{256} << 20;

/// What skopeo's last line says: `time="…" level=fatal msg="…"`, quotes in it escaped.
std::string complaint(std::string_view errors) {
  constexpr std::string_view kMessage = " msg=\"";
  const auto at = errors.rfind(kMessage);
  const std::string_view rest = at == std::string_view::npos ? errors : errors.substr(at + kMessage.size());
  std::string said;
  for (std::size_t i = 0; i < rest.size() && said.size() < kLongestComplaint; ++i) {
    if (rest[i] == '"' && at != std::string_view::npos) break;
    if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
    said += rest[i] == '\n' ? ' ' : rest[i];
  }
  while (said.ends_with(' ')) said.pop_back();
  return said.empty() ? "it did not say why" : said;
}

struct Known {
  std::string_view words;  ///< in what skopeo says, any of them separated by |
  std::string_view hint;
};
constexpr std::string_view kNoSuchImage = "manifest unknown|name unknown|not found|NAME_UNKNOWN";
constexpr std::array kKnown = {
    Known{
        "unauthorized|authentication required|denied|forbidden|incorrect username/password",
        "log in first: skopeo login --authfile FILE HOST, and name FILE in the settings as registry.authfile "
        "or in REGISTRY_AUTH_FILE; is the account allowed to do this?"},
    Known{
        "x509|tls:|HTTP response to HTTPS",
        "the registry's certificate has to be one that this machine trusts (update-ca-certificates). A test "
        "registry without TLS needs registry.tls_verify: false in the settings"},
    Known{kNoSuchImage, "there is no such image in the registry: look at the name and the tag"},
    Known{"connection refused|no such host|no route|i/o timeout|network is unreachable",
          "the registry cannot be reached: look at its name, its port, and the network"},
    Known{"no space left|file too large|SIGXFSZ",
          "look at the room that is left where the train is worked on"},
};

bool says_one_of(std::string_view said, std::string_view words) {
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find('|'));
    words.remove_prefix(std::min(words.size(), word.size() + 1));
    if (said.find(word) != std::string_view::npos) return true;
  }
  return false;
}

std::string_view hint_for(std::string_view said) {
  for (const Known& known : kKnown) {
    if (says_one_of(said, known.words)) return known.hint;
  }
  return "try `skopeo inspect` on the same name; then try again";
}

Result<Bytes> is_that(Bytes bytes, const Digest256& digest, std::string_view reference) {
  if (Digest256::of(bytes) == digest) return bytes;
  return fail(ErrorCode::digest_mismatch,
              text("the registry answers for ", reference, " with something else than that digest"),
              "ask who runs the registry; nothing was changed here");
}

}  // namespace

struct Skopeo::Call {
  std::vector<std::string> words;  ///< behind the global options
  std::string_view doing;
  std::string about;
  std::uint64_t most_file_bytes = 0;
};

Result<Bytes> Skopeo::run(Call call) const {
  ProgramCall program{{"skopeo", "--insecure-policy"},
                      folder_,
                      call.most_file_bytes,
                      ImageLimits::kJsonBytes,
                      settings_.patience};
  program.arguments.insert(program.arguments.end(), call.words.begin(), call.words.end());
  TRY(ProgramResult done, run_program(program));
  using End = ProgramResult::End;
  if (done.end == End::exited && done.status == 0) return std::move(done.output);
  const std::string what = text("skopeo cannot ", call.doing, ' ', call.about, ": ");
  if (done.end == End::said_too_much)
    return fail(ErrorCode::registry_failed,
                text(what, "the registry answers with more than ", ImageLimits::kJsonBytes, " bytes"),
                "is there an image of that name?");
  if (done.end == End::kept_silent)
    return fail(ErrorCode::registry_failed,
                text(what, "nothing has moved for ", settings_.patience.count(), " s"),
                "look whether the registry is well and the network is up, then try again");
  if (done.end == End::too_slow)
    return fail(ErrorCode::registry_failed,
                text(what, "too little moves: less than 64 KiB a second, for more than ",
                     4 * settings_.patience.count(), " s"),
                "look whether the registry is well and the network is up, then try again");
  if (done.status == kNotFound && done.errors.empty())
    return fail(ErrorCode::registry_failed,
                "registries are reached by the program skopeo, which is not installed",
                "install the package skopeo (Debian: apt-get install skopeo)");
  const std::string said =
      done.end == End::exited ? complaint(done.errors) : text("it was ended by the signal ", done.status);
  return fail(Error{
      ErrorCode::registry_failed, what + said, std::string(hint_for(said)), done.errors.substr(0, 2000), {}});
}

namespace {

/// `--src-tls-verify` and its like: `side` is "", "src-" or "dest-".
void add_access(std::vector<std::string>& words, const RegistrySettings& settings, std::string_view side) {
  if (!settings.tls_verify) words.push_back(text("--", side, "tls-verify=false"));
  if (settings.authfile) words.insert(words.end(), {text("--", side, "authfile"), *settings.authfile});
}

}  // namespace

Result<Bytes> Skopeo::inspect(const std::string& reference, bool config) const {
  std::vector<std::string> words = {"inspect", "--raw"};
  if (config) words.emplace_back("--config");
  add_access(words, settings_, "");
  words.push_back(reference);
  return run({std::move(words), "look at", reference, kFreeFileBytes});
}

Result<Bytes> Skopeo::manifest_of_tag(const std::string& tag) const { return inspect(by_tag(tag), false); }

Result<std::optional<Bytes>> Skopeo::find_manifest(const std::string& tag) const {
  auto found = manifest_of_tag(tag);
  if (found) return *std::move(found);
  if (found.error().code == ErrorCode::registry_failed && says_one_of(found.error().detail, kNoSuchImage))
    return std::nullopt;
  return fail(std::move(found).error());
}

Result<Bytes> Skopeo::manifest(const Digest256& digest) const {
  const std::string reference = by_digest(digest);
  TRY(Bytes bytes, inspect(reference, false));
  return is_that(std::move(bytes), digest, reference);
}

Result<Bytes> Skopeo::config(const Digest256& manifest) const { return inspect(by_digest(manifest), true); }

Result<void> Skopeo::pull(const Digest256& manifest, const std::string& to, std::uint64_t most_bytes) const {
  std::vector<std::string> words = {"copy", "--quiet"};
  add_access(words, settings_, "src-");
  const std::string reference = by_digest(manifest);
  words.insert(words.end(), {reference, "dir:" + to});
  TRY_DO(run({std::move(words), "fetch", reference, std::max(most_bytes, kFreeFileBytes)}));
  return {};
}

Result<void> Skopeo::push(const std::string& tag, const std::string& reference) const {
  std::vector<std::string> words = {"copy", "--quiet", "--preserve-digests"};
  add_access(words, settings_, "dest-");
  words.insert(words.end(), {"oci:..:" + tag, reference});
  TRY_DO(run({std::move(words), "send", reference, kFreeFileBytes}));
  return {};
}

}  // namespace trainseal
