#include "cli/settings/section.h"

#include <algorithm>
#include <charconv>

#include "base/nearest.h"
#include "base/text.h"

namespace trainseal::cli {

namespace {

using Kind = JsonValue::Kind;

const JsonValue& empty_object() {
  static const JsonValue object = JsonValue::object();
  return object;
}

}  // namespace

Section::Section(const JsonValue& object, std::string name, std::initializer_list<std::string_view> known,
                 Fault& fault)
    : object_(object), name_(std::move(name)), fault_(fault) {
  for (const auto& key : object_.keys) {
    if (std::ranges::find(known, key) != known.end()) continue;
    const auto near = nearest(key, known);
    fail_at(
        full_name(key), "is not known",
        near ? text("did you mean ", quoted(*near), "?") : text("known here: ", listed(known, known.size())));
  }
}

Section Section::section(std::string_view key, std::initializer_list<std::string_view> known) const {
  const auto* value = find(key);
  if (value != nullptr && !value->is(Kind::object)) {
    refuse(key, "must be an object");
    value = nullptr;
  }
  return {value == nullptr ? empty_object() : *value, full_name(key), known, fault_};
}

std::vector<Section> Section::sections(std::string_view key,
                                       std::initializer_list<std::string_view> known) const {
  std::vector<Section> found;
  const auto* value = find(key);
  if (value == nullptr) return found;
  const auto is_object = [](const JsonValue& item) { return item.is(Kind::object); };
  if (!value->is(Kind::array) || !std::ranges::all_of(value->items, is_object)) {
    refuse(key, "must be a list of objects");
    return found;
  }
  for (std::size_t i = 0; i < value->items.size(); ++i)
    found.emplace_back(value->items[i], text(full_name(key), '[', i, ']'), known, fault_);
  return found;
}

const JsonValue* Section::find(std::string_view key) const {
  const auto* found = object_.find(key);
  return found == nullptr || found->is(Kind::null) ? nullptr : found;
}

void Section::read(std::string_view key, std::optional<std::string>& value) const {
  const auto* found = find(key);
  if (found == nullptr) return;
  if (!found->is(Kind::string) || found->text.empty()) return refuse(key, "must be a text");
  value = found->text;
}

void Section::read(std::string_view key, bool& value) const {
  const auto* found = find(key);
  if (found == nullptr) return;
  if (!found->is(Kind::boolean)) return refuse(key, "must be true or false");
  value = found->text == "true";
}

void Section::read(std::string_view key, std::vector<std::string>& value) const {
  const auto* found = find(key);
  if (found == nullptr) return;
  const auto is_text = [](const JsonValue& item) { return item.is(Kind::string); };
  if (!found->is(Kind::array) || !std::ranges::all_of(found->items, is_text))
    return refuse(key, "must be a list of texts");
  value.clear();
  for (const auto& item : found->items) value.push_back(item.text);
}

void Section::read_path(std::string_view key, std::optional<std::string>& value) const {
  std::optional<std::string> path;
  read(key, path);
  if (!path) return;
  if (!path->starts_with('/')) return refuse(key, "must be an absolute path");
  value = std::move(path);
}

std::optional<std::size_t> Section::choice(std::string_view key,
                                           std::initializer_list<std::string_view> names) const {
  const auto* found = find(key);
  if (found == nullptr) return std::nullopt;
  const auto* const name = std::ranges::find(names, found->text);
  if (found->is(Kind::string) && name != names.end()) return static_cast<std::size_t>(name - names.begin());
  refuse(key, text("must be one of: ", listed(names)));
  return std::nullopt;
}

std::optional<std::uint64_t> Section::integer(std::string_view key, std::uint64_t least,
                                              std::uint64_t most) const {
  const auto* found = find(key);
  if (found == nullptr) return std::nullopt;
  std::uint64_t number = 0;
  const auto* const end = found->text.data() + found->text.size();
  const auto parsed = std::from_chars(found->text.data(), end, number);
  const bool whole = found->is(Kind::integer) && parsed.ec == std::errc() && parsed.ptr == end;
  if (whole && number >= least && number <= most) return number;
  refuse(key, text("must be a whole number from ", least, " to ", most));
  return std::nullopt;
}

void Section::refuse(std::string_view key, std::string_view must) const { fail_at(full_name(key), must, {}); }

std::string Section::full_name(std::string_view key) const {
  return name_.empty() ? std::string(key) : text(name_, '.', key);
}

void Section::fail_at(std::string place, std::string_view reason, std::string hint) const {
  if (!fault_.error) fault_.error = json_error(fault_.document, std::move(place), reason, std::move(hint));
}

}  // namespace trainseal::cli
