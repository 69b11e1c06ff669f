// virga deploy and virga delete: packaging, then CloudFormation through its public API, with progress as it happens.
#include <aws/cloudformation/ops.h>
#include <aws/s3/ops.h>
#include <aws/sts/ops.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <thread>

#include "app/client.h"
#include "app/commands.h"
#include "base/crypto.h"
#include "base/encoding.h"
#include "base/str.h"
#include "base/tar.h"
#include "base/time.h"
#include "base/zip.h"
#include "services/cloudformation/template.h"

namespace virga::app {
namespace fs = std::filesystem;
namespace cfn = cloudformation;
namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(100);
constexpr size_t kInlineTemplate = 51'200;  // larger ones go through S3, as the API demands

void say(const Arguments& arguments, const std::string& line) {
  std::fprintf(arguments.json() ? stderr : stdout, "%s\n", line.c_str());
  std::fflush(stdout);
}

fs::path find_template(const Arguments& arguments, const fs::path& folder) {
  if (arguments.has("--template")) return folder / arguments.get("--template");
  for (const char* name : {"template.yaml", "template.yml", "template.json"}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  throw CommandError(
      cat("no template.yaml, template.yml or template.json in ", folder.string(), "; name one with --template"));
}

Json read_template(const fs::path& file) {
  try {
    return cfn::parse_template(read_file(file.string()));
  } catch (const Error& error) {
    throw CommandError(cat(file.string(), ": ", error.message));
  }
}

// The regular files in and below a folder, in order.
std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

// A folder as an archive whose bytes depend on its content alone; a file that is an archive already, as it is.
std::string pack(const fs::path& path) {
  if (!fs::exists(path)) throw CommandError(cat("the template names ", path.string(), ", which doesn't exist"));
  if (fs::is_regular_file(path) && (path.extension() == ".zip" || path.extension() == ".jar"))
    return read_file(path.string());
  const bool alone = fs::is_regular_file(path);
  const fs::path base = alone ? path.parent_path() : path;
  ZipWriter zip;
  for (const fs::path& file : alone ? std::vector{path} : files_of(path)) {
    const bool executable = (fs::status(file).permissions() & fs::perms::owner_exec) != fs::perms::none;
    zip.add(file.lexically_relative(base).generic_string(), read_file(file.string()), executable ? 0100755 : 0100644);
  }
  return zip.finish();
}

// An image: an archive as it is, or the folder of an OCI layout as one.
std::string pack_image(const fs::path& path) {
  if (fs::is_regular_file(path)) return read_file(path.string());
  if (!fs::exists(path / "index.json")) {
    throw CommandError(cat("the template names the image ", path.string(),
                           ", which is neither an archive (docker save -o) nor the folder of an OCI layout"));
  }
  std::string archive;
  for (const fs::path& file : files_of(path)) {
    const std::string content = read_file(file.string());
    append(archive, tar_header(file.lexically_relative(path).generic_string(), content.size()), content,
           tar_padding(content.size()));
  }
  return archive + tar_end();
}

bool is_local(const Json* value) {
  return value && value->is_string() && !value->as_string().starts_with("s3://") &&
         !value->as_string().starts_with("http");
}

// Uploads what the template names by path, and puts the places it is at into the template.
class Packager {
 public:
  Packager(Client& client, const Arguments& arguments, fs::path folder)
      : client_(client), arguments_(arguments), folder_(std::move(folder)) {
    const auto caller = client.call<sts::op::GetCallerIdentity>({});
    bucket_ = cat("virga-deploy-", caller.account.value_or(""), "-", client.region());
  }

  void package(Json& root) {
    include(root);
    Json* resources = root.find("Resources");
    if (!resources || !resources->is_object()) return;
    const Json* globals = root.find("Globals");
    const Json* global_function = globals ? globals->find("Function") : nullptr;
    const Json* global_code = global_function ? global_function->find("CodeUri") : nullptr;
    for (auto& [name, resource] : resources->as_object()) {
      const std::string type = resource.string_or("Type");
      Json* properties = resource.find("Properties");
      if (!properties) continue;
      // Without a word about its code, a function is what lies beside the template, as for the aws cli's package.
      if (type == "AWS::Serverless::Function" && !properties->find("CodeUri") && !properties->find("InlineCode") &&
          !properties->find("ImageUri") && properties->string_or("PackageType") != "Image") {
        (*properties)["CodeUri"] = global_code ? *global_code : Json(".");
      }
      if (type == "AWS::Serverless::Function") replace_uri(name, *properties, "CodeUri");
      if (type == "AWS::Serverless::Function") replace_image(name, *properties);
      if (type == "AWS::Serverless::LayerVersion") replace_uri(name, *properties, "ContentUri");
      if (type == "AWS::Serverless::StateMachine") replace_text(*properties, "DefinitionUri");
      if (type == "AWS::Lambda::Function") {
        Json* code = properties->find("Code");
        if (code && code->is_object()) replace_image(name, *code);
        replace_object(name, *properties, "Code");
      }
      if (type == "AWS::Lambda::LayerVersion") replace_object(name, *properties, "Content");
    }
  }

  // Where a template too large for the request itself is.
  std::string upload_template(const std::string& text) {
    return cat(client_.endpoint(), "/", bucket_, "/", upload(text, ".template"));
  }

 private:
  // AWS::Include of a file beside the template: its members take the place of the function. What is in S3, or named by
  // an included file, stays for CloudFormation to say what it makes of it.
  void include(Json& value) {
    if (value.is_array()) {
      for (Json& element : value.as_array()) include(element);
    } else if (value.is_object()) {
      for (auto& [key, member] : value.as_object()) include(member);
      const Json* transform = value.find("Fn::Transform");
      const Json* parameters = transform ? transform->find("Parameters") : nullptr;
      const Json* location = parameters ? parameters->find("Location") : nullptr;
      if (is_local(location) && transform->string_or("Name") == "AWS::Include") {
        const Json included = read_template(folder_ / location->as_string());
        value.erase("Fn::Transform");
        for (const auto& [key, member] : included.as_object()) value[key] = member;
      }
    }
  }
  void replace_uri(const std::string& name, Json& properties, std::string_view key) {
    if (!is_local(properties.find(key))) return;
    const std::string object = upload_code(name, properties.find(key)->as_string());
    properties[key] = cat("s3://", bucket_, "/", object);
  }
  void replace_text(Json& properties, std::string_view key) {
    const Json* path = properties.find(key);
    if (!is_local(path)) return;
    properties[key] = cat("s3://", bucket_, "/", upload(read_file((folder_ / path->as_string()).string()), ".txt"));
  }
  void replace_object(const std::string& name, Json& properties, std::string_view key) {
    if (!is_local(properties.find(key))) return;
    const std::string object = upload_code(name, properties.find(key)->as_string());
    properties[key] = Json::object({{"S3Bucket", bucket_}, {"S3Key", object}});
  }
  // A path, not a name in a registry: those stay, for Lambda to say what it makes of them.
  void replace_image(const std::string& name, Json& holder) {
    const Json* uri = holder.find("ImageUri");
    if (!is_local(uri) || !fs::exists(folder_ / uri->as_string())) return;
    const std::string path = uri->as_string();
    const std::string archive = pack_image(folder_ / path);
    holder["ImageUri"] = cat("s3://", bucket_, "/", upload(archive, ".tar"));
    say(arguments_, cat("  packaged  ", name, "  (", path, ", ", (archive.size() + 1023) / 1024, " KB)"));
  }
  std::string upload_code(const std::string& name, const std::string& path) {
    const std::string archive = pack(folder_ / path);
    const std::string object = upload(archive, ".zip");
    say(arguments_, cat("  packaged  ", name, "  (", path, ", ", (archive.size() + 1023) / 1024, " KB)"));
    return object;
  }
  // By content: the same bytes are the same object, so an unchanged function is not updated.
  std::string upload(const std::string& bytes, std::string_view suffix) {
    if (!bucket_made_) {
      s3::CreateBucketRequest create;
      create.bucket = bucket_;
      const auto made = client_.try_call<s3::op::CreateBucket>(create);
      if (!made && made.error().code != "BucketAlreadyOwnedByYou") {
        throw CommandError(cat("no bucket for the application's code: ", made.error().message));
      }
      bucket_made_ = true;
    }
    s3::PutObjectRequest put;
    put.bucket = bucket_;
    put.key = cat(hex_encode(sha256(bytes)), suffix);
    put.body = body_of(bytes);
    client_.call<s3::op::PutObject>(put);
    return put.key;
  }

  Client& client_;
  const Arguments& arguments_;
  fs::path folder_;
  std::string bucket_;
  bool bucket_made_ = false;
};

std::vector<cfn::Parameter> parameters_of(const Arguments& arguments) {
  std::vector<cfn::Parameter> parameters;
  for (const std::string& text : arguments.all("--parameter")) {
    const auto [key, value] = split_once(text, '=');
    if (key.empty() || text.find('=') == text.npos)
      throw UsageError(cat("--parameter takes KEY=VALUE, not '", text, "'"));
    cfn::Parameter parameter;
    parameter.parameter_key = std::string(key);
    parameter.parameter_value = std::string(value);
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

// Prints a stack's events as they come, until the stack is at rest; returns its last status.
class Progress {
 public:
  Progress(Client& client, const Arguments& arguments, std::string stack)
      : client_(client), arguments_(arguments), stack_(std::move(stack)) {
    for (const cfn::StackEvent& event : events()) seen_.insert(event.event_id);
  }
  // `reference`: the stack's id where it is known, since a deleted stack has no name.
  std::string follow(const std::string& reference) {
    stack_ = reference;
    while (true) {
      cfn::DescribeStacksInput input;
      input.stack_name = stack_;
      const auto found = client_.try_call<cfn::op::DescribeStacks>(input);
      show_new();
      if (!found || !found->stacks || found->stacks->empty()) return "DELETE_COMPLETE";
      const cfn::Stack& stack = found->stacks->front();
      const std::string status(to_string(stack.stack_status));
      if (!status.ends_with("_IN_PROGRESS") || status == "REVIEW_IN_PROGRESS") {
        outputs_ = stack.outputs.value_or(std::vector<cfn::Output>());
        reason_ = stack.stack_status_reason.value_or("");
        return status;
      }
      std::this_thread::sleep_for(kBetweenLooks);
    }
  }
  const std::vector<cfn::Output>& outputs() const { return outputs_; }
  const std::string& failure() const { return failure_.empty() ? reason_ : failure_; }

 private:
  std::vector<cfn::StackEvent> events() {
    cfn::DescribeStackEventsInput input;
    input.stack_name = stack_;
    const auto found = client_.try_call<cfn::op::DescribeStackEvents>(input);
    if (!found) return {};
    auto list = found->stack_events.value_or(std::vector<cfn::StackEvent>());
    std::ranges::reverse(list);  // the API gives the newest first
    return list;
  }
  void show_new() {
    for (const cfn::StackEvent& event : events()) {
      if (!seen_.insert(event.event_id).second) continue;
      const std::string status = event.resource_status ? std::string(to_string(*event.resource_status)) : "";
      const std::string reason = event.resource_status_reason.value_or("");
      say(arguments_, cat(column(cat("  ", status), 38), event.logical_resource_id.value_or(""), "  ",
                          event.resource_type.value_or(""), reason.empty() ? "" : "  ", reason));
      // What fails after the resources, as an output does, is only told by the stack that goes back.
      const bool failed = status.ends_with("_FAILED") || status.ends_with("ROLLBACK_IN_PROGRESS");
      if (failed && failure_.empty()) failure_ = cat(event.logical_resource_id.value_or(""), ": ", reason);
    }
  }

  Client& client_;
  const Arguments& arguments_;
  std::string stack_;
  std::set<std::string> seen_;
  std::vector<cfn::Output> outputs_;
  std::string reason_, failure_;
};

void show_outputs(const Arguments& arguments, const std::string& stack, const std::string& status,
                  const std::vector<cfn::Output>& outputs) {
  if (arguments.json()) {
    Json all = Json::object();
    for (const cfn::Output& output : outputs) all[output.output_key.value_or("")] = output.output_value.value_or("");
    print(cat(Json::object({{"stack", stack}, {"status", status}, {"outputs", std::move(all)}}).dump(), "\n"));
    return;
  }
  if (!outputs.empty()) print("\nOutputs:\n");
  for (const cfn::Output& output : outputs) {
    print(cat(column(cat("  ", output.output_key.value_or("")), 20), output.output_value.value_or(""), "\n"));
  }
}

}  // namespace

int run_deploy(const Arguments& arguments) {
  const std::string given = arguments.required(0, "folder");
  if (!fs::is_directory(given)) throw CommandError(cat("'", given, "' is no folder; --template names a file in one"));
  const fs::path folder = fs::canonical(given);
  const fs::path file = find_template(arguments, folder);
  const std::string stack = arguments.get("--stack", folder.filename().string());
  Client client(arguments);
  Json root = read_template(file);
  say(arguments, cat("Deploying ", stack, " from ", file.string()));
  Packager packager(client, arguments, file.parent_path());
  packager.package(root);

  cfn::CreateChangeSetInput create;
  create.stack_name = stack;
  create.change_set_name = cat("virga-", SystemClock().now().millis());
  create.capabilities = std::vector{cfn::Capability::CAPABILITY_IAM, cfn::Capability::CAPABILITY_NAMED_IAM,
                                    cfn::Capability::CAPABILITY_AUTO_EXPAND};
  create.parameters = parameters_of(arguments);
  const std::string text = root.dump();
  if (text.size() <= kInlineTemplate) {
    create.template_body = text;
  } else {
    create.template_url = packager.upload_template(text);
  }
  cfn::DescribeStacksInput describe;
  describe.stack_name = stack;
  const auto former = client.try_call<cfn::op::DescribeStacks>(describe);
  const bool exists = former && former->stacks && !former->stacks->empty() &&
                      former->stacks->front().stack_status != cfn::StackStatus::REVIEW_IN_PROGRESS;
  create.change_set_type = exists ? cfn::ChangeSetType::UPDATE : cfn::ChangeSetType::CREATE;

  Progress progress(client, arguments, stack);
  const auto created = client.call<cfn::op::CreateChangeSet>(create);
  cfn::DescribeChangeSetInput look;
  look.change_set_name = created.id.value_or("");
  while (true) {
    const auto change_set = client.call<cfn::op::DescribeChangeSet>(look);
    if (change_set.status == cfn::ChangeSetStatus::CREATE_COMPLETE) break;
    if (change_set.status == cfn::ChangeSetStatus::FAILED) {
      const std::string reason = change_set.status_reason.value_or("");
      cfn::DeleteChangeSetInput forget;
      forget.change_set_name = created.id.value_or("");
      client.try_call<cfn::op::DeleteChangeSet>(forget);
      if (reason.find("didn't contain changes") == reason.npos && reason.find("No updates") == reason.npos)
        throw CommandError(reason);
      say(arguments, "Nothing has changed.");
      progress.follow(created.stack_id.value_or(stack));
      show_outputs(arguments, stack, "UNCHANGED", progress.outputs());
      return 0;
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
  cfn::ExecuteChangeSetInput execute;
  execute.change_set_name = created.id.value_or("");
  client.call<cfn::op::ExecuteChangeSet>(execute);
  const std::string status = progress.follow(created.stack_id.value_or(stack));
  if (status != "CREATE_COMPLETE" && status != "UPDATE_COMPLETE")
    throw CommandError(cat(stack, " ended as ", status, ": ", progress.failure()));
  show_outputs(arguments, stack, status, progress.outputs());
  return 0;
}

int run_delete(const Arguments& arguments) {
  const std::string stack = arguments.required(0, "stack");
  Client client(arguments);
  cfn::DescribeStacksInput describe;
  describe.stack_name = stack;
  const auto found = client.call<cfn::op::DescribeStacks>(describe);
  const std::string id = found.stacks->front().stack_id.value_or(stack);
  Progress progress(client, arguments, stack);
  cfn::DeleteStackInput input;
  input.stack_name = stack;
  client.call<cfn::op::DeleteStack>(input);
  const std::string status = progress.follow(id);
  if (status != "DELETE_COMPLETE") throw CommandError(cat(stack, " ended as ", status, ": ", progress.failure()));
  say(arguments, cat(stack, " is deleted."));
  if (arguments.json()) print(cat(Json::object({{"stack", stack}, {"status", status}}).dump(), "\n"));
  return 0;
}

}  // namespace virga::app
