#include "train/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "train/utf8.h"

namespace trainseal {
namespace {

// `long double` only so that nlohmann's own conversion takes integers of thousands of digits without
// overflow; what is kept comes from the spelling.
using Json =
    nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, long double>;

/// Python's `repr` of a float (Python's float_repr_style "short").
std::string python_repr(double value) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(value),
                                 std::chars_format::scientific);
  const std::string_view shortest(buffer.data(), static_cast<std::size_t>(end.ptr - buffer.data()));
  const auto e = shortest.find('e');
  std::string digits(shortest.substr(0, 1));
  if (e > 2) digits += shortest.substr(2, e - 2);
  int exponent = 0;
  std::from_chars(shortest.data() + e + 2, end.ptr, exponent);
  if (shortest[e + 1] == '-') exponent = -exponent;

  const std::string sign = std::signbit(value) ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    if (digits.size() > 1) digits.insert(1, ".");
    const int size = std::abs(exponent);
    return text(sign, digits, exponent < 0 ? "e-" : "e+", size < 10 ? "0" : "", size);
  }
  if (exponent < 0)
    return text(sign, "0.", std::string(static_cast<std::size_t>(-exponent - 1), '0'), digits);
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) digits.append(whole + 1 - digits.size(), '0');
  return text(sign, digits.insert(whole, "."));
}

/// Builds the tree from nlohmann's events; the parser keeps no stack of its own that the input could exhaust.
class TreeBuilder final : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(const JsonDocument& document, std::string_view content)
      : document_(document), content_(content) {}

  std::optional<Error> error;
  JsonValue root;

  bool null() override { return add(JsonValue::null()); }
  bool boolean(bool value) override {
    return add({JsonValue::Kind::boolean, value ? "true" : "false", {}, {}});
  }
  bool number_integer(number_integer_t value) override {
    return add(JsonValue::integer(std::to_string(value)));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return add(JsonValue::integer(std::to_string(value)));
  }

  bool number_float(number_float_t, const string_t& spelling) override {
    if (spelling.find_first_of(".eE") == std::string::npos) return add(JsonValue::integer(spelling));
    double value = 0;
    const auto parsed = std::from_chars(spelling.data(), spelling.data() + spelling.size(), value);
    if (parsed.ec == std::errc::result_out_of_range) {
      if (overflows(spelling)) return refuse("is a number that is too large");
      value = spelling.starts_with('-') ? -0.0 : 0.0;
    }
    return add({JsonValue::Kind::real, python_repr(value), {}, {}});
  }

  bool string(string_t& value) override { return add(JsonValue::string(value)); }
  bool binary(binary_t&) override { return refuse("is binary"); }
  bool start_object(std::size_t) override { return open(JsonValue::object()); }
  bool start_array(std::size_t) override { return open(JsonValue::array()); }

  bool key(string_t& name) override {
    open_.back()->keys.push_back(name);
    return true;
  }

  bool end_object() override {
    // Sorted once an object, because a search for each key would take quadratic time.
    std::vector<std::string_view> sorted(open_.back()->keys.begin(), open_.back()->keys.end());
    std::ranges::sort(sorted);
    const auto twice = std::ranges::adjacent_find(sorted);
    if (twice != sorted.end()) {
      open_.back()->keys.emplace_back(*twice);
      return refuse("is there twice");
    }
    return close();
  }

  bool end_array() override { return close(); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& cause) override {
    constexpr int kNumberOverflow = 406;
    if (cause.id == kNumberOverflow) return refuse("is a number that is too large");
    refuse(text("is not valid JSON at byte ", position, " (line ", line_of(position), ')'));
    error->detail = cause.what();
    return false;
  }

 private:
  /// from_chars does not say on which side a number is out of range; a long double reaches further than both.
  static bool overflows(const std::string& spelling) {
    return std::abs(std::strtold(spelling.c_str(), nullptr)) > 1;
  }

  bool add(JsonValue value) {
    place(std::move(value));
    return true;
  }

  JsonValue* place(JsonValue value) {
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    // The open containers stay where they are: only the innermost one grows.
    return &open_.back()->items.emplace_back(std::move(value));
  }

  bool open(JsonValue container) {
    if (open_.size() == document_.max_depth)
      return refuse(text("is nested deeper than ", document_.max_depth, " levels"));
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  /// Where the parser is, as in `route[1].index`; empty at the top.
  std::string here() const {
    std::string path;
    for (const JsonValue* container : open_) {
      const bool innermost = container == open_.back();
      if (container->is(JsonValue::Kind::array)) {
        path += text("[", container->items.size() - (innermost ? 0 : 1), "]");
      } else if (!container->keys.empty()) {
        path += text(path.empty() ? "" : ".", container->keys.back());
      }
    }
    return path;
  }

  bool refuse(std::string_view reason) {
    error = json_error(document_, here(), reason);
    return false;
  }

  std::ptrdiff_t line_of(std::size_t position) const {
    return 1 + std::ranges::count(content_.substr(0, position), '\n');
  }

  const JsonDocument& document_;
  const std::string_view content_;
  std::vector<JsonValue*> open_;
};

