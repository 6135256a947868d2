#include "cli/output/journey_page.h"

#include "base/text.h"
#include "cli/output/text_layout.h"

namespace trainseal::cli {

namespace {

constexpr std::size_t kStopWidth = 150;  ///< pixels from one stop to the next
constexpr std::size_t kMargin = 90;
constexpr std::size_t kLineHeight = 60;
constexpr std::size_t kPictureHeight = 160;
constexpr std::size_t kLongestName = 18;  ///< characters below a stop

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; margin: 2em auto; max-width: 70em; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } td, th { text-align: left; padding: .2em 1.2em .2em 0; vertical-align: top }
th { font-weight: 600; border-bottom: 1px solid #c6ced6 } code { font-size: 13px; word-break: break-all }
svg { max-width: 100%; height: auto } text { text-anchor: middle; font: 13px system-ui, sans-serif; fill: #1d2733 }
.note { color: #8a4b00 }
.track { stroke: #c6ced6; stroke-width: 6 } .travelled { stroke: #2b7a4b; stroke-width: 6 }
.done { fill: #2b7a4b } .open { fill: #fff; stroke: #7b8794; stroke-width: 3 } .mine { stroke: #c2571a; stroke-width: 5 }
.small { font-size: 11px; fill: #59636e }
</style>
)";

/// A name that fits below a stop: whole characters, an ellipsis where it is cut.
std::string short_name(const std::string& untrusted) {
  const std::string name = printable(untrusted);
  if (columns(name) <= kLongestName) return html(name);
  std::size_t end = 0;
  for (std::size_t characters = 0; characters < kLongestName; ++characters) {
    do ++end;
    while (end < name.size() && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80);
  }
  return html(name.substr(0, end)) + "…";
}

std::string label(std::size_t x, std::size_t y, std::string_view css_class, const std::string& escaped) {
  return text("<text x=\"", x, "\" y=\"", y, "\" class=\"", css_class, "\">", escaped, "</text>\n");
}

std::string track(std::size_t from, std::size_t to, std::string_view css_class) {
  return text("<line x1=\"", from, "\" y1=\"", kLineHeight, "\" x2=\"", to, "\" y2=\"", kLineHeight,
              "\" class=\"", css_class, "\"/>\n");
}

std::string circle(std::size_t x, std::string_view css_class, const std::string& title) {
  return text("<circle cx=\"", x, "\" cy=\"", kLineHeight, R"(" r="16" class=")", css_class, "\"><title>",
              title, "</title></circle>\n");
}

std::string stop_picture(const Inspection::Stop& stop, std::size_t x) {
  const std::string css_class = text(stop.signed_ ? "done" : "open", stop.mine ? " mine" : "");
  const std::string title =
      text("station ", html(stop.station), ", RSA-", stop.key_bits, ", key ", stop.fingerprint);
  return circle(x, css_class, title) + label(x, kLineHeight + 40, "", short_name(stop.station)) +
         label(x, kLineHeight + 58, "small", stop.signed_ ? "has signed" : "not yet") +
         label(x, kLineHeight + 74, "small", stop.can_read ? "can read" : "") +
         (stop.mine ? label(x, kLineHeight - 28, "small", "this station") : "");
}

/// Builder, stops and creator on one track, green as far as the train has come.
std::string picture(const Inspection& train) {
  const std::size_t end = kMargin + (train.route.size() + 1) * kStopWidth;
  std::size_t completed = 0;
  for (const auto& stop : train.route) completed += stop.signed_ ? 1U : 0U;
  const bool done = completed == train.route.size();
  std::string svg =
      text("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"", end + kMargin, "\" height=\"",
           kPictureHeight, "\" viewBox=\"0 0 ", end + kMargin, ' ', kPictureHeight, "\">\n");
  svg += track(kMargin, end, "track");
  svg += track(kMargin, done ? end : kMargin + completed * kStopWidth, "travelled");
  svg += circle(kMargin, "done", text("builder, key ", train.builder_fingerprint));
  svg += label(kMargin, kLineHeight + 40, "", "builder");
  for (std::size_t i = 0; i < train.route.size(); ++i)
    svg += stop_picture(train.route[i], kMargin + (i + 1) * kStopWidth);
  svg += circle(end, done ? "done" : "open",
                text("creator ", html(train.creator_id), ", key ", train.creator_fingerprint));
  svg += label(end, kLineHeight + 40, "", "creator") +
         label(end, kLineHeight + 58, "small", short_name(train.creator_id));
  return svg + "</svg>\n";
}

std::string fact(std::string_view name, const std::string& untrusted) {
  return text("<tr><th>", name, "</th><td>", html(untrusted), "</td></tr>\n");
}

std::string code_fact(std::string_view name, const std::string& untrusted) {
  return text("<tr><th>", name, "</th><td><code>", html(untrusted), "</code></td></tr>\n");
}

std::string facts(const Inspection& train) {
  return text("<table>\n", fact("Source", train.source), fact("Proposal", train.proposal_id),
              code_fact("Session", train.session_id), fact("Creator", train.creator_id),
              code_fact("Creator's key", train.creator_fingerprint),
              code_fact("Builder's key", train.builder_fingerprint),
              fact("Query", train.has_query ? "yes" : "no"),
              code_fact("Result hash", train.result_hash.value_or("no stop has run")), "</table>\n");
}

std::string route_table(const Inspection& train) {
  std::string rows =
      "<tr><th>Stop</th><th>Station</th><th>Key</th><th>Fingerprint</th><th>Signed</th><th>Can "
      "read</th></tr>\n";
  for (std::size_t i = 0; i < train.route.size(); ++i) {
    const auto& stop = train.route[i];
    rows +=
        text("<tr><td>", i + 1, "</td><td>", html(stop.station), stop.mine ? " (this station)" : "",
             "</td><td>RSA-", stop.key_bits, "</td><td><code>", html(stop.fingerprint), "</code></td><td>",
             stop.signed_ ? "yes" : "no", "</td><td>", stop.can_read ? "yes" : "no", "</td></tr>\n");
  }
  return text("<h2>Route</h2><table>\n", rows, "</table>\n");
}

std::string file_table(std::string_view heading, const std::vector<Inspection::File>& files) {
  std::string rows;
  for (const auto& file : files)
    rows +=
        text("<tr><td><code>", html(file.name), "</code></td><td>", size_text(file.bytes), "</td></tr>\n");
  if (rows.empty()) rows = "<tr><td>none</td></tr>\n";
  return text("<h2>", heading, "</h2><table>\n", rows, "</table>\n");
}

}  // namespace

std::string journey_page(const Inspection& train) {
  const std::string title = text("Train ", html(train.train_id));
  return text(kHead, "<title>", title, "</title></head><body>\n<h1>", title, "</h1>\n", picture(train),
              "<p class=\"note\">This is what the train says of itself. Nothing of it has been checked: "
              "<code>trainseal verify</code> does.</p>\n",
              facts(train), route_table(train), file_table("Files", train.immutable_files),
              file_table("Results", train.results), "</body></html>\n");
}

}  // namespace trainseal::cli
