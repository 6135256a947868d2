#include <algorithm>

#include "fixtures/chain_fixture.h"
#include "state/backup.h"

namespace trainseal::state_test {

TEST_CASE("a log's lines have a number, a time, the hash of the line before and what was given") {
  const LogFixture fixture;
  const Log log = fixture.open();
  CHECK(log->head() == ChainHead::none());
  CHECK_FALSE(std::filesystem::exists(fixture.file));
  const auto head =
      value(log->append("post-run", {{"train", "t\x1b[31m\xff"}, {"stop", 2}, {"tags", {"\n"}}}));
  CHECK(head.seq == 2);
  CHECK(log->head() == head);
  struct stat info{};
  REQUIRE(stat(fixture.file.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);

  const auto lines = value(log->read_after(0, 10, 10'000));
  REQUIRE(lines.size() == 2);
  const auto opened = parsed(lines[0]);
  CHECK(opened["seq"] == 1);
  CHECK(opened["prev"] == text("sha256:", std::string(64, '0')));
  CHECK(opened["kind"] == "open");
  CHECK(opened["log"] == kName);
  const auto added = parsed(lines[1]);
  CHECK(added["prev"] == hash_text(lines[0]));
  CHECK(added["kind"] == "post-run");
  CHECK(added["time"].get<std::string>().size() == std::string_view("2026-11-23T14:02:11.120Z").size());
  CHECK(added["train"] == "t\\x1b[31m\\xff");
  CHECK(added["tags"][0] == "\\x0a");
  CHECK(added["stop"] == 2);
  CHECK(hash_text(lines[1]) == text("sha256:", head.hash.hex()));
  CHECK(value(log->append("x", {{"long", std::string(1 << 20, 'x')}})).seq == 3);
  CHECK(value(log->read_after(2, 1, 1)).front().size() < 5000);
}

TEST_CASE("a line that is too long, or of the log's own kinds, is refused and nothing else") {
  const LogFixture fixture;
  const Log log = fixture.open();
  auto many = ordered_json::array();
  for (int i = 0; i < 100; ++i) many.push_back(std::string(4000, 'x'));
  CHECK(code(log->append("x", {{"many", many}})) == "state_failed");
  CHECK(code(log->append("head", {})) == "internal");
  CHECK(code(log->append("open", {})) == "internal");
  value(log->append("x", {}));
  CHECK(value(fixture.verify()).last == log->head());
}

TEST_CASE("one process writes a log") {
  const LogFixture fixture;
  const Log log = fixture.open();
  CHECK(value(fixture.verify()).in_use);
  CHECK(succeeded(start([&] { return code(ChainLog::open(fixture.state, kName)) == "busy"; })));
  CHECK(code(ChainLog::open(fixture.state, kName)) == "busy");
  CHECK(value(ChainLog::open(fixture.state, "transcript")) != nullptr);
}

TEST_CASE("a log that was closed has no line that is not signed, and goes on when it is opened") {
  const ClosedLog fixture;
  const auto report = value(fixture.verify({{station_key().public_key()}, {}}));
  CHECK(report.closed);
  CHECK_FALSE(report.in_use);
  CHECK(report.unsigned_lines == 0);
  CHECK(report.heads == 2);
  CHECK(report.first_seq == 1);
  CHECK(report.last.seq == fixture.good.size());
  CHECK(report.last_signature->seq == fixture.good.size() - 1);
  CHECK(report.last_signature->fingerprint == station_key().public_key().fingerprint());

  const Log log = fixture.open();
  CHECK(log->unsigned_lines() == 0);
  CHECK(fixture.lines() == fixture.good);
  value(log->append("pre-run", {}));
  const auto again = value(fixture.verify());
  CHECK_FALSE(again.closed);
  CHECK(again.unsigned_lines == 1);
  CHECK(log->unsigned_lines() == 1);
  value(log->append_head(sign(log->head())));
  CHECK(log->unsigned_lines() == 0);
}

TEST_CASE("a log that is opened and closed with nothing in between is signed as a whole") {
  const ClosedLog fixture;
  {
    const Log log = fixture.open();
    value(log->close(sign(log->head())));
  }
  const auto report = value(fixture.verify());
  CHECK(report.closed);
  CHECK(report.unsigned_lines == 0);
}

TEST_CASE("nothing is added to a log that is closed") {
  const LogFixture fixture;
  const Log log = fixture.open();
  value(log->append("x", {}));
  value(log->close(sign(log->head())));
  CHECK(code(log->append("x", {})) == "state_failed");
  CHECK(value(fixture.verify()).closed);
}

TEST_CASE("a change of any line of a closed log is caught") {
  const ClosedLog fixture;
  for (std::size_t i = 0; i < fixture.good.size(); ++i) {
    for (const std::size_t at : {std::size_t{1}, fixture.good[i].find("prev") + 20,
                                 fixture.good[i].find("time") + 10, fixture.good[i].size() - 2}) {
      auto lines = fixture.good;
      lines[i] = changed(lines[i], at);
      fixture.write_lines(lines);
      INFO("line " << i + 1 << ", byte " << at);
      CHECK(fixture.refusal() != "success");
    }
  }
}

TEST_CASE("a line of a closed log that is removed, repeated or exchanged with another is caught") {
  const ClosedLog fixture;
  for (std::size_t i = 0; i < fixture.good.size(); ++i) {
    INFO("line " << i + 1);
    auto lines = fixture.good;
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i));
    fixture.write_lines(lines);
    CHECK(fixture.refusal() == "chain_invalid");
    lines = fixture.good;
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(i), fixture.good[i]);
    fixture.write_lines(lines);
    CHECK(fixture.refusal() == "chain_invalid");
    for (std::size_t j = i + 1; j < fixture.good.size(); ++j) {
      lines = fixture.good;
      std::swap(lines[i], lines[j]);
      fixture.write_lines(lines);
      CHECK(fixture.refusal() == "chain_invalid");
    }
  }
}

TEST_CASE("a closed log that is cut after any byte is caught") {
  const ClosedLog fixture;
  const std::string whole = content_of(fixture.file);
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += bytes + 1 == whole.size() ? 1 : 7) {
    write_file(fixture.file, whole.substr(0, std::min(bytes, whole.size() - 1)));
    INFO(bytes << " bytes");
    REQUIRE(fixture.refusal() == "chain_invalid");
  }
  std::filesystem::remove(fixture.file);
  CHECK(fixture.refusal() == "chain_invalid");
}

