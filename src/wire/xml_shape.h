// Values by shape as XML: shared by rest-xml and the query protocols' responses.
#pragma once

#include "base/xml.h"
#include "wire/findings.h"
#include "wire/shape.h"

namespace virga::wire {

struct XmlStyle {
  bool millis = false;  // iso8601 timestamps always with milliseconds, as S3 writes them
  bool ec2 = false;     // lists are <item>
  bool query = false;   // members go by their names of the query protocols where they have one
};

// The members of a structure inside an element the caller has begun; attributes first.
void write_xml_members(XmlWriter& out, const StructInfo& info, const void* structure, bool body_only,
                       const XmlStyle& style);
void write_xml(XmlWriter& out, std::string_view name, const Shape& shape, const void* value, bool flattened,
               TimestampFormat format, const XmlStyle& style);

// `value` is default-constructed.
void read_xml_structure(const XmlNode& node, const StructInfo& info, void* structure, bool body_only, const Path& at,
                        Findings& findings);
void read_xml(const XmlNode& node, const Shape& shape, void* value, const Path& at, Findings& findings);

}  // namespace virga::wire
