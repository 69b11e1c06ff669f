#include <aws/lambda/errors.h>
#include <aws/s3/ops.h>

#include <set>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "base/zip.h"
#include "kernel/cloud.h"
#include "kernel/tokens.h"
#include "kv/key.h"
#include "kv/record.h"
#include "services/lambda/limits.h"
#include "services/lambda/refusals.h"
#include "services/lambda/service.h"

namespace virga::lambda {
namespace {

constexpr std::string_view kDownload = "lambda:code";
constexpr Micros kSweepEvery = std::chrono::minutes(30);
constexpr auto kDownloadLife = std::chrono::minutes(10);  // as AWS's links

struct DownloadToken {
  blob::Ref ref;
  Time expires;
  template <class A>
  void fields(A& a) {
    a(1, ref), a(2, expires);
  }
};

Error not_unzipped(std::string why = {}) {
  auto error = err::InvalidParameterValueException(
      "Could not unzip uploaded file. Please check your file, then try to upload again.");
  error.internal = std::move(why);
  return error;
}

}  // namespace

void LambdaService::Code::put_into(VersionRecord& record) const {
  record.code = ref;
  record.code_sha256 = sha256;
  record.code_size = size;
  record.unpacked = unpacked;
  record.image = image;
}

// As the caller, who may read no more by Lambda than otherwise.
Task<Body> LambdaService::open_object(Ctx& ctx, ObjectName name) {
  s3::GetObjectRequest request;
  request.bucket = std::move(name.bucket);
  request.key = std::move(name.key);
  request.version_id = std::move(name.version);
  Result<s3::GetObjectOutput> object = co_await as_result(deps_.cloud.call<s3::op::GetObject>(ctx, std::move(request)));
  if (!object) {
    const Error* error = error_of(object);
    if (!error) co_await fail_with(std::move(object.error()));
    co_return err::InvalidParameterValueException(cat(
        "Error occurred while GetObject. S3 Error Code: ", error->shape->code, ". S3 Error Message: ", error->message));
  }
  co_return object->body;
}

Task<LambdaService::Code> LambdaService::take_image(Ctx& ctx, std::string uri) {
  constexpr std::string_view kS3 = "s3://";
  const auto [bucket, key] =
      split_once(std::string_view(uri).substr(uri.starts_with(kS3) ? kS3.size() : uri.size()), '/');
  if (bucket.empty() || key.empty()) {
    co_return err::InvalidParameterValueException(
        cat("Source image ", uri,
            " is not valid. Provide a valid source image. Virga has no registry of images: put an OCI layout or what "
            "docker save writes into a bucket, as a tar archive, and name it s3://bucket/key."));
  }
  const Body object = co_await open_object(ctx, {std::string(bucket), std::string(key), {}});
  const auto copy = deps_.blobs.create();
  Result<image::Manifest> manifest = co_await as_result(code_.unpack_image(object, copy.get()));
  if (!manifest) {
    try {
      if (const auto* exception = std::get_if<std::exception_ptr>(&manifest.error()))
        std::rethrow_exception(*exception);
    } catch (const image::ImageError& error) {
      throw err::InvalidParameterValueException(
          cat("Source image ", uri, " is not valid. Provide a valid source image. (", error.what(), ")"));
    }
    co_await fail_with(std::move(manifest.error()));
  }
  Code code;
  code.sha256 = manifest->digest;
  code.ref = co_await copy->finish();
  code.size = code.ref.size;
  code.image = ImageRecord{std::move(uri), std::move(manifest->settings)};
  co_return code;
}

Task<LambdaService::Code> LambdaService::take_code(Ctx& ctx, std::optional<Bytes> zip,
                                                   std::optional<ObjectName> named) {
  auto archive = std::make_shared<std::string>();
  if (zip) {
    if (zip->empty()) co_return not_unzipped();
    if (zip->size() > kMaxZipBytes)
      co_return entity_too_large(cat("Zipped size must be smaller than ", kMaxZipBytes, " bytes"));
    *archive = std::move(*zip);
  } else if (named) {
    const Body object = co_await open_object(ctx, std::move(*named));
    *archive =
        co_await read_all(*object, kMaxUnzippedBytes,
                          err::InvalidParameterValueException("Unzipped size must be smaller than 262144000 bytes"));
  } else {
    co_return err::InvalidParameterValueException("Please provide a source for function code.");
  }

  Code code;
  code.sha256 = hex_encode(sha256(*archive));
  code.size = archive->size();
  co_await check_storage(ctx, code.size);
  Result<std::string> unpacked = co_await as_result(code_.unpack(code.sha256, archive));
  if (!unpacked) {
    try {
      if (const auto* exception = std::get_if<std::exception_ptr>(&unpacked.error()))
        std::rethrow_exception(*exception);
    } catch (const ZipError& error) {
      throw not_unzipped(error.what());
    } catch (...) {
      throw;
    }
    co_await fail_with(std::move(unpacked.error()));
  }
  code.unpacked = ZipReader(*archive, kMaxUnzippedBytes).total_size();
  const auto writer = deps_.blobs.create();
  co_await writer->write(*archive);
  code.ref = co_await writer->finish();
  co_return code;
}

// Archives of functions' versions and of layers; images are not counted.
Task<uint64_t> LambdaService::stored_code(const Store& store) {
  uint64_t bytes = 0;
  for (const FunctionRecord& function : co_await store.list_functions("", SIZE_MAX)) {
    for (const VersionRecord& version : co_await store.list_versions(function.name, 0, SIZE_MAX))
      bytes += version.image ? 0 : version.code_size;
  }
  for (const LayerRecord& layer : co_await store.list_layers("", SIZE_MAX)) {
    for (const LayerVersionRecord& version : co_await store.list_layer_versions(layer.name)) bytes += version.size;
  }
  co_return bytes;
}

// What is stored is counted anew only when what was counted last, and has come since, leaves no room: what went since
// then is not known.
Task<void> LambdaService::check_storage(const Ctx& ctx, uint64_t more) {
  const std::string place = cat(ctx.account, ":", ctx.region);
  {
    std::lock_guard lock(stored_mutex_);
    const auto known = stored_.find(place);
    if (known != stored_.end() && known->second + more <= code_storage_) {
      known->second += more;
      co_return;
    }
  }
  const auto snapshot = deps_.db.snapshot();
  const uint64_t bytes = co_await stored_code(Store(*snapshot, {ctx.account, ctx.region}));
  if (bytes + more > code_storage_) co_await fail(err::CodeStorageExceededException("Code storage limit exceeded."));
  std::lock_guard lock(stored_mutex_);
  stored_[place] = bytes + more;
}

// Drops unpacked code that no version names any more. An invocation runs for 15 minutes at the most, and its instance
// is started within the grace.
Task<void> LambdaService::sweep_code() {
  std::set<std::string> used;
  {
    const auto snapshot = deps_.db.snapshot();
    kv::Range versions = kv::prefix_range(kv::KeyWriter("lambda").raw("v").take());
    while (true) {
      const auto page = co_await snapshot->scan(versions, {.limit = 500});
      for (const kv::Entry& entry : page) {
        const auto record = kv::decode<VersionRecord>(entry.value);
        used.insert(record.code_sha256);
        for (const LayerUse& layer : record.layers) used.insert(layer.sha256);
      }
      if (page.size() < 500) break;
      versions.begin = page.back().key + std::string(1, '\0');
    }
  }
  co_await code_.keep_only(std::move(used), kInstanceLife + std::chrono::minutes(20));
}

void LambdaService::schedule_sweep() {
  Executor* const executor = Executor::current();
  if (!executor) return;
  executor->post_after(kSweepEvery, [this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    start_background("lambda code sweep", sweep_code());
    schedule_sweep();
  });
}

Task<void> LambdaService::keep(kv::Txn& tx, const VersionRecord& version) {
  co_await deps_.blobs.keep(tx, version.code);
  for (const LayerUse& layer : version.layers) co_await deps_.blobs.keep(tx, layer.code);
}

Task<void> LambdaService::drop(kv::Txn& tx, const VersionRecord& version) {
  co_await deps_.blobs.drop(tx, version.code);
  for (const LayerUse& layer : version.layers) co_await deps_.blobs.drop(tx, layer.code);
}

std::string LambdaService::download_url(const Ctx& ctx, const blob::Ref& ref) const {
  const std::string token = deps_.tokens.seal(kDownload, kv::encode(DownloadToken{ref, ctx.now() + kDownloadLife}));
  return cat(ctx.base_url, "/_aws/lambda-code/", percent_encode(token));
}

Task<wire::HttpResponse> LambdaService::download(Ctx& ctx, kernel::EndpointRequest& request) {
  wire::HttpResponse response;
  const auto opened = deps_.tokens.open(kDownload, percent_decode(request.id).value_or(""));
  const DownloadToken token = opened ? kv::decode<DownloadToken>(*opened) : DownloadToken{};
  if (!opened || token.expires < ctx.now()) {
    response.status = 403;
    response.body = "This link to a function's code is not valid or has expired; GetFunction gives a new one.\n";
    co_return response;
  }
  response.headers.set("content-type", "application/zip");
  response.stream = deps_.blobs.read(token.ref);
  co_return response;
}

Task<std::vector<LayerUse>> LambdaService::find_layers(Ctx& ctx, const std::vector<std::string>& arns) {
  if (arns.size() > kMaxLayers) {
    co_return err::InvalidParameterValueException(cat("Cannot reference more than ", kMaxLayers, " layers."));
  }
  const auto snapshot = deps_.db.snapshot();
  std::vector<LayerUse> uses;
  for (const std::string& arn : arns) {
    const auto id = parse_layer_arn(arn);
    std::optional<LayerVersionRecord> record;
    if (id && id->region != ctx.region) {
      co_return err::InvalidParameterValueException(cat(
          "Layers are not in the same region as the function. Layers are expected to be in region ", ctx.region, "."));
    }
    // Its code becomes the caller's to read, in a function: so the caller must be one who may read it.
    if (id) {
      auto policy = co_await resource_policy(ctx, arn);
      auto why =
          co_await deps_.cloud.authorizer().why_denied(ctx, {"lambda:GetLayerVersion", arn, {}}, std::move(policy));
      if (why) co_await fail(err::AccessDeniedException(std::move(*why)));
    }
    if (id) record = co_await Store(*snapshot, {id->account, id->region}).find_layer_version(id->name, id->version);
    if (!record) co_return err::InvalidParameterValueException(cat("Layer version ", arn, " does not exist."));
    for (const LayerUse& other : uses) {
      if (other.arn.substr(0, other.arn.rfind(':')) == arn.substr(0, arn.rfind(':'))) {
        co_return err::InvalidParameterValueException(
            cat("Two different versions of the same layer are not allowed to be referenced in the same function. ",
                other.arn, " and ", arn, " are versions of the same layer."));
      }
    }
    uses.push_back({arn, record->size, record->sha256, record->code, record->unpacked});
  }
  co_return uses;
}

// The caller may hand the role to Lambda, and the role lets Lambda assume it.
Task<void> LambdaService::check_role(Ctx& ctx, const FunctionId& id, const std::string& role) {
  co_await deps_.cloud.authorizer().authorize_pass(ctx, model(), role);
  co_await invoker_.check_role(id, role);
}

}  // namespace virga::lambda
