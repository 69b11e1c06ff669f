#include "services/lambda/image/manifest.h"

#include <gtest/gtest.h>

#include <map>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"

namespace virga::lambda::image {
namespace {

const std::string kHex(64, 'a');

struct Layout {
  std::map<std::string, std::string> files;
  std::string put(const std::string& content) {
    const std::string hex = hex_encode(sha256(content));
    files[cat("blobs/sha256/", hex)] = content;
    return cat("sha256:", hex);
  }
  std::string manifest(const std::string& config, std::string_view layers) {
    return put(cat(R"({"config":{"digest":")", put(config), R"("},"layers":)", layers, "}"));
  }
  void index(const std::string& manifests) { files["index.json"] = cat(R"({"manifests":[)", manifests, "]}"); }
  Manifest read() const {
    return read_manifest([this](const std::string& name) -> std::optional<std::string> {
      const auto found = files.find(name);
      if (found == files.end()) return std::nullopt;
      return found->second;
    });
  }
  std::string why() const {
    try {
      read();
    } catch (const ImageError& e) {
      return e.what();
    }
    return "";
  }
};

std::string described(std::string_view digest, std::string_view platform = "amd64",
                      std::string_view kind = "image.manifest.v1+json") {
  return cat(R"({"mediaType":"application/vnd.oci.)", kind, R"(","digest":")", digest,
             R"(","platform":{"os":"linux","architecture":")", platform, R"("}})");
}

const std::string kConfig =
    cat(R"({"architecture":"amd64","os":"linux","config":{"Entrypoint":["/run"],"Cmd":["a","b"],)",
        R"("Env":["PATH=/bin","EMPTY=","X=1=2"],"WorkingDir":"/w"},"rootfs":{"diff_ids":["sha256:)", kHex, R"("]}})");
const std::string kLayers =
    cat(R"([{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:)", kHex, R"("}])");

TEST(ImageManifest, ReadsWhatAnImageSays) {
  Layout layout;
  layout.index(described(layout.manifest(kConfig, kLayers)));
  const Manifest out = layout.read();
  EXPECT_EQ(out.settings.entry_point, std::vector<std::string>{"/run"});
  EXPECT_EQ(out.settings.command, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(out.settings.working_directory, "/w");
  EXPECT_EQ(out.settings.environment,
            (std::map<std::string, std::string>{{"PATH", "/bin"}, {"EMPTY", ""}, {"X", "1=2"}}));
  ASSERT_EQ(out.layers.size(), 1u);
  EXPECT_EQ(out.layers[0].file, cat("blobs/sha256/", kHex));
  EXPECT_EQ(out.layers[0].content_hex, kHex);
}

TEST(ImageManifest, ChoosesThePlatform) {
  Layout layout;
  const std::string ours = layout.manifest(kConfig, kLayers), others = cat("sha256:", std::string(64, 'b'));
  layout.index(cat(described(others, "arm64"), ",", described(ours), ",", described(others, "unknown")));
  EXPECT_EQ(cat("sha256:", layout.read().digest), ours);
  const std::string inner =
      layout.put(cat(R"({"manifests":[)", described(others, "arm64"), ",", described(ours), "]}"));
  layout.index(cat(described(inner, "amd64", "image.index.v1+json")));
  EXPECT_EQ(cat("sha256:", layout.read().digest), ours);
  layout.index(described(others, "arm64"));
  EXPECT_EQ(layout.why(), "it has no image for linux/amd64");
  layout.index(cat(described(ours), ",", described(others)));
  EXPECT_EQ(layout.why(), "it has several images for linux/amd64; save one");
}

TEST(ImageManifest, RefusesWhatDoesNotFit) {
  Layout layout;
  const std::string manifest = layout.manifest(kConfig, kLayers);
  layout.index(described(manifest));
  layout.files[cat("blobs/sha256/", manifest.substr(7))] += " ";
  EXPECT_EQ(layout.why(), "its manifest does not match its digest");
  layout.files.erase(cat("blobs/sha256/", manifest.substr(7)));
  EXPECT_NE(layout.why().find("is missing"), std::string::npos);
  layout.index(described(layout.manifest(kConfig, "[]")));
  EXPECT_EQ(layout.why(), "its configuration and its manifest tell of different layers");
  layout.index(described(layout.manifest(kConfig, R"([{"mediaType":"x/y","digest":"z"}])")));
  EXPECT_EQ(layout.why(), "the layer media type x/y is not supported");
  layout.index(described(layout.manifest(
      kConfig, R"([{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:../../x"}])")));
  EXPECT_NE(layout.why().find("is no SHA-256"), std::string::npos);
  for (const std::string_view text :
       {"", "[]", "{", R"({"manifests":1})", R"({"manifests":[{}]})", R"({"manifests":[1]})"}) {
    layout.files["index.json"] = text;
    EXPECT_NE(layout.why(), "") << text;
  }
}

TEST(ImageManifest, ReadsWhatDockerSaves) {
  Layout layout;
  layout.files["c.json"] = kConfig;
  layout.files["manifest.json"] = R"([{"Config":"c.json","Layers":["1/layer.tar"]}])";
  const Manifest out = layout.read();
  EXPECT_EQ(out.digest, hex_encode(sha256(kConfig)));
  EXPECT_EQ(out.layers[0].file, "1/layer.tar");
  EXPECT_FALSE(out.layers[0].hex);
  layout.files["manifest.json"] = "[{},{}]";
  EXPECT_NE(layout.why(), "");
}

}  // namespace
}  // namespace virga::lambda::image
