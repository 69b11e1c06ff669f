#include "wire/packing.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/encoding.h"
#include "base/str.h"
#include "wire/protocol.h"

namespace virga::wire {
namespace {

// What a packed body may unpack to: as much as one may have that isn't packed.
constexpr uint64_t kMostUnpacked = 16 << 20;
// Answers up to this size are sent as they are: DynamoDB's bound.
constexpr size_t kFew = 4096;

std::optional<Packing> packing_named(std::string_view name) {
  if (equals_ignoring_case(name, "gzip")) return Packing::kGzip;
  if (equals_ignoring_case(name, "deflate")) return Packing::kDeflate;
  return std::nullopt;
}

// The weight that follows the first "q=", up to 1; what is no number is none given.
double weight_of(std::string_view parameters) {
  const size_t at = parameters.find("q=");
  if (at == std::string_view::npos) return 1;
  const std::string_view text = trim(split_once(parameters.substr(at + 2), ';').first);
  double weight;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
  return error == std::errc() && end == text.data() + text.size() ? std::min(weight, 1.0) : 1;
}

}  // namespace

std::optional<std::string> unpacked(Protocol protocol, const ServiceModel& service, const HttpRequest& request,
                                    std::string_view body) {
  // With the REST protocols the header is part of what is sent.
  if (protocol == Protocol::kRestJson || protocol == Protocol::kRestXml) return std::nullopt;
  const std::string* header = request.headers.find("content-encoding");
  if (!header) return std::nullopt;
  const std::string_view coding = trim(*header);
  const auto packing = packing_named(coding);
  if (packing && (service.packs || *packing == Packing::kGzip)) return gunzip(body, kMostUnpacked, *packing);
  // Of other codings clients name some that mean nothing.
  const bool means_nothing = coding.empty() || equals_ignoring_case(coding, "identity") || coding == "amz-1.0";
  if (service.packs && !means_nothing) throw not_unpacked(protocol, service, cat("Unknown coding: ", coding));
  return std::nullopt;
}

Error not_unpacked(Protocol protocol, const ServiceModel& service, std::string message) {
  // DynamoDB takes it for a fault of its own.
  static constexpr ErrorShape kFault = {"InternalServerError", 500, Fault::kReceiver};
  if (service.packs) return Error{&kFault, std::move(message), nullptr, {}};
  return door::malformed(service, protocol, std::move(message));
}

std::optional<Packing> packing_for(const ServiceModel* service, const HttpRequest& request,
                                   const HttpResponse& response) {
  if (response.body.size() <= kFew || !service || !service->packs) return std::nullopt;
  return accepted_packing(request.headers.get("accept-encoding"));
}

std::optional<Packing> accepted_packing(std::string_view accept_encoding) {
  struct Offer {
    Packing packing;
    double weight;
  };
  std::vector<Offer> offers;
  double others = 0;
  for (const std::string_view one : split(accept_encoding, ',')) {
    const auto [name, parameters] = split_once(one, ';');
    if (trim(name) == "*") others = weight_of(parameters);
    if (const auto packing = packing_named(trim(name))) offers.push_back({*packing, weight_of(parameters)});
  }
  for (const Packing packing : {Packing::kGzip, Packing::kDeflate}) {
    if (std::ranges::find(offers, packing, &Offer::packing) == offers.end()) offers.push_back({packing, others});
  }
  const auto best = std::ranges::max_element(offers, {}, &Offer::weight);  // the first of those alike
  return best->weight > 0 ? std::optional(best->packing) : std::nullopt;
}

void pack(HttpResponse& response, Packing packing) {
  response.body = gzip(response.body, packing, 1);
  response.headers.add("Content-Encoding", packing == Packing::kGzip ? "gzip" : "deflate");
  response.headers.set("x-amz-crc32", cat(crc32(response.body)));
}

}  // namespace virga::wire