std::string_view short_escape(char32_t point) {
  switch (point) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return {};
  }
}

void append_unit(std::string& out, std::uint32_t unit) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\u";
  for (const unsigned shift : {12U, 8U, 4U, 0U}) out += kDigits[(unit >> shift) & 0xfU];
}

void append_code_point(std::string& out, char32_t point) {
  const std::string_view escape = short_escape(point);
  if (!escape.empty()) {
    out += escape;
  } else if (point >= 0x20 && point < 0x7f) {
    out += static_cast<char>(point);
  } else if (point < 0x10000) {
    append_unit(out, point);
  } else {
    append_unit(out, 0xd800U + ((point - 0x10000U) >> 10U));
    append_unit(out, 0xdc00U + ((point - 0x10000U) & 0x3ffU));
  }
}

void append_string(std::string& out, std::string_view content) {
  out += '"';
  while (!content.empty()) {
    if (const auto point = take_code_point(content)) {
      append_code_point(out, *point);
    } else {
      out += content.front();
      content.remove_prefix(1);
    }
  }
  out += '"';
}

void append_value(std::string& out, const JsonValue& value, std::size_t level);

void append_container(std::string& out, const JsonValue& value, std::size_t level) {
  const bool object = value.is(JsonValue::Kind::object);
  out += object ? '{' : '[';
  for (std::size_t at = 0; at < value.items.size(); ++at) {
    out += at == 0 ? "\n" : ",\n";
    out.append(2 * (level + 1), ' ');
    if (object) {
      append_string(out, value.keys[at]);
      out += ": ";
    }
    append_value(out, value.items[at], level + 1);
  }
  if (!value.items.empty()) out.append("\n").append(2 * level, ' ');
  out += object ? '}' : ']';
}

void append_value(std::string& out, const JsonValue& value, std::size_t level) {
  using enum JsonValue::Kind;
  switch (value.kind) {
    case null:
    case boolean:
    case integer:
    case real:
    case written:
      out += value.text;
      break;
    case string:
      append_string(out, value.text);
      break;
    case array:
    case object:
      append_container(out, value, level);
      break;
  }
}

}  // namespace

JsonValue JsonValue::with(std::string_view key, JsonValue value) && {
  keys.emplace_back(key);
  items.push_back(std::move(value));
  return std::move(*this);
}

const JsonValue* JsonValue::find(std::string_view key) const {
  const auto found = std::ranges::find(keys, key);
  return found == keys.end() ? nullptr : &items[static_cast<std::size_t>(found - keys.begin())];
}

Error json_error(const JsonDocument& document, std::string place, std::string_view reason, std::string hint) {
  std::string what =
      place.empty() ? text(document.name, " ", reason) : text(place, " in ", document.name, " ", reason);
  return {document.code, std::move(what), std::move(hint), {}, std::move(place)};
}

Result<JsonValue> parse_json(ByteView json, const JsonDocument& document) {
  if (json.size() > document.max_bytes) {
    return fail(
        json_error(document, {}, text("has ", json.size(), " bytes, more than ", document.max_bytes)));
  }
  // nlohmann skips a byte order mark and takes a NUL byte for the end of the input.
  const std::string_view content = as_text(json);
  if (content.starts_with("\xef\xbb\xbf"))
    return fail(json_error(document, {}, "begins with a byte order mark"));
  if (content.find('\0') != std::string_view::npos) return fail(json_error(document, {}, "holds a NUL byte"));

  TreeBuilder builder(document, content);
  if (!Json::sax_parse(content, &builder)) return fail(*std::move(builder.error));
  return std::move(builder.root);
}

std::string write_json(const JsonValue& value, std::size_t level) {
  std::string out;
  append_value(out, value, level);
  return out;
}

}  // namespace trainseal
