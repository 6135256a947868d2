#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

/// A JSON value that keeps what Python keeps: the order of members, integers by their digits, floats as
/// `repr`.
struct JsonValue {
  enum class Kind : std::uint8_t { null, boolean, integer, real, string, array, object, written };

  Kind kind = Kind::null;
  std::string
      text;  ///< a string's content; otherwise, but for arrays and objects, the value as it is written
  std::vector<std::string> keys;  ///< an object's, in order; `items` has their values
  std::vector<JsonValue> items;   ///< of an array or an object

  static JsonValue null() { return {Kind::null, "null", {}, {}}; }
  static JsonValue integer(std::string digits) { return {Kind::integer, std::move(digits), {}, {}}; }
  static JsonValue string(std::string_view content) { return {Kind::string, std::string(content), {}, {}}; }
  static JsonValue array() { return {Kind::array, {}, {}, {}}; }
  static JsonValue object() { return {Kind::object, {}, {}, {}}; }
  /// Text that `write_json` made for the level at which this value will stand.
  static JsonValue written(std::string text) { return {Kind::written, std::move(text), {}, {}}; }

  bool is(Kind other) const { return kind == other; }
  /// The object with one more member.
  JsonValue with(std::string_view key, JsonValue value) &&;
  /// The object's member, or nullptr.
  const JsonValue* find(std::string_view key) const;
};

/// What is read and how its errors speak of it.
struct JsonDocument {
  std::string_view name;  ///< as in "the train's config"
  ErrorCode code;
  std::uint64_t max_bytes;
  std::size_t max_depth = 32;
};

/// Reads UTF-8 JSON strictly: no byte order mark, no duplicate keys, nothing after the value, no lone
/// surrogates (PROTOCOL §2). Integers may have 4,900 digits: Python's `json` takes 4,300. Fails with the
/// document's code and the place, as in `route[1].index`, as subject.
Result<JsonValue> parse_json(ByteView json, const JsonDocument& document);

/// The value as Python's `json.dumps(indent=2)` writes it inside of `level` containers (PROTOCOL §2
/// "Writing"). Bytes that are not UTF-8 are written as they are, so that no reader takes the text.
std::string write_json(const JsonValue& value, std::size_t level = 0);

/// An error of the document's at `place`: `route[1].index in the train's config <reason>`.
Error json_error(const JsonDocument& document, std::string place, std::string_view reason,
                 std::string hint = {});

}  // namespace trainseal
