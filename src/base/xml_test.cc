#include "base/xml.h"

#include <gtest/gtest.h>

namespace virga {
namespace {

TEST(Xml, ReadsATree) {
  const XmlNode root = parse_xml(
      "<?xml version=\"1.0\"?><s3:Root xmlns:s3=\"u\" xsi:type=\"T\"><A>1 &lt; 2 "
      "&#233;</A><A><![CDATA[<x>]]></A><B/></s3:Root>");
  EXPECT_EQ(root.name, "Root");
  EXPECT_EQ(*root.attribute("xsi:type"), "T");
  EXPECT_EQ(root.attribute("none"), nullptr);
  ASSERT_EQ(root.children.size(), 3u);
  EXPECT_EQ(root.child_text("A"), "1 < 2 é");
  EXPECT_EQ(root.children[1].text, "<x>");
  EXPECT_EQ(root.child_text("B"), "");
  EXPECT_EQ(root.child("C"), nullptr);
}

TEST(Xml, RefusesWhatIsMalformedOrUnsafe) {
  for (const std::string_view text :
       {"", "x", "<a>", "<a></b>", "<a/><b/>", "<a b=1/>", "<a>\xFF</a>", "<a>&unknown;</a>", "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>"}) {
    EXPECT_THROW(parse_xml(text), XmlError) << text;
  }
}

TEST(Xml, KeepsLimits) {
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<a>";
  EXPECT_THROW(parse_xml(deep), XmlError);
  EXPECT_THROW(parse_xml("<a><b/><b/><b/></a>", {.nodes = 3}), XmlError);
  EXPECT_THROW(parse_xml("<a>1234567890</a>", {.bytes = 5}), XmlError);
}

TEST(XmlWriter, Escapes) {
  std::string out;
  XmlWriter w(out);
  w.begin("R");
  w.attribute("xmlns", "a\"b");
  w.element("T", "a<b>&c\r\x01");
  w.element("E", "");
  w.end("R");
  EXPECT_EQ(out, "<R xmlns=\"a&quot;b\"><T>a&lt;b&gt;&amp;c&#13;\xEF\xBF\xBD</T><E/></R>");
  EXPECT_EQ(parse_xml(out).child_text("T"), "a<b>&c\r\xEF\xBF\xBD");
}

}  // namespace
}  // namespace virga
