#include "token/uri.h"

#include "token/soft_hsm.h"

using namespace trainseal;
using namespace trainseal::test;

namespace {

TokenInfo station_token() {
  TokenInfo info;
  info.label = "PHT Tübingen";
  info.serial = "0a1b";
  info.model = "SoftHSM v2";
  info.manufacturer = "SoftHSM project";
  info.slot_id = 17;
  info.library_version = "2.6";
  return info;
}

KeyInfo station_key() {
  KeyInfo key;
  key.label = "station-3";
  key.id = {0x00, 0xff, 0x2f};
  return key;
}

}  // namespace

TEST_CASE("a URI is written as it was meant and read again") {
  const Uri written = uri_of(station_token(), "a;b/c %", Bytes{0, 255});
  CHECK(written.str() ==
        "pkcs11:serial=0a1b;token=PHT%20T%C3%BCbingen;id=%00%FF;object=a%3Bb%2Fc%20%25;type=private");
  CHECK(uri(written.str()).str() == written.str());
}

TEST_CASE("a URI matches a token and a key by everything that it says") {
  const auto matching =
      GENERATE("pkcs11:", "pkcs11:token=PHT%20T%c3%bcbingen", "pkcs11:serial=0a1b;slot-id=17",
               "pkcs11:id=%00%ff%2F", "pkcs11:object=station-3;type=private",
               "pkcs11:model=SoftHSM%20v2;library-version=2.6?module-path=/usr/lib/x.so");
  CHECK(uri(matching).matches(station_token()));
  CHECK(uri(matching).matches(station_key()));
}

TEST_CASE("a URI matches no token of which it says something else") {
  const auto other_token =
      GENERATE("pkcs11:token=pht", "pkcs11:serial=0A1B", "pkcs11:slot-id=1", "pkcs11:token=");
  CHECK_FALSE(uri(other_token).matches(station_token()));
}

TEST_CASE("a URI matches no key of which it says something else") {
  const auto other_key =
      GENERATE("pkcs11:object=station", "pkcs11:id=%00%ff", "pkcs11:type=cert", "pkcs11:type=public");
  CHECK_FALSE(uri(other_key).matches(station_key()));
}

TEST_CASE("the query names module and PIN file") {
  const Uri with_query = uri("pkcs11:token=a?pin-source=file:/etc/trainseal/pin&module-name=softhsm2");
  CHECK(with_query.pin_file == "/etc/trainseal/pin");
  CHECK(with_query.module_name == "softhsm2");
  CHECK(uri("pkcs11:?pin-source=file:///etc/pin").pin_file == "/etc/pin");
  CHECK(with_query.str() == "pkcs11:token=a");
}

TEST_CASE("a URI that is not understood is refused, and says why") {
  const auto [text, reason] = GENERATE(table<std::string, std::string>({
      {"token=a", "pkcs11:"},
      {"PKCS11:token=a", "pkcs11:"},
      {"pkcs11:token", "no value"},
      {"pkcs11:colour=red", "colour"},
      {"pkcs11:token=a;token=b", "twice"},
      {"pkcs11:token=a;", "nothing follows"},
      {"pkcs11:;token=a", "no value"},
      {"pkcs11:token=a b", "percent"},
      {"pkcs11:object=a/b", "percent"},
      {"pkcs11:token=%", "two hex digits"},
      {"pkcs11:token=%4", "two hex digits"},
      {"pkcs11:token=%4g", "two hex digits"},
      {"pkcs11:token=%00", "zero byte"},
      {"pkcs11:type=key", "none of"},
      {"pkcs11:slot-id=x", "decimal"},
      {"pkcs11:slot-id=", "decimal"},
      {"pkcs11:pin-source=file:/a", "unknown at this place"},
      {"pkcs11:?token=a", "unknown at this place"},
      {"pkcs11:?pin-source=/etc/pin", "not a file"},
      {"pkcs11:?pin-source=|cat%20pin", "not a file"},
      {"pkcs11:?pin-source=file:pin", "not absolute"},
      {"pkcs11:?pin-source=file://host/pin", "not absolute"},
      {"pkcs11:token=" + std::string(5000, 'a'), "4096"},
  }));
  const Error error = bad(Uri::parse(text));
  CHECK(error.code == ErrorCode::usage);
  CHECK_THAT(error.what, Catch::Contains(reason));
}

TEST_CASE("a PIN in a URI is refused and not repeated") {
  const auto text = GENERATE("pkcs11:token=a?pin-value=4711", "pkcs11:token=a;pin-value=4711",
                             "pkcs11:?x=4711&pin-value=1");
  const Error error = bad(Uri::parse(text));
  CHECK(error.code == ErrorCode::usage);
  CHECK_THAT(error.what + error.hint + error.detail, !Catch::Contains("4711"));
}
