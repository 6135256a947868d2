#include "service/metrics.h"

#include <charconv>

#include "base/text.h"

namespace trainseal::service {

namespace {

std::string number(double value) {
  std::array<char, 32> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return {digits.data(), end};
}

std::string label(std::string_view key, std::string_view value) { return text(key, "=\"", value, '"'); }

}  // namespace

void MetricsText::begin(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  text_ += text("# HELP ", name, ' ', help, "\n# TYPE ", name, ' ', type, '\n');
}

void MetricsText::sample(std::string_view suffix, std::string_view labels, double value) {
  text_ += text(name_, suffix);
  if (!labels.empty()) text_ += text('{', labels, '}');
  text_ += text(' ', number(value), '\n');
}

void Histogram::add(std::chrono::nanoseconds time) {
  const double seconds = std::chrono::duration<double>(time).count();
  for (std::size_t i = 0; i < kSeconds.size(); ++i)
    if (seconds <= kSeconds[i]) ++counts_[i];
  ++count_;
  sum_seconds_ += seconds;
}

void Histogram::write(MetricsText& text_out, const std::string& labels) const {
  const std::string front = labels.empty() ? labels : labels + ',';
  for (std::size_t i = 0; i < kSeconds.size(); ++i)
    text_out.sample("_bucket", front + label("le", number(kSeconds[i])), static_cast<double>(counts_[i]));
  text_out.sample("_bucket", front + label("le", "+Inf"), static_cast<double>(count_));
  text_out.sample("_sum", labels, sum_seconds_);
  text_out.sample("_count", labels, static_cast<double>(count_));
}

void Metrics::job_called(const std::string& verb) {
  const std::scoped_lock lock(mutex_);
  ++called_[verb];
}

void Metrics::job_done(const std::string& verb, int http_status, std::chrono::nanoseconds waited,
                       std::chrono::nanoseconds run) {
  const std::scoped_lock lock(mutex_);
  ++done_[{verb, http_status}];
  waited_[verb].add(waited);
  run_[verb].add(run);
}

void Metrics::request_done(int http_status) {
  const std::scoped_lock lock(mutex_);
  ++requests_[http_status];
}

void Metrics::connection_refused() {
  const std::scoped_lock lock(mutex_);
  ++refused_;
}

void Metrics::write(MetricsText& out) const {
  const std::scoped_lock lock(mutex_);
  out.begin("trainseal_jobs_called_total", "counter", "Jobs that were taken.");
  for (const auto& [verb, count] : called_) out.value(label("verb", verb), static_cast<double>(count));
  out.begin("trainseal_jobs_done_total", "counter", "Jobs by their HTTP status.");
  for (const auto& [key, count] : done_)
    out.value(text(label("verb", key.first), ',', label("status", text(key.second))),
              static_cast<double>(count));
  out.begin("trainseal_job_queued_seconds", "histogram", "How long jobs waited.");
  for (const auto& [verb, times] : waited_) times.write(out, label("verb", verb));
  out.begin("trainseal_job_run_seconds", "histogram", "How long jobs ran.");
  for (const auto& [verb, times] : run_) times.write(out, label("verb", verb));
  out.begin("trainseal_requests_total", "counter", "Requests by their HTTP status.");
  for (const auto& [status, count] : requests_)
    out.value(label("status", text(status)), static_cast<double>(count));
  out.begin("trainseal_connections_refused_total", "counter", "Connections beyond what the settings allow.");
  out.value("", static_cast<double>(refused_));
}

}  // namespace trainseal::service
