// Finds the operation of a REST service that a method, path and query string mean.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/http.h"
#include "wire/shape.h"

namespace virga::wire {

// One operation's URI, taken apart: /2015-03-31/functions/{FunctionName}/versions?x=y
class UriPattern {
 public:
  explicit UriPattern(std::string_view uri);

  struct Segment {
    std::string_view text;  // literal text, or the label's name
    bool label = false;
    bool greedy = false;  // {Key+}: takes the rest of the path, slashes too
  };
  struct QueryPart {
    std::string_view name;
    std::string_view value;
    bool has_value = false;
  };
  const std::vector<Segment>& segments() const { return segments_; }
  const std::vector<QueryPart>& query() const { return query_; }
  // False when match can't be: what comes before the first label is another.
  bool begins(std::string_view path) const;

  // The labels' decoded values, when `path` (undecoded) matches. A slash at the end is forgiven.
  std::optional<std::vector<std::pair<std::string, std::string>>> match(std::string_view path) const;

 private:
  std::vector<Segment> segments_;
  std::vector<QueryPart> query_;
  std::string start_;  // the literals before the first label: "/2015-03-31/functions"
};

class Router {
 public:
  struct Route {
    const OperationModel* operation;
    std::vector<std::pair<std::string, std::string>> labels;
  };

  explicit Router(const ServiceModel& service);

  // The most specific operation: literals before labels, then more fixed query parts, then the one whose required
  // headers and query parameters are all there. Operations that are not served are found too.
  std::optional<Route> find(std::string_view method, std::string_view path, std::string_view query,
                            const Headers& headers) const;

 private:
  struct Entry {
    const OperationModel* operation;
    UriPattern pattern;
    int literals;
    std::vector<std::string_view> required_query, required_headers;
  };
  std::vector<Entry> entries_;
};

}  // namespace virga::wire