TEST_CASE("a line that is added to a closed log is caught, whoever computes its hash") {
  const ClosedLog fixture;
  for (const std::string& line :
       {std::string("{}"), std::string("hello"), std::string("null"), fixture.good.front(),
        fixture.good.back(), follower(fixture.good.back(), "pre-run"), follower(fixture.good.back(), "head"),
        follower(fixture.good.back(), "open")}) {
    auto lines = fixture.good;
    lines.push_back(line);
    fixture.write_lines(lines);
    CHECK(fixture.refusal() == "chain_invalid");
  }
}

TEST_CASE("whole lines forged behind the end, as if a service had been killed, are told as not signed") {
  const ClosedLog fixture;
  auto open = parsed(fixture.good.front());
  auto forged = parsed(follower(fixture.good.back(), "open"));
  for (const char* field : {"version", "log", "unsigned", "cut_bytes"}) forged[field] = open[field];
  auto lines = fixture.good;
  lines.push_back(forged.dump());
  lines.push_back(follower(lines.back(), "pre-run"));
  fixture.write_lines(lines);
  const auto report = value(fixture.verify());
  CHECK_FALSE(report.closed);
  CHECK(report.unsigned_lines == 1);
  // Whoever writes next puts that on record.
  const Log log = fixture.open();
  CHECK(log->unsigned_lines() == 1);
  value(log->append("x", {}));
  CHECK(parsed(fixture.lines()[fixture.good.size() + 2])["unsigned"] == 1);
}

