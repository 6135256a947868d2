#include "state/key_trials.h"

#include <algorithm>
#include <cstddef>

#include "base/text.h"
#include "state/state_json.h"

namespace trainseal {

namespace {

constexpr auto kObject = StateJson::value_t::object;
constexpr auto kArray = StateJson::value_t::array;

std::filesystem::path trials_file(const StateFolder& state) { return state.path() / "keys.json"; }

/// The file's object `keys`: text to text.
Result<StateJson> read_trials(const StateFolder& state) {
  TRY(const auto document, read_state_file(trials_file(state)));
  if (!document) return StateJson::object();
  const StateJson* keys = find_member(*document, "keys", kObject);
  const auto is_text = [](const StateJson& value) { return value.is_string(); };
  if (keys == nullptr || !std::ranges::all_of(*keys, is_text)) {
    return unreadable(trials_file(state), "\"keys\" is missing or malformed");
  }
  return *keys;
}

using FailedPin = FailedPins::Entry;

std::filesystem::path pins_file(const StateFolder& state) { return state.path() / "failed-pins.json"; }

Result<std::vector<FailedPin>> read_pins(const StateFolder& state) {
  TRY(const auto document, read_state_file(pins_file(state)));
  if (!document) return std::vector<FailedPin>{};
  const StateJson* failed = find_member(*document, "failed", kArray);
  if (failed == nullptr) return unreadable(pins_file(state), "\"failed\" is missing or malformed");
  std::vector<FailedPin> pins;
  for (const StateJson& entry : *failed) {
    FailedPin& pin = pins.emplace_back();
    if (!read_member(entry, "token", pin.token) || !read_member(entry, "source", pin.source) ||
        !read_member(entry, "time", pin.time)) {
      return unreadable(pins_file(state), "an entry is malformed");
    }
  }
  return pins;
}

Result<void> write_pins(const StateFolder& state, const std::vector<FailedPin>& pins) {
  auto failed = StateJson::array();
  for (const FailedPin& pin : pins) {
    failed.push_back(
        {{"token", json_text(pin.token)}, {"source", json_text(pin.source)}, {"time", json_text(pin.time)}});
  }
  return write_state_file(pins_file(state),
                          {{"version", StateFolder::kVersion}, {"failed", std::move(failed)}});
}

bool holds(const std::vector<FailedPin>& pins, const std::string& token, const std::string& source) {
  return std::ranges::any_of(
      pins, [&](const FailedPin& pin) { return pin.token == token && pin.source == source; });
}

}  // namespace

Result<std::optional<std::string>> KeyTrials::find(const std::string& key) const {
  TRY(const auto keys, read_trials(state_));
  const auto found = keys.find(escape_text(key));
  if (found == keys.end()) return std::nullopt;
  auto value = unescape_text(found->get_ref<const std::string&>());
  if (!value) return unreadable(trials_file(state_), "a value is malformed");
  return value;
}

Result<void> KeyTrials::put(const std::string& key, const std::string& value) const {
  TRY(const StateLock lock, state_.lock_file("keys"));
  TRY(StateJson keys, read_trials(state_));
  keys[escape_text(key)] = json_text(value);
  return write_state_file(trials_file(state_),
                          {{"version", StateFolder::kVersion}, {"keys", std::move(keys)}});
}

Result<std::vector<FailedPins::Entry>> FailedPins::all() const { return read_pins(state_); }

Result<bool> FailedPins::contains(const std::string& token, const std::string& source) const {
  TRY(const auto pins, read_pins(state_));
  return holds(pins, token, source);
}

Result<void> FailedPins::add(const std::string& token, const std::string& source) const {
  TRY(const StateLock lock, state_.lock_file("failed-pins"));
  TRY(auto pins, read_pins(state_));
  if (holds(pins, token, source)) return {};
  pins.push_back({token, source, state_.clock().timestamp()});
  return write_pins(state_, pins);
}

Result<std::size_t> FailedPins::forget(const std::optional<std::string>& token,
                                       const std::optional<std::string>& source) const {
  TRY(const StateLock lock, state_.lock_file("failed-pins"));
  TRY(auto pins, read_pins(state_));
  const std::size_t count = std::erase_if(pins, [&](const FailedPin& pin) {
    return (!token || pin.token == *token) && (!source || pin.source == *source);
  });
  if (count > 0) TRY_DO(write_pins(state_, pins));
  return count;
}

}  // namespace trainseal
