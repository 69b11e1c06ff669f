#include "services/lambda/image/manifest.h"

#include <algorithm>
#include <set>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"

namespace virga::lambda::image {
namespace {

constexpr int kMostIndexes = 4;  // inside one another
constexpr size_t kMostLayers = 127;
constexpr std::string_view kSha256 = "sha256:";

const Json& member(const Json& object, std::string_view key, std::string_view of) {
  const Json* found = object.find(key);
  if (!found) throw ImageError(cat("its ", of, " has no ", key));
  return *found;
}

std::string text(const Json& object, std::string_view key, std::string_view of) {
  const Json& found = member(object, key, of);
  if (!found.is_string()) throw ImageError(cat("the ", key, " of its ", of, " is no text"));
  return found.as_string();
}

const Json::Array& list(const Json& object, std::string_view key, std::string_view of) {
  const Json& found = member(object, key, of);
  if (!found.is_array()) throw ImageError(cat("the ", key, " of its ", of, " is no list"));
  return found.as_array();
}

std::vector<std::string> texts(const Json* found) {
  std::vector<std::string> out;
  if (!found || !found->is_array()) return out;
  for (const Json& each : found->as_array()) {
    if (each.is_string()) out.push_back(each.as_string());
  }
  return out;
}

std::string hex_of(std::string_view digest) {
  const bool right = digest.starts_with(kSha256) && digest.size() == kSha256.size() + 64 &&
                     digest.find_first_not_of("0123456789abcdef", kSha256.size()) == digest.npos;
  if (!right) throw ImageError(cat("the digest '", digest.substr(0, 100), "' is no SHA-256"));
  return std::string(digest.substr(kSha256.size()));
}

std::string blob(std::string_view hex) { return cat("blobs/sha256/", hex); }

Json parse(const std::string& document, std::string_view what) {
  try {
    return Json::parse(document);
  } catch (const JsonError& e) {
    throw ImageError(cat("its ", what, " is no JSON: ", e.what()));
  }
}

// A document by its digest, which it must have.
Json document(const Files& file, const std::string& hex, std::string_view what) {
  const auto found = file(blob(hex));
  if (!found) throw ImageError(cat("its ", what, " (", blob(hex), ") is missing"));
  if (hex_encode(sha256(*found)) != hex) throw ImageError(cat("its ", what, " does not match its digest"));
  return parse(*found, what);
}

bool is_index(std::string_view media_type) {
  return media_type == "application/vnd.oci.image.index.v1+json" ||
         media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}
bool is_manifest(std::string_view media_type) {
  return media_type == "application/vnd.oci.image.manifest.v1+json" ||
         media_type == "application/vnd.docker.distribution.manifest.v2+json";
}
bool is_layer(std::string_view media_type) {
  return media_type == "application/vnd.oci.image.layer.v1.tar" ||
         media_type == "application/vnd.oci.image.layer.v1.tar+gzip" ||
         media_type == "application/vnd.oci.image.layer.v1.tar+zstd" ||
         media_type == "application/vnd.docker.image.rootfs.diff.tar" ||
         media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip";
}

// Whether an index's entry may run here: one that names no platform may.
bool runs_here(const Json& descriptor) {
  const Json* platform = descriptor.find("platform");
  return !platform || (platform->string_or("os") == "linux" && platform->string_or("architecture") == "amd64");
}

// The digest of the one manifest for this machine that an index leads to.
std::string choose(const Files& file, const Json& index, int depth = 0) {
  if (depth > kMostIndexes) throw ImageError("its indexes go too deep");
  std::set<std::string> found;
  for (const Json& descriptor : list(index, "manifests", "index")) {
    const std::string media_type = descriptor.string_or("mediaType");
    if (!runs_here(descriptor)) continue;
    const std::string hex = hex_of(text(descriptor, "digest", "index"));
    if (is_index(media_type)) {
      found.insert(choose(file, document(file, hex, "index"), depth + 1));
    } else if (is_manifest(media_type)) {
      found.insert(hex);
    }
  }
  if (found.empty()) throw ImageError("it has no image for linux/amd64");
  if (found.size() > 1) throw ImageError("it has several images for linux/amd64; save one");
  return *found.begin();
}

Settings settings_of(const Json& configuration) {
  if (configuration.string_or("os", "linux") != "linux" || configuration.string_or("architecture", "amd64") != "amd64")
    throw ImageError(cat("it is for ", configuration.string_or("os"), "/", configuration.string_or("architecture"),
                         ", not for linux/amd64"));
  Settings out;
  const Json* run = configuration.find("config");
  if (!run || !run->is_object()) return out;
  out.entry_point = texts(run->find("Entrypoint"));
  out.command = texts(run->find("Cmd"));
  out.working_directory = run->string_or("WorkingDir");
  for (const std::string& entry : texts(run->find("Env"))) {
    const auto [name, value] = split_once(entry, '=');
    if (!name.empty()) out.environment[std::string(name)] = value;
  }
  return out;
}

std::vector<std::string> contents_of(const Json& configuration, size_t layers) {
  std::vector<std::string> out;
  for (const std::string& id : texts(member(configuration, "rootfs", "configuration").find("diff_ids")))
    out.push_back(hex_of(id));
  if (out.size() != layers) throw ImageError("its configuration and its manifest tell of different layers");
  if (layers > kMostLayers) throw ImageError(cat("it has more than ", kMostLayers, " layers"));
  return out;
}

Manifest read_layout(const Files& file, const std::string& index) {
  Manifest out;
  out.digest = choose(file, parse(index, "index"));
  const Json manifest = document(file, out.digest, "manifest");
  const Json configuration =
      document(file, hex_of(text(member(manifest, "config", "manifest"), "digest", "manifest")), "configuration");
  out.settings = settings_of(configuration);
  const Json::Array& layers = list(manifest, "layers", "manifest");
  const auto contents = contents_of(configuration, layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string media_type = text(layers[i], "mediaType", "manifest");
    if (!is_layer(media_type)) throw ImageError(cat("the layer media type ", media_type, " is not supported"));
    const std::string hex = hex_of(text(layers[i], "digest", "manifest"));
    out.layers.push_back({blob(hex), hex, contents[i]});
  }
  return out;
}

Manifest read_saved(const Files& file, const std::string& saved) {
  const Json images = parse(saved, "manifest.json");
  if (!images.is_array() || images.as_array().size() != 1) throw ImageError("it has no image or several; save one");
  const Json& image = images.as_array()[0];
  const auto configuration = file(text(image, "Config", "manifest.json"));
  if (!configuration) throw ImageError("its configuration is missing");
  Manifest out;
  out.digest = hex_encode(sha256(*configuration));
  const Json parsed = parse(*configuration, "configuration");
  out.settings = settings_of(parsed);
  const std::vector<std::string> layers = texts(&member(image, "Layers", "manifest.json"));
  const auto contents = contents_of(parsed, layers.size());
  for (size_t i = 0; i < layers.size(); ++i) out.layers.push_back({layers[i], std::nullopt, contents[i]});
  return out;
}

}  // namespace

Manifest read_manifest(const Files& file) {
  if (const auto index = file("index.json")) return read_layout(file, *index);
  if (const auto saved = file("manifest.json")) return read_saved(file, *saved);
  throw ImageError("it is neither an OCI layout (no index.json) nor what docker save writes (no manifest.json)");
}

}  // namespace virga::lambda::image
