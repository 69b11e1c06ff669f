// What the operations' requests have in common.
#pragma once

#include <aws/application-autoscaling/errors.h>
#include <aws/application-autoscaling/types.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/str.h"
#include "kernel/page.h"
#include "services/application-autoscaling/limits.h"
#include "services/application-autoscaling/resource.h"
#include "services/application-autoscaling/service.h"

namespace virga::applicationautoscaling {

// What a request names; throws ValidationException for what can't be scaled.
template <class In>
Scalable scalable(const In& in) {
  Scalable what{std::string(to_string(in.service_namespace)), in.resource_id,
                std::string(to_string(in.scalable_dimension))};
  check_scalable(what);
  return what;
}

inline bool contains(const std::vector<std::string>& all, std::string_view one) {
  return std::ranges::find(all, one) != all.end();
}

template <class Out>
void name_in(Out& out, const Scalable& what) {
  from_string(what.space, out.service_namespace);
  out.resource_id = what.resource;
}

template <class In>
bool names_resource(const In& in) {
  if constexpr (requires { in.resource_ids; }) {
    return in.resource_ids && !in.resource_ids->empty();
  } else {
    return in.resource_id.has_value();
  }
}

// Fills a page of a list, of at most `most`: `next` reads records after a position, `fits` says which are asked for,
// `show` adds one.
template <class In, class Out, class Next, class Fits, class Show>
Task<void> list_page(const kernel::Tokens& tokens, const kernel::Ctx& ctx, std::string operation, size_t most,
                     const In& in, Out& out, Next next, Fits fits, Show show) {
  if (in.scalable_dimension && !to_string(*in.scalable_dimension).starts_with(to_string(in.service_namespace))) {
    throw err::ValidationException("Unsupported service namespace, resource type or scalable dimension");
  }
  if (in.scalable_dimension && !names_resource(in)) {
    throw err::ValidationException("A resource ID must be specified when a scalable dimension is specified");
  }
  if (in.max_results && *in.max_results < 1) throw err::ValidationException("MaxResults cannot be less than 1");
  operation += to_string(in.service_namespace);
  const size_t limit = std::min(most, in.max_results ? static_cast<size_t>(*in.max_results) : most);
  std::string after = kernel::open_page<std::string>(tokens, ctx, operation, in.next_token, bad_token()).value_or("");
  size_t shown = 0;
  while (true) {
    const auto page = co_await next(after, 2 * kListPage);
    if (page.empty()) co_return;
    for (const auto& [position, record] : page) {
      const bool wanted =
          fits(record) && (!in.scalable_dimension || record.what.dimension == to_string(*in.scalable_dimension));
      if (wanted && shown == limit) {
        out.next_token = kernel::seal_page(tokens, ctx, operation, after);
        co_return;
      }
      if (wanted) show(record), ++shown;
      after = position;
    }
  }
}

}  // namespace virga::applicationautoscaling