TEST_CASE("an end that was signed is noted, and the note is needed") {
  const ClosedLog fixture;
  SECTION("without it") {
    std::filesystem::remove(fixture.note);
    CHECK(code(fixture.verify()) == "chain_invalid");
  }
  SECTION("of another log") {
    write_file(fixture.note,
               R"({"version":1,"log":"transcript","seq":8,"hash":")" + std::string(64, 'a') + "\"}");
    CHECK(code(fixture.verify()) == "state_failed");
  }
  SECTION("damaged") {
    write_file(fixture.note, "{");
    CHECK(code(fixture.verify()) == "state_failed");
  }
}

TEST_CASE("a cut of the log and of its note is caught by a note on paper") {
  const ClosedLog fixture;
  const auto last = value(fixture.verify()).last;
  const auto on_paper = value(ExpectedLine::parse(last.note()));
  CHECK(code(fixture.verify({{}, on_paper})) == "success");
  CHECK(code(fixture.verify({{}, value(ExpectedLine::parse(last.note().substr(0, 2 + 16)))})) == "success");

  Lines lines(fixture.good.begin(), fixture.good.begin() + 5);
  fixture.write_lines(lines);
  write_file(
      fixture.note,
      ordered_json{
          {"version", 1}, {"log", kName}, {"seq", 5}, {"hash", Digest256::of(as_bytes(lines.back())).hex()}}
          .dump());
  CHECK(code(fixture.verify()) == "success");
  CHECK(code(fixture.verify({{}, on_paper})) == "chain_invalid");
  auto other = on_paper;
  other.seq = 5;
  CHECK(code(fixture.verify({{}, other})) == "chain_invalid");
  for (const char* malformed : {"", "5", "5:", "5:abc", ":0123456789abcdef", "0:0123456789abcdef",
                                "5:0123456789abcdeg", "x5:0123456789abcdef", "-5:0123456789abcdef"})
    CHECK(code(ExpectedLine::parse(malformed)) == "usage");
}

TEST_CASE("a head is accepted by the station's key alone") {
  const ClosedLog fixture;
  auto other = test::SoftwareKey::generate(2048, "other");
  CHECK(code(fixture.verify({{other.public_key(), station_key().public_key()}, {}})) == "success");
  CHECK(code(fixture.verify({{other.public_key()}, {}})) == "signature_invalid");
}

TEST_CASE("a signature that is not over this log's head is not kept") {
  const LogFixture fixture;
  const Log log = fixture.open();
  const auto first = value(log->append("x", {}));
  const auto second = value(log->append("x", {}));
  auto signed_head = sign(first);
  signed_head.head = second;
  CHECK(code(log->append_head(signed_head)) == "signature_invalid");
  const auto of_other_log = value(station_key().sign_pss(digest_of("transcript", first), PssSalt::statement));
  CHECK(code(log->append_head({first, station_key().public_key(), of_other_log})) == "signature_invalid");
  const auto with_protocols_salt = value(station_key().sign_pss(digest_of(kName, first), PssSalt::protocol));
  CHECK(code(log->append_head({first, station_key().public_key(), with_protocols_salt})) ==
        "signature_invalid");
  value(log->append_head(sign(second)));
  CHECK(code(log->append_head(sign(first))) == "internal");
  CHECK(value(fixture.verify()).heads == 1);
}

TEST_CASE("a head of another line is caught even if it is signed by the station") {
  const LogFixture fixture;
  ChainHead stale = ChainHead::none();
  {
    const Log log = fixture.open();
    value(log->append("x", {}));
    stale = {2, Digest256::of(as_bytes("another line"))};
    value(log->append("x", {}));
    value(log->append_head(sign(stale)));
  }
  CHECK(code(fixture.verify()) == "chain_invalid");
}

TEST_CASE("lines that are added while a head is signed are not covered by it") {
  const LogFixture fixture;
  const Log log = fixture.open();
  value(log->append("x", {}));
  const auto head = log->head();
  for (int i = 0; i < 3; ++i) value(log->append("meanwhile", {}));
  value(log->append_head(sign(head)));
  CHECK(log->unsigned_lines() == 3);
  CHECK(value(fixture.verify()).unsigned_lines == 3);
}

}  // namespace trainseal::state_test
