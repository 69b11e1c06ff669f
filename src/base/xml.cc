#include "base/xml.h"

#include <expat.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/str.h"

namespace virga {

const XmlNode* XmlNode::child(std::string_view name) const {
  for (const XmlNode& node : children) {
    if (node.name == name) return &node;
  }
  return nullptr;
}

const std::string* XmlNode::attribute(std::string_view name) const {
  for (const auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string_view XmlNode::child_text(std::string_view name) const {
  const XmlNode* node = child(name);
  return node ? std::string_view(node->text) : std::string_view();
}

namespace {

class Builder {
 public:
  Builder(const XmlLimits& limits) : limits_(limits), parser_(XML_ParserCreate(nullptr)) {
    if (!parser_) throw std::bad_alloc();
    XML_SetUserData(parser_.get(), this);
    XML_SetElementHandler(parser_.get(), &on_start, &on_end);
    XML_SetCharacterDataHandler(parser_.get(), &on_text);
    XML_SetStartDoctypeDeclHandler(parser_.get(), &on_doctype);
  }

  XmlNode parse(std::string_view text) {
    if (text.size() > limits_.bytes) throw XmlError(cat("XML of more than ", limits_.bytes, " bytes"));
    const XML_Status status = XML_Parse(parser_.get(), text.data(), static_cast<int>(text.size()), XML_TRUE);
    if (!refusal_.empty()) throw XmlError(refusal_);
    if (status != XML_STATUS_OK) {
      throw XmlError(cat(XML_ErrorString(XML_GetErrorCode(parser_.get())), " at line ",
                         XML_GetCurrentLineNumber(parser_.get()), ", column ",
                         XML_GetCurrentColumnNumber(parser_.get()) + 1));
    }
    return std::move(*root_);
  }

 private:
  static Builder& of(void* self) { return *static_cast<Builder*>(self); }

  // Exceptions must not cross expat's frames: every refusal is kept and thrown once it has returned.
  void refuse(std::string why) {
    if (refusal_.empty()) refusal_ = std::move(why);
    XML_StopParser(parser_.get(), XML_FALSE);
  }

  static void on_start(void* self, const XML_Char* name, const XML_Char** attributes) {
    Builder& b = of(self);
    if (static_cast<int>(b.path_.size()) >= b.limits_.depth) return b.refuse("XML nested too deeply");
    XmlNode node;
    const std::string_view full(name);
    node.name = full.substr(full.find(':') + 1);
    ++b.nodes_;
    for (; *attributes; attributes += 2) {
      node.attributes.emplace_back(attributes[0], attributes[1]);
      ++b.nodes_;
    }
    if (b.nodes_ > b.limits_.nodes) return b.refuse("XML of too many elements");
    // A node's address holds while it is on the path: only the last child of its parent is ever open.
    b.path_.push_back(b.path_.empty() ? &b.root_.emplace(std::move(node))
                                      : &b.path_.back()->children.emplace_back(std::move(node)));
  }
  static void on_end(void* self, const XML_Char*) {
    if (!of(self).path_.empty()) of(self).path_.pop_back();
  }
  static void on_text(void* self, const XML_Char* text, int size) {
    if (!of(self).path_.empty()) of(self).path_.back()->text.append(text, static_cast<size_t>(size));
  }
  static void on_doctype(void* self, const XML_Char*, const XML_Char*, const XML_Char*, int) {
    of(self).refuse("XML with a document type is not accepted");
  }

  struct Free {
    void operator()(XML_Parser p) const { XML_ParserFree(p); }
  };
  const XmlLimits& limits_;
  std::unique_ptr<XML_ParserStruct, Free> parser_;
  std::optional<XmlNode> root_;
  std::vector<XmlNode*> path_;
  size_t nodes_ = 0;
  std::string refusal_;
};

// Without branches, and so is the next, so that the compiler looks at many characters at a time.
bool is_plain(char c) {
  return (static_cast<unsigned char>(c) >= 0x20) & (c != '&') & (c != '<') & (c != '>') & (c != '"');
}

bool all_plain(std::string_view text) {
  bool all = true;
  for (const char c : text) all &= is_plain(c);
  return all;
}

void append_escaped(std::string& out, std::string_view text, bool attribute) {
  if (all_plain(text)) {
    out += text;
    return;
  }
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && is_plain(text[plain])) ++plain;
    out += text.substr(0, plain);
    if (plain == text.size()) return;
    const char c = text[plain];
    text.remove_prefix(plain + 1);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += attribute ? "&quot;" : "\"";
        break;
      // A reader turns a bare carriage return into a line feed.
      case '\r':
        out += "&#13;";
        break;
      case '\n':
        out += attribute ? "&#10;" : "\n";
        break;
      case '\t':
        out += attribute ? "&#9;" : "\t";
        break;
      default:
        out += "\xEF\xBF\xBD";
    }
  }
}

}  // namespace

XmlNode parse_xml(std::string_view text, const XmlLimits& limits) { return Builder(limits).parse(text); }

void XmlWriter::close() {
  if (open_) out_ += '>';
  open_ = false;
}
void XmlWriter::declaration() { out_ += "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"; }
void XmlWriter::begin(std::string_view name) {
  close();
  out_ += '<';
  out_ += name;
  open_ = true;
}
void XmlWriter::attribute(std::string_view name, std::string_view value) {
  out_ += ' ';
  out_ += name;
  out_ += "=\"";
  append_escaped(out_, value, true);
  out_ += '"';
}
void XmlWriter::text(std::string_view text) {
  if (text.empty()) return;
  close();
  append_escaped(out_, text, false);
}
void XmlWriter::end(std::string_view name) {
  if (open_) {
    out_ += "/>";
    open_ = false;
    return;
  }
  out_ += "</";
  out_ += name;
  out_ += '>';
}
void XmlWriter::element(std::string_view name, std::string_view text) {
  if (text.empty() || !all_plain(text)) {
    begin(name);
    this->text(text);
    return end(name);
  }
  // What answers mostly are made of is written in one go.
  close();
  const size_t before = out_.size(), after = before + name.size() * 2 + text.size() + 5;
  if (after > out_.capacity()) out_.reserve(std::max(after, out_.capacity() * 2));
  out_.resize_and_overwrite(after, [&](char* at, size_t) {
    at += before;
    const auto put = [&at](std::string_view piece) { at = std::copy(piece.begin(), piece.end(), at); };
    put("<");
    put(name);
    put(">");
    put(text);
    put("</");
    put(name);
    put(">");
    return after;
  });
}

}  // namespace virga
