// XML: a small document tree read with expat, and a writer that appends to a string.
// Document types and entities are refused, so a document is never larger than its text.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace virga {

struct XmlError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct XmlNode {
  std::string name;                                             // without its namespace prefix
  std::vector<std::pair<std::string, std::string>> attributes;  // names as written, xmlns declarations included
  std::string text;                                             // all character data directly inside, in order
  std::vector<XmlNode> children;

  const XmlNode* child(std::string_view name) const;          // the first of that name, or null
  const std::string* attribute(std::string_view name) const;  // null when absent
  std::string_view child_text(std::string_view name) const;   // empty when there is no such child
};

struct XmlLimits {
  size_t bytes = 16 << 20;
  size_t nodes = 500'000;  // elements and attributes
  int depth = 64;
};

// The root element. Throws XmlError when the text is malformed, has a document type, or exceeds a limit.
XmlNode parse_xml(std::string_view text, const XmlLimits& limits = {});

// Appends elements. Names are written as they are; text and attribute values are escaped, and characters that XML
// cannot hold become U+FFFD.
class XmlWriter {
 public:
  explicit XmlWriter(std::string& out) : out_(out) {}
  void declaration();  // <?xml version="1.0" encoding="UTF-8"?> and a line end
  void begin(std::string_view name);
  void attribute(std::string_view name, std::string_view value);  // only right after begin
  void text(std::string_view text);
  void end(std::string_view name);
  void element(std::string_view name, std::string_view text);

 private:
  std::string& out_;
  bool open_ = false;  // a start tag still lacks its '>'
  void close();
};

}  // namespace virga
