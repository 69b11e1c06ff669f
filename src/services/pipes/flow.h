// A pipe's events on their way: templates and values for its target. Pure.
#pragma once

#include <aws/pipes/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "kernel/event_template.h"

namespace virga::pipes {

// What templates may name without a path.
struct Around {
  std::string pipe_arn, pipe_name, source_arn, enrichment_arn, target_arn;
  Time ingested;
};

// The event with its body read as JSON where it is JSON: what paths are looked up in.
Json view_of(const Json& event);
// The event as the template writes it; text that is no JSON is a string. Refuses more than kMaxTransformed.
Json transformed(const Json& event, const std::string& input_template, const Around& around);
// An event as the body of a message: a string is its text.
using kernel::text_of;
using kernel::value_of;
// The events in the answer of an enrichment: an array's elements, or the answer itself; none for empty answers.
std::vector<Json> enriched(const std::string& answer);
// By what a source's record is named in partial failures.
std::string identifier_of(const Json& record);

// What goes to the target, and how.
struct Flow {
  CreatePipeRequest definition;
  Around around;
  std::vector<Json> originals;  // before the target's template
  std::vector<Json> events;
  bool ordered = false;  // nothing is sent after a failure
  std::string trace;
};

}  // namespace virga::pipes
