#include "state/ledger/replay.h"

#include <catch2/catch.hpp>

#include "fixtures/kill_at_change.h"
#include "fixtures/state_fixture.h"

namespace trainseal::state_test {
namespace {

const std::string kA(128, '1');
const std::string kB(128, '2');
const std::string kC(128, '3');

ReplayLedger::Request request(const std::string& result_hash, std::optional<std::string> reason = {}) {
  return {turn(), result_hash, std::move(reason), false};
}

std::vector<ReplayKind> kinds(const ReplayLedger& ledger) {
  std::vector<ReplayKind> found;
  for (const ReplayLine& line : value(ledger.lines())) found.push_back(line.kind);
  return found;
}

struct LedgerFixture : StateFixture {
  ReplayLedger ledger{state};
  std::filesystem::path file = state.path() / "replay.jsonl";
};

using enum ReplayKind;
using Kinds = std::vector<ReplayKind>;

}  // namespace

TEST_CASE("reading makes no ledger") {
  const LedgerFixture fixture;
  value(fixture.ledger.check_session(turn()));
  CHECK_FALSE(value(fixture.ledger.committed(turn())));
  CHECK(value(fixture.ledger.lines()).empty());
  CHECK_FALSE(value(fixture.ledger.restored()));
  CHECK_FALSE(std::filesystem::exists(fixture.file));
}

TEST_CASE("a session belongs to the first train that came with it") {
  const LedgerFixture fixture;
  value(fixture.ledger.see(turn()));
  value(fixture.ledger.see(turn()));
  CHECK(kinds(fixture.ledger) == Kinds{seen});
  value(fixture.ledger.check_session(turn()));

  ReplayKey other = turn();
  other.hash = kB;
  const auto refused = fixture.ledger.check_session(other);
  REQUIRE(code(refused) == "session_reused");
  CHECK_FALSE(refused.error().hint.empty());
  CHECK(code(fixture.ledger.see(other)) == "session_reused");

  SECTION("another session") { other.session_id = kC; }
  SECTION("another station") { other.station = "4"; }
  SECTION("a later stop of the same train") {
    other = turn();
    other.stop = 5;
  }
  value(fixture.ledger.check_session(other));
}

TEST_CASE("the same results finish an interrupted run") {
  const LedgerFixture fixture;
  value(fixture.ledger.intend(request(kA)));
  value(fixture.ledger.intend(request(kA)));
  value(fixture.ledger.commit(turn(), kA));
  value(fixture.ledger.commit(turn(), kA));
  value(fixture.ledger.intend(request(kA)));
  CHECK(kinds(fixture.ledger) == Kinds{intent, intent, committed, intent});
  value(fixture.ledger.commit(turn(), kA));
  value(fixture.ledger.commit(turn(), kA));
  CHECK(kinds(fixture.ledger) == Kinds{intent, intent, committed, intent, committed});
  CHECK(value(fixture.ledger.committed(turn()))->result_hash == kA);
}

TEST_CASE("an intent without a commit is replaced, on record") {
  const LedgerFixture fixture;
  value(fixture.ledger.intend(request(kA)));
  value(fixture.ledger.intend(request(kB)));
  CHECK_FALSE(value(fixture.ledger.committed(turn())));
  value(fixture.ledger.commit(turn(), kB));
  CHECK(value(fixture.ledger.committed(turn()))->result_hash == kB);
  const auto lines = value(fixture.ledger.lines());
  CHECK(kinds(fixture.ledger) == Kinds{intent, intent, committed});
  CHECK(lines[0].result_hash == kA);
  CHECK(lines[1].result_hash == kB);
  CHECK(lines[2].key == turn());
}

TEST_CASE("other results after a commit need a reason") {
  const LedgerFixture fixture;
  value(fixture.ledger.intend(request(kA)));
  value(fixture.ledger.commit(turn(), kA));
  const auto refused = fixture.ledger.intend(request(kB));
  REQUIRE(code(refused) == "already_signed");
  CHECK(refused.error().what.find(value(fixture.ledger.lines()).back().time) != std::string::npos);
  CHECK(refused.error().hint.find("--sign-again") != std::string::npos);
  CHECK(kinds(fixture.ledger) == Kinds{intent, committed});

  value(fixture.ledger.intend(request(kB, "the \xff disk was lost")));
  CHECK(kinds(fixture.ledger) == Kinds{intent, committed, again});
  CHECK(value(fixture.ledger.lines()).back().reason == "the \xff disk was lost");
  CHECK(value(fixture.ledger.committed(turn()))->result_hash == kA);

  SECTION("once for the run that it allows") {
    value(fixture.ledger.intend(request(kB)));
    CHECK(code(fixture.ledger.intend(request(kC))) == "already_signed");
    value(fixture.ledger.commit(turn(), kB));
    CHECK(code(fixture.ledger.intend(request(kA))) == "already_signed");
    value(fixture.ledger.intend(request(kB)));
  }
  SECTION("the results before stay allowed until then") { value(fixture.ledger.intend(request(kA))); }
}

TEST_CASE("turns do not meet in the ledger") {
  const LedgerFixture fixture;
  value(fixture.ledger.commit(turn(), kA));
  auto other = request(kB);
  SECTION("station") { other.key.station = "4"; }
  SECTION("session") { other.key.session_id = kC; }
  SECTION("hash") { other.key.hash = kC; }
  SECTION("stop") { other.key.stop = 3; }
  value(fixture.ledger.intend(other));
  CHECK_FALSE(value(fixture.ledger.committed(other.key)));
}

TEST_CASE("a reason without bounds and a line without bounds are refused and leave the ledger readable") {
  const LedgerFixture fixture;
  value(fixture.ledger.commit(turn(), kA));
  CHECK(code(fixture.ledger.intend(request(kB, std::string(2001, 'x')))) == "usage");
  value(fixture.ledger.intend(request(kB, std::string(2000, '\xff'))));
  auto long_session = turn();
  long_session.session_id = std::string(100'000, 'a');
  CHECK(code(fixture.ledger.see(long_session)) == "state_failed");
  CHECK(kinds(fixture.ledger) == Kinds{committed, again});
}

TEST_CASE("a ledger that was cut off anywhere keeps its whole lines and goes on") {
  const LedgerFixture fixture;
  const ReplayKey key{"3", "b", "a", 2};
  value(fixture.ledger.see(key));
  value(fixture.ledger.intend({key, "1", {}, false}));
  value(fixture.ledger.commit(key, "1"));
  const std::string whole = content_of(fixture.file);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    const auto ends = std::ranges::count(cut, '\n');
    const auto lines = static_cast<std::size_t>(std::max<std::ptrdiff_t>(ends - 1, 0));
    write_file(fixture.file, cut);
    REQUIRE(value(fixture.ledger.lines()).size() == lines);
    REQUIRE(value(fixture.ledger.committed(key)).has_value() == (lines == 3));
    REQUIRE(content_of(fixture.file) == cut);
    value(fixture.ledger.intend({key, "1", {}, false}));
    REQUIRE(value(fixture.ledger.lines()).size() == lines + 1);
    REQUIRE(content_of(fixture.file).starts_with(cut.substr(0, cut.rfind('\n') + 1)));
  }
}

TEST_CASE("a ledger that is damaged or newer is refused by name and stays as it is") {
  const LedgerFixture fixture;
  value(fixture.ledger.see(turn()));
  value(fixture.ledger.commit(turn(), kA));
  std::string content = content_of(fixture.file);
  const auto first_end = content.find('\n');
  SECTION("a newer version") { content[first_end - 2] = '2'; }
  SECTION("no version") { content.erase(0, first_end + 1); }
  SECTION("a line that is no JSON") { content.insert(first_end + 1, "{\n"); }
  SECTION("an empty line") { content.insert(first_end + 1, "\n"); }
  SECTION("zeros and a line's end, as a power failure may leave them") {
    content += std::string(100, '\0') + '\n';
  }
  SECTION("a line without its hash") { content.replace(content.find("\"hash\""), 6, "\"hush\""); }
  SECTION("a commit without its results") {
    content.replace(content.find("\"result_hash\""), 13, "\"result_hush\"");
  }
  SECTION("an unknown kind") { content.replace(content.find("\"seen\""), 6, "\"sawn\""); }
  SECTION("a stop that is no number") { content.replace(content.find("\"stop\":2"), 8, "\"stop\":[]"); }
  SECTION("a line without an end") { content += std::string(1 << 20, 'x'); }
  SECTION("somebody else's file") { content = "hello"; }
  write_file(fixture.file, content);
  for (const auto& found :
       {code(fixture.ledger.check_session(turn())), code(fixture.ledger.see(turn())),
        code(fixture.ledger.lines()), code(fixture.ledger.intend(request(kA))),
        code(fixture.ledger.commit(turn(), kA)), code(fixture.ledger.committed(turn()))}) {
    CHECK(found == "state_failed");
  }
  CHECK(fixture.ledger.lines().error().what.find(fixture.file.string()) != std::string::npos);
  CHECK(content_of(fixture.file) == content);
}

TEST_CASE("two processes that write at once lose nothing, and one of two trains gets a session") {
  const LedgerFixture fixture;
  const auto write = [&](const std::string& hash) {
    return start([&fixture, hash] {
      for (std::size_t stop = 0; stop < 40; ++stop) {
        const ReplayKey key{"3", text("session", hash, stop), hash, stop};
        if (!fixture.ledger.see(key) || !fixture.ledger.intend({key, kA, {}, false})) return false;
        if (!fixture.ledger.commit(key, kA)) return false;
        static_cast<void>(fixture.ledger.see({"3", text("shared", stop), hash, stop}));
      }
      return true;
    });
  };
  const pid_t first = write(kA);
  const pid_t second = write(kB);
  CHECK(succeeded(first));
  CHECK(succeeded(second));
  std::map<std::string, std::string> sessions;
  for (const auto& line : value(fixture.ledger.lines())) {
    const auto [known, is_new] = sessions.try_emplace(line.key.session_id, line.key.hash);
    CHECK(known->second == line.key.hash);
  }
  CHECK(sessions.size() == 3 * 40);
  CHECK(value(fixture.ledger.lines()).size() == 2 * 3 * 40 + 40);
}

TEST_CASE("a kill while a line is written leaves the lines before it, and a rerun goes on") {
  for (unsigned change = 0;; ++change) {
    const LedgerFixture fixture;
    const bool with_ledger = change % 2 == 0;
    if (with_ledger) value(fixture.ledger.commit(turn(), kA));
    const bool finished =
        test::finishes_before(change / 2, [&] { static_cast<void>(fixture.ledger.intend(request(kA))); });
    const auto after = kinds(fixture.ledger);
    const Kinds before = with_ledger ? Kinds{committed} : Kinds{};
    Kinds done = before;
    done.push_back(intent);
    REQUIRE((after == done || (!finished && after == before)));
    value(fixture.ledger.commit(turn(), kA));
    CHECK(value(fixture.ledger.committed(turn()))->result_hash == kA);
    if (finished && !with_ledger) break;
  }
}

TEST_CASE("a ledger of 100,000 lines is searched") {
  const LedgerFixture fixture;
  value(fixture.ledger.commit(turn(), kA));
  const std::string content = content_of(fixture.file);
  const std::string line = content.substr(content.find('\n') + 1);
  std::string many = content;
  for (int i = 0; i < 100'000; ++i) {
    std::string other = line;
    const auto number = std::to_string(i);
    other.replace(other.find(turn().session_id), number.size(), number);
    many += other;
  }
  write_file(fixture.file, many);
  CHECK(code(fixture.ledger.intend(request(kB))) == "already_signed");
  value(fixture.ledger.intend(request(kA)));
  CHECK(content_of(fixture.file).size() > many.size());
}

}  // namespace trainseal::state_test
