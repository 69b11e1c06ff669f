#include "base/metrics.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/str.h"

namespace virga {

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), buckets_(bounds.size() + 1) {}

void Histogram::observe(double v) {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin();
  buckets_[static_cast<size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(std::llround(v * 1000), std::memory_order_relaxed);
}

double Histogram::quantile(double quantile) const {
  uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  if (total == 0 || bounds_.empty()) return 0;
  const double wanted = quantile * static_cast<double>(total);
  double seen = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    const auto here = static_cast<double>(bucket(i));
    if (here > 0 && seen + here >= wanted) {
      const double low = i == 0 ? 0 : bounds_[i - 1];
      return low + (bounds_[i] - low) * (wanted - seen) / here;
    }
    seen += here;
  }
  return bounds_.back();
}

namespace {

std::string render_labels(const MetricLabels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!out.empty()) out += ',';
    append(out, name, "=\"");
    for (const char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      if (c == '\n') {
        out += "\\n";
      } else {
        out += c;
      }
    }
    out += '"';
  }
  return out;
}

void line(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
          std::string_view more, std::string_view value) {
  append(out, name, suffix);
  if (!labels.empty() || !more.empty()) {
    append(out, '{', labels, labels.empty() || more.empty() ? "" : ",", more, '}');
  }
  append(out, ' ', value, '\n');
}

}  // namespace

MetricRegistry::Series& MetricRegistry::find(std::string_view name, std::string_view help, std::string_view type,
                                             const MetricLabels& labels) {
  auto family = families_.find(name);
  if (family == families_.end()) {
    family = families_.emplace(std::string(name), Family{std::string(help), type, {}}).first;
  }
  if (family->second.type != type) throw std::logic_error(cat("metric ", name, " has two types"));
  std::string rendered = render_labels(labels);
  auto& series = family->second.series;
  if (const auto found = series.find(rendered); found != series.end()) return found->second;
  if (count_ >= kMostSeries) {
    rendered = "overflow=\"true\"";
    if (const auto found = series.find(rendered); found != series.end()) return found->second;
  }
  ++count_;
  Series& made = series[rendered];
  made.labels = rendered;
  return made;
}

Counter& MetricRegistry::counter(std::string_view name, std::string_view help, MetricLabels labels) {
  std::lock_guard lock(mutex_);
  auto& counter = find(name, help, "counter", labels).counter;
  if (!counter) counter = std::make_unique<Counter>();
  return *counter;
}

Gauge& MetricRegistry::gauge(std::string_view name, std::string_view help, MetricLabels labels) {
  std::lock_guard lock(mutex_);
  auto& gauge = find(name, help, "gauge", labels).gauge;
  if (!gauge) gauge = std::make_unique<Gauge>();
  return *gauge;
}

Histogram& MetricRegistry::histogram(std::string_view name, std::string_view help, MetricLabels labels,
                                     std::span<const double> bounds) {
  std::lock_guard lock(mutex_);
  auto& histogram = find(name, help, "histogram", labels).histogram;
  if (!histogram) histogram = std::make_unique<Histogram>(bounds);
  return *histogram;
}

std::string MetricRegistry::render() const {
  std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) {
    append(out, "# HELP ", name, ' ', family.help, "\n# TYPE ", name, ' ', family.type, '\n');
    for (const auto& [labels, series] : family.series) {
      if (series.counter) line(out, name, "", labels, "", cat(series.counter->value()));
      if (series.gauge) line(out, name, "", labels, "", cat(series.gauge->value()));
      if (!series.histogram) continue;
      const Histogram& h = *series.histogram;
      uint64_t below = 0;
      for (size_t i = 0; i < h.bounds().size(); ++i) {
        below += h.bucket(i);
        line(out, name, "_bucket", labels, cat("le=\"", h.bounds()[i], '"'), cat(below));
      }
      below += h.bucket(h.bounds().size());
      line(out, name, "_bucket", labels, "le=\"+Inf\"", cat(below));
      line(out, name, "_sum", labels, "", cat(h.sum()));
      line(out, name, "_count", labels, "", cat(below));
    }
  }
  return out;
}

}  // namespace virga
