#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace trainseal {

/// An `int|str` field of a config: a station's, a creator's or a proposal's id (PROTOCOL §2). Text that reads
/// as an integer is one: `"007"`, `" 7 "` and `7` are the same id, whose text is `7`; integers may have any
/// length.
class Identifier {
 public:
  /// By the rule for text in a config or from a person (`--station 007`). Fails with `config_invalid` for
  /// integers with underscores or non-ASCII digits.
  static Result<Identifier> parse(std::string_view text);
  /// From the digits of a JSON integer (`-?[0-9]+`, any length).
  static Identifier from_json_integer(std::string_view digits);

  /// What is compared and hashed.
  const std::string& text() const { return text_; }
  bool is_integer() const { return integer_; }
  bool operator==(const Identifier& other) const { return text_ == other.text_; }

 private:
  Identifier(std::string text, bool integer) : text_(std::move(text)), integer_(integer) {}
  std::string text_;
  bool integer_;
};

}  // namespace trainseal
