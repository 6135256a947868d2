#include <catch2/catch.hpp>

#include "fixtures/state_fixture.h"
#include "state/backup.h"
#include "state/images/outbox.h"
#include "state/images/plain_layers.h"

namespace trainseal::state_test {
namespace {

PlainImage plain_image(const std::string& place, char digit) {
  return {place, std::string(64, digit), std::string(63, digit) + "d", {std::string(63, digit) + "b"},
          "now", std::string(64, 'e')};
}

KeptTrain kept_train(const std::string& place, const std::optional<KeptOrigin>& origin) {
  return {place, std::string(64, 'c'), "now", origin, std::nullopt, std::nullopt};
}

void keep(const Outbox& outbox, const KeptTrain& train) {
  std::filesystem::create_directories(outbox.layout_of(train.place));
  value(outbox.update(train));
}

std::filesystem::path layers_file(const StateFolder& state) { return state.path() / "layers.jsonl"; }

}  // namespace

TEST_CASE_METHOD(StateFixture, "layers with plaintext are kept by place, and their diff_ids for ever") {
  const PlainLayers layers(state);
  CHECK(value(layers.diff_ids()).empty());
  value(layers.add(plain_image(kAnyBytes, '1')));
  value(layers.add(plain_image("oci:/b:latest", '2')));
  value(layers.add(plain_image(kAnyBytes, '3')));
  const auto open = value(layers.open_at(kAnyBytes));
  REQUIRE(open.size() == 2);
  CHECK(open[0].config_digest == std::string(64, '1'));
  CHECK(open[1].blobs == std::vector{std::string(63, '3') + "b"});
  CHECK(open[1].replaced == std::string(64, 'e'));

  value(layers.close(kAnyBytes));
  CHECK(value(layers.open_at(kAnyBytes)).empty());
  CHECK(value(layers.open_at("oci:/b:latest")).size() == 1);
  value(layers.add(plain_image(kAnyBytes, '4')));
  CHECK(value(layers.open_at(kAnyBytes)).size() == 1);
  CHECK(value(layers.diff_ids()).size() == 4);
}

TEST_CASE_METHOD(StateFixture, "lines of before images were compared with what they replaced are read") {
  const PlainLayers layers(state);
  value(layers.add(plain_image("a", '1')));
  std::string content = content_of(layers_file(state));
  const std::string member = text(",\"replaced\":\"", std::string(64, 'e'), '"');
  REQUIRE(content.find(member) != std::string::npos);
  write_file(layers_file(state), content.erase(content.find(member), member.size()));
  const auto open = value(layers.open_at("a"));
  REQUIRE(open.size() == 1);
  CHECK(open[0].replaced.empty());
  CHECK(open[0].time == "now");
}

TEST_CASE_METHOD(StateFixture, "a torn line of layers.jsonl is dropped and written over") {
  const PlainLayers layers(state);
  value(layers.add(plain_image("a", '1')));
  const std::string whole = content_of(layers_file(state));
  for (const std::size_t cut : {whole.size() - 1, whole.find('\n') + 5, whole.find('\n'), std::size_t{0}}) {
    CAPTURE(cut);
    write_file(layers_file(state), whole.substr(0, cut));
    value(layers.add(plain_image("b", '2')));
    CHECK(value(layers.diff_ids()) == std::vector{std::string(63, '2') + "d"});
  }
}

TEST_CASE_METHOD(StateFixture,
                 "layers.jsonl that is not as it was written is refused, and state check says so") {
  const char* const content = GENERATE("x\n", "{\"version\":2}\n", "{\"version\":1}\n{}\n",
                                       "{\"version\":1}\n{\"time\":\"t\",\"place\":\"p\",\"blobs\":[1]}\n");
  write_file(layers_file(state), content);
  std::filesystem::permissions(layers_file(state), std::filesystem::perms(0600));
  CHECK(code(PlainLayers(state).diff_ids()) == "state_failed");
  CHECK(code(PlainLayers(state).add(plain_image("a", '1'))) == "state_failed");
  CHECK(content_of(layers_file(state)) == content);
  CHECK(value(check_state(state)).size() == 1);
}

TEST_CASE_METHOD(StateFixture, "a backup has the layers with plaintext") {
  value(PlainLayers(state).add(plain_image("a", '1')));
  value(export_state(state, scratch.path() / "backup"));
  const StateFolder restored = open("restored");
  value(import_state(restored, scratch.path() / "backup"));
  CHECK(value(PlainLayers(restored).diff_ids()) == value(PlainLayers(state).diff_ids()));
}

TEST_CASE_METHOD(StateFixture, "what is kept in the outbox is found by place, and state check names it") {
  const Outbox outbox(state);
  CHECK_FALSE(value(outbox.find(kAnyBytes)));
  CHECK(value(check_state(state)).empty());
  const auto folder = outbox.folder_of(kAnyBytes);
  keep(outbox, kept_train(kAnyBytes, std::nullopt));
  CHECK(value(outbox.find(kAnyBytes))->config_digest == std::string(64, 'c'));
  CHECK_FALSE(value(outbox.find("another")));
  REQUIRE(value(outbox.all()).size() == 1);
  CHECK(value(check_state(state)).size() == 1);

  // As earlier versions wrote it.
  write_file(folder / "kept.json", R"({"version":1,"place":"p","config_digest":"c","time":"t"})");
  CHECK(value(outbox.find(kAnyBytes))->place == "p");
  CHECK_FALSE(value(outbox.find(kAnyBytes))->origin);
  write_file(folder / "kept.json", "{\"version\":1}");
  CHECK(code(outbox.find(kAnyBytes)) == "state_failed");
}

TEST_CASE_METHOD(StateFixture, "what is kept is found by its run, and dropped") {
  const Outbox outbox(state);
  const KeptOrigin origin{"3", "docker://v/t:latest", "t-17", "{}", "base", kAnyBytes};
  keep(outbox, kept_train("docker://w/t:latest", origin));
  keep(outbox, kept_train("docker://x/t:latest", std::nullopt));
  CHECK(value(outbox.find_from("3", "docker://v/t:latest"))->origin->out == kAnyBytes);
  CHECK_FALSE(value(outbox.find_from("4", "docker://v/t:latest")));
  CHECK_FALSE(value(outbox.find_from("3", "docker://w/t:latest")));
  CHECK(value(outbox.find_touching("docker://v/t:latest")));
  CHECK(value(outbox.find_touching("docker://w/t:latest")));
  CHECK_FALSE(value(outbox.find_touching("docker://x/t:latest")));

  for (int time = 0; time < 2; ++time) {
    value(outbox.drop("docker://w/t:latest"));
    CHECK_FALSE(value(outbox.find("docker://w/t:latest")));
    CHECK_FALSE(std::filesystem::exists(outbox.folder_of("docker://w/t:latest")));
  }
  CHECK(value(outbox.all()).size() == 1);
}

}  // namespace trainseal::state_test
