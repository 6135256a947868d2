#include "base/shell_word.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>

#include "base/text.h"

using namespace trainseal;

TEST_CASE("a shell reads a word back as it was, whatever is in it") {
  const std::string word = GENERATE("", "plain-1.0/x:y=z", "pkcs11:token=a;object=b", "two words", "it's",
                                    "$HOME `id` \\ \"", "new\nline", "*?[a]~", "ä");
  FILE* shell = ::popen(text("printf %s ", shell_word(word)).c_str(), "r");
  REQUIRE(shell != nullptr);
  std::array<char, 256> read{};
  const std::size_t size = std::fread(read.data(), 1, read.size(), shell);
  CHECK(::pclose(shell) == 0);
  CHECK(std::string(read.data(), size) == word);
}

TEST_CASE("a plain word stays as it is") { CHECK(shell_word("/srv/pht/t-17") == "/srv/pht/t-17"); }
