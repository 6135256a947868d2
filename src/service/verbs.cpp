#include "service/verbs.h"

#include <algorithm>

#include "base/nearest.h"
#include "base/text.h"

namespace trainseal::service {

namespace {

using Kind = Verb::Kind;

constexpr std::uint64_t kMaxBodyBytes = std::uint64_t{1} << 20;
constexpr JsonDocument kDocument{"the request", ErrorCode::usage, kMaxBodyBytes};
constexpr std::string_view kTrain = "train";

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = {
      {"pre-run",
       {.unwraps = 1, .signatures = 0},
       true,
       {{"out", Kind::folder},
        {"owner", Kind::text},
        {"previous", Kind::trains},
        {"base", Kind::train},
        {"rebase", Kind::flag}}},
      {"post-run",
       {.unwraps = 1, .signatures = 2},
       true,
       {{"results", Kind::folder},
        {"base", Kind::train},
        {"to", Kind::train},
        {"wipe", Kind::flag},
        {"rebase", Kind::flag},
        {"replace", Kind::flag, true},
        {"without-record", Kind::flag, true},
        {"sign-again", Kind::text, true},
        {"confirm-restored", Kind::flag, true}}},
      {"discard", {}, true, {{"sealed", Kind::flag}}},
      {"verify", {}, false, {{"previous", Kind::trains}, {"master", Kind::train}}},
      {"inspect", {}, false, {}},
  };
  return all;
}

std::unexpected<Error> wrong(std::string_view key, std::string_view must) {
  return fail(json_error(kDocument, std::string(key), must));
}

class Reader {
 public:
  explicit Reader(const Verb& verb) : verb_(verb) {
    call_.wanted.verb = verb.name;
    call_.words.emplace_back(verb.name);
  }

  Result<void> take(std::string_view key, const JsonValue& value) {
    if (key == kTrain) return take_train(value);
    const auto option = std::ranges::find(verb_.options, key, &Verb::Option::name);
    if (option == verb_.options.end()) return unknown(key);
    if (value.is(JsonValue::Kind::null)) return {};
    if (option->kind == Kind::flag) return take_flag(*option, value);
    if (option->kind != Kind::trains) return take_text(*option, value);
    if (!value.is(JsonValue::Kind::array)) return wrong(key, "must be a list of texts");
    for (const auto& item : value.items) TRY_DO(take_text(*option, item));
    return {};
  }

  Result<ReadCall> finish() && {
    if (call_.train.empty()) return wrong(kTrain, "is missing: name the train");
    // Behind this word nothing is an option.
    call_.words.insert(call_.words.end(), {"--", call_.train});
    return std::move(call_);
  }

 private:
  Result<void> take_train(const JsonValue& value) {
    if (!is_text(value)) return wrong(kTrain, "must be a text");
    call_.train = value.text;
    call_.wanted.trains.push_back(value.text);
    return {};
  }

  Result<void> take_flag(const Verb::Option& option, const JsonValue& value) {
    if (!value.is(JsonValue::Kind::boolean)) return wrong(option.name, "must be true or false");
    if (value.text != "true") return {};
    call_.words.push_back(text("--", option.name));
    if (option.is_override) call_.wanted.overrides.emplace_back(option.name);
    return {};
  }

  Result<void> take_text(const Verb::Option& option, const JsonValue& value) {
    if (!is_text(value)) return wrong(option.name, "must be a text");
    call_.words.push_back(text("--", option.name, '=', value.text));
    if (option.is_override) call_.wanted.overrides.emplace_back(option.name);
    if (option.kind == Kind::folder) call_.wanted.folders.push_back(value.text);
    if (option.kind == Kind::train || option.kind == Kind::trains) call_.wanted.trains.push_back(value.text);
    return {};
  }

  static bool is_text(const JsonValue& value) {
    return value.is(JsonValue::Kind::string) && !value.text.empty() &&
           value.text.find('\0') == std::string::npos;
  }

  Result<void> unknown(std::string_view key) const {
    std::vector<std::string> known = {std::string(kTrain)};
    for (const auto& option : verb_.options) known.emplace_back(option.name);
    const auto near = nearest(std::string(key), known);
    return fail(json_error(kDocument, std::string(key), text("is no option of ", verb_.name),
                           near ? text("did you mean ", *near, "? There are: ", listed(known, known.size()))
                                : text("there are: ", listed(known, known.size()))));
  }

  const Verb& verb_;
  ReadCall call_;
};

}  // namespace

const Verb* find_verb(std::string_view name) {
  const auto found = std::ranges::find(verbs(), name, &Verb::name);
  return found == verbs().end() ? nullptr : &*found;
}

Result<ReadCall> read_call(const Verb& verb, ByteView body) {
  TRY(const auto json, parse_json(body, kDocument));
  if (!json.is(JsonValue::Kind::object)) return wrong({}, "must be an object");
  Reader reader(verb);
  for (std::size_t i = 0; i < json.keys.size(); ++i) TRY_DO(reader.take(json.keys[i], json.items[i]));
  return std::move(reader).finish();
}

}  // namespace trainseal::service
