#include "interposer/rules.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>
#include <utility>

#include "base/text.h"
#include "interposer/names.h"

namespace interposer {
namespace {

using trainseal::text;

/// Puts a value of the rules file into a rule; false if it is none.
using Reader = bool (*)(Rule& rule, std::string_view value, bool negated);

template <auto Member, auto Names>
bool read_condition(Rule& rule, std::string_view value, bool negated) {
  const auto read = value_of(Names(), value);
  if (read) (rule.*Member) = Condition{*read, negated};
  return read.has_value();
}

template <auto Member, auto Names>
bool read_name(Rule& rule, std::string_view value, bool) {
  const auto read = value_of(Names(), value);
  if (read) (rule.*Member) = *read;
  return read.has_value();
}

template <auto Member>
bool read_number(Rule& rule, std::string_view value, bool) {
  const auto read = number_in(value);
  if (read) (rule.*Member) = *read;
  return read.has_value();
}

template <auto Member>
bool read_positive(Rule& rule, std::string_view value, bool negated) {
  return read_number<Member>(rule, value, negated) && value != "0";
}

bool read_salt(Rule& rule, std::string_view value, bool negated) {
  const auto read = number_in(value);
  if (read) rule.salt = Condition{*read, negated};
  return read.has_value();
}

bool read_delay(Rule& rule, std::string_view value, bool) {
  const auto read = number_in(value);
  if (read) rule.delay = std::chrono::milliseconds(*read);
  return read.has_value();
}

bool read_moment(Rule& rule, std::string_view value, bool) {
  if (value == "before" || value == "after") rule.when = value == "after" ? Moment::after : Moment::before;
  return rule.when.has_value();
}

constexpr auto kDeeds = std::to_array<std::pair<std::string_view, Deed>>({{"hang", Deed::hang},
                                                                          {"abort", Deed::abort},
                                                                          {"flip", Deed::flip},
                                                                          {"close", Deed::close},
                                                                          {"logout", Deed::logout}});

bool read_deed(Rule& rule, std::string_view value, bool) {
  const auto found = std::ranges::find(kDeeds, value, &std::pair<std::string_view, Deed>::first);
  if (found != kDeeds.end()) rule.deed = found->second;
  return rule.deed != Deed::none;
}

bool read_typed(Rule& rule, std::string_view value, bool) {
  rule.typed = value;
  return !value.empty();
}

struct Key {
  std::string_view name;
  std::string_view functions;  ///< where it has a meaning; empty: everywhere
  bool can_be_negated;
  bool is_effect;
  Reader read;
};

constexpr std::string_view kOperations = " C_SignInit C_Sign C_DecryptInit C_Decrypt C_GenerateKeyPair ";
constexpr std::string_view kSigning = " C_SignInit C_Sign ";

constexpr auto kKeys = std::to_array<Key>({
    {"mechanism", kOperations, true, false, read_condition<&Rule::mechanism, mechanisms>},
    {"salt", kSigning, true, false, read_salt},
    {"user", " C_Login ", true, false, read_condition<&Rule::user, users>},
    {"attribute", " C_GetAttributeValue ", false, false, read_name<&Rule::attribute, attributes>},
    {"sessions", "", false, false, read_number<&Rule::sessions>},
    {"wrong-pins", "", false, false, read_number<&Rule::wrong_pins>},
    {"nth", "", false, false, read_positive<&Rule::nth>},
    {"count", "", false, false, read_positive<&Rule::count>},
    {"when", "", false, false, read_moment},
    {"rv", "", false, true, read_name<&Rule::rv, return_values>},
    {"delay", "", false, true, read_delay},
    {"do", "", false, true, read_deed},
    {"set", " C_GetTokenInfo ", false, true, read_name<&Rule::set, token_flags>},
    {"use-salt", " C_SignInit ", false, true, read_number<&Rule::use_salt>},
    {"typed", " C_Login ", false, true, read_typed},
    {"add", " C_GenerateKeyPair ", false, true, read_name<&Rule::add, attributes>},
});

/// Where `do=flip` finds an output.
constexpr std::string_view kWithOutput =
    " C_GetInfo C_GetSlotList C_GetSlotInfo C_GetTokenInfo C_OpenSession C_GetSessionInfo C_CreateObject "
    "C_GetAttributeValue "
    "C_FindObjects C_Decrypt C_Sign C_GenerateKeyPair ";

bool names(std::string_view functions, std::string_view function) {
  return functions.find(text(' ', function, ' ')) != functions.npos;
}

/// Reads `name=value` or `name!=value` into `rule`; what is wrong with it, or an empty text.
std::string read_word(Rule& rule, std::string_view word, std::set<std::string_view>& given) {
  const std::size_t equals = word.find('=');
  if (equals == word.npos) return text(word, " is not of the form KEY=VALUE");
  const std::string_view value = word.substr(equals + 1);
  std::string_view name = word.substr(0, equals);
  const bool negated = name.ends_with('!');
  if (negated) name.remove_suffix(1);
  const auto key = std::ranges::find(kKeys, name, &Key::name);
  if (key == kKeys.end()) return text("there is no key ", name);
  if (!given.insert(key->name).second) return text(name, " is given twice");
  if (negated && !key->can_be_negated) return text(name, " cannot be negated");
  if (!key->functions.empty() && !names(key->functions, rule.function))
    return text(name, " means nothing for ", rule.function);
  if (!key->read(rule, value, negated)) return text(value, " is no value for ", name);
  return {};
}

std::string mistake_in(const Rule& rule, const std::set<std::string_view>& given) {
  const bool has_effect =
      std::ranges::any_of(kKeys, [&](const Key& key) { return key.is_effect && given.contains(key.name); });
  if (!has_effect) return "the rule does nothing";
  const bool on_session = rule.deed == Deed::close || rule.deed == Deed::logout;
  if (on_session && !is_session_function(rule.function)) return text(rule.function, " has no session");
  if (rule.deed != Deed::flip) return {};
  if (rule.when == Moment::before) return "before the call there is nothing to flip";
  if (!names(kWithOutput, rule.function)) return text("the output of ", rule.function, " is not known");
  return {};
}

std::expected<Rule, std::string> parse_rule(const std::vector<std::string>& words) {
  Rule rule;
  rule.function = words.front();
  if (!is_function(rule.function)) return std::unexpected(text("there is no function ", rule.function));
  std::set<std::string_view> given;
  for (std::size_t i = 1; i < words.size(); ++i)
    if (std::string mistake = read_word(rule, words[i], given); !mistake.empty())
      return std::unexpected(std::move(mistake));
  if (std::string mistake = mistake_in(rule, given); !mistake.empty())
    return std::unexpected(std::move(mistake));
  return rule;
}

bool same_file(const struct stat& one, const struct stat& other) {
  return one.st_ino == other.st_ino && one.st_size == other.st_size &&
         one.st_mtim.tv_sec == other.st_mtim.tv_sec && one.st_mtim.tv_nsec == other.st_mtim.tv_nsec;
}

}  // namespace

bool Rule::fits(const Call& call, const History& history) const {
  const auto asks_for = [&](CK_ATTRIBUTE_TYPE type) {
    return std::ranges::find(call.attributes, type, &CK_ATTRIBUTE::type) != call.attributes.end();
  };
  return function == call.function && (!mechanism || mechanism->holds(call.mechanism)) &&
         (!salt || salt->holds(call.salt)) && (!user || user->holds(call.user)) &&
         (!attribute || asks_for(*attribute)) && (!sessions || history.sessions() >= *sessions) &&
         (!wrong_pins || history.wrong_pins() >= *wrong_pins);
}

std::expected<std::vector<Rule>, std::string> parse_rules(std::string_view content) {
  std::vector<Rule> rules;
  std::istringstream lines{std::string(content)};
  unsigned number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream in(line.substr(0, line.find('#')));
    const std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
    if (words.empty()) continue;
    auto rule = parse_rule(words);
    if (!rule) return std::unexpected(text("line ", number, ": ", rule.error()));
    rules.push_back(*std::move(rule));
  }
  return rules;
}

void RulesFile::read_if_changed() {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) now = {};
  if (same_file(now, known_)) return;
  known_ = now;
  std::ifstream in(path_, std::ios::binary);
  auto rules = parse_rules(std::string(std::istreambuf_iterator<char>(in), {}));
  if (!rules) {
    std::cerr << path_ << ", " << rules.error() << '\n';
    std::abort();
  }
  rules_ = *std::move(rules);
}

std::vector<Rule> RulesFile::concerning(const Call& call, const History& history) {
  const std::scoped_lock lock(mutex_);
  read_if_changed();
  std::vector<Rule> found;
  for (Rule& rule : rules_) {
    if (!rule.fits(call, history)) continue;
    ++rule.seen;
    const bool concerned = rule.seen >= rule.nth && (!rule.count || rule.seen - rule.nth < *rule.count);
    if (concerned) found.push_back(rule);
  }
  return found;
}

}  // namespace interposer
