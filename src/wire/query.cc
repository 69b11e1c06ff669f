// AWS Query and EC2 Query: a form in, XML out.
#include <algorithm>

#include "base/encoding.h"
#include "base/str.h"
#include "wire/codec.h"
#include "wire/errors.h"
#include "wire/scalar.h"
#include "wire/xml_shape.h"

namespace virga::wire {

namespace {

constexpr size_t kMostParameters = 10'000;
constexpr size_t kMostDepth = 32;

// The form's names, split at their dots: Tags.member.1.Key=a is Tags → member → 1 → Key.
struct Node {
  std::string_view name;
  const std::string* value = nullptr;
  std::vector<Node> children;

  const Node* child(std::string_view wanted) const {
    for (const Node& node : children) {
      if (node.name == wanted) return &node;
    }
    return nullptr;
  }
  Node& child_or_new(std::string_view wanted) {
    // Parameters come grouped: the one wanted is nearly always the last.
    for (auto node = children.rbegin(); node != children.rend(); ++node) {
      if (node->name == wanted) return *node;
    }
    children.push_back({wanted, nullptr, {}});
    return children.back();
  }
  // The children named by numbers, in the order of the numbers.
  std::vector<const Node*> numbered() const {
    std::vector<std::pair<int64_t, const Node*>> found;
    for (const Node& node : children) {
      if (const std::optional<int64_t> index = parse_int(node.name)) found.emplace_back(*index, &node);
    }
    std::sort(found.begin(), found.end());  // equal numbers: as they came, which is as they lie
    std::vector<const Node*> out;
    for (const auto& [index, node] : found) out.push_back(node);
    return out;
  }
};

void insert(Node& root, std::string_view name, const std::string& value) {
  Node* node = &root;
  for (size_t depth = 0;; ++depth) {
    if (depth > kMostDepth) throw BadInput{"a parameter's name has too many parts"};
    const size_t dot = name.find('.');
    node = &node->child_or_new(name.substr(0, dot));
    if (dot == std::string_view::npos) break;
    name.remove_prefix(dot + 1);
  }
  node->value = &value;
}

class FormReader {
 public:
  FormReader(Protocol protocol, Findings& findings) : ec2_(protocol == Protocol::kEc2Query), findings_(findings) {}

  void structure(const Node& node, const StructInfo& info, void* structure, const Path& at) {
    Seen seen;
    for (size_t i = 0; i < info.members.size(); ++i) {
      const Member& member = info.members[i];
      const Node* child = find(node, member);
      if (!child) continue;
      // A map without entries is one that was not given: a form has no way to say otherwise.
      if (member.shape->kind == Kind::kMap && map_entries(*child, *member.shape->map, member.flattened).empty())
        continue;
      seen.mark(i);
      value(*child, *member.shape, member.flattened, member.access->emplace(field_of(structure, member)),
            at.member(member.name));
    }
    seen.report_missing(info, at, findings_);
  }

 private:
  const Node* find(const Node& node, const Member& member) const {
    if (!member.query_name.empty()) {
      if (const Node* child = node.child(member.query_name)) return child;
    }
    if (const Node* child = node.child(member.wire_name)) return child;
    if (ec2_ && !member.wire_name.empty()) {
      std::string capital(member.wire_name);
      capital[0] = static_cast<char>(capital[0] >= 'a' && capital[0] <= 'z' ? capital[0] - 32 : capital[0]);
      if (const Node* child = node.child(capital)) return child;
    }
    // A flattened list goes by its elements' name.
    if (member.shape->kind == Kind::kList && (member.flattened || member.shape->list->flattened)) {
      return node.child(member.shape->list->xml_element);
    }
    return nullptr;
  }

  void value(const Node& node, const Shape& shape, bool flattened, void* value, const Path& at) {
    switch (shape.kind) {
      case Kind::kStructure:
      case Kind::kUnion:
        return structure(node, *shape.structure, value, at);
      case Kind::kList:
        return list(node, *shape.list, flattened, value, at);
      case Kind::kMap:
        return map(node, *shape.map, flattened, value, at);
      default: {
        static const std::string kNothing;
        read_scalar(shape, node.value ? *node.value : kNothing, value, at, findings_);
      }
    }
  }

  void list(const Node& node, const ListInfo& info, bool flattened, void* list, const Path& at) {
    const Node* holder = &node;
    if (!flattened && !info.flattened && !ec2_) {
      // `Name=` alone is an empty list.
      holder = node.child(info.xml_element);
      if (!holder) holder = node.child("member");
      if (!holder) holder = &node;
    }
    size_t index = 0;
    for (const Node* element : holder->numbered()) {
      value(*element, *info.element, false, info.append(list), at.element(index++));
    }
  }

  static std::vector<const Node*> map_entries(const Node& node, const MapInfo& info, bool flattened) {
    const Node* holder = flattened || info.flattened ? nullptr : node.child("entry");
    return (holder ? holder : &node)->numbered();
  }

  void map(const Node& node, const MapInfo& info, bool flattened, void* map, const Path& at) {
    for (const Node* entry : map_entries(node, info, flattened)) {
      const Node* key = entry->child(info.xml_key);
      const Node* value_node = entry->child(info.xml_value);
      if (!key || !key->value) throw BadInput{cat("an entry of ", at.text(), " has no ", info.xml_key)};
      if (!value_node) throw BadInput{cat("an entry of ", at.text(), " has no ", info.xml_value)};
      value(*value_node, *info.value, false, info.emplace(map, *key->value), at.key(*key->value));
    }
  }

  bool ec2_;
  Findings& findings_;
};

// Writes a structure as the parameters of a form: the client's half.
class FormWriter {
 public:
  explicit FormWriter(std::string& out, bool ec2) : out_(out), ec2_(ec2) {}

  void parameter(std::string_view name, std::string_view value) {
    append(out_, out_.empty() ? "" : "&", percent_encode(name), '=', percent_encode(value));
  }

  void structure(const StructInfo& info, const void* structure, const std::string& prefix) {
    for (const Member& member : info.members) {
      const void* field = field_of(structure, member);
      if (!member.access->has(field)) continue;
      const std::string_view name = ec2_ && !member.query_name.empty() ? member.query_name : member.wire_name;
      value(*member.shape, member.access->get(field), member.flattened,
            prefix.empty() ? std::string(name) : cat(prefix, '.', name), format_of(member, TimestampFormat::kIso8601));
    }
  }

 private:
  void value(const Shape& shape, const void* value, bool flattened, const std::string& name, TimestampFormat format) {
    switch (shape.kind) {
      case Kind::kStructure:
      case Kind::kUnion:
        structure(*shape.structure, value, name);
        return;
      case Kind::kList: {
        const ListInfo& info = *shape.list;
        const bool flat = flattened || info.flattened || ec2_;
        const size_t size = info.size(value);
        if (size == 0 && !ec2_) parameter(name, "");
        for (size_t i = 0; i < size; ++i) {
          this->value(*info.element, info.at(value, i), false,
                      flat ? cat(name, '.', i + 1) : cat(name, '.', info.xml_element, '.', i + 1),
                      TimestampFormat::kIso8601);
        }
        return;
      }
      case Kind::kMap: {
        Entries entries{*this, *shape.map, flattened || shape.map->flattened ? name : cat(name, ".entry")};
        shape.map->each(value, &entries, &Entries::write);
        return;
      }
      default:
        parameter(name, scalar_text(shape, value, format));
        return;
    }
  }

  struct Entries {
    FormWriter& self;
    const MapInfo& info;
    std::string prefix;
    size_t index = 0;
    static void write(void* context, const std::string& key, const void* value) {
      auto& e = *static_cast<Entries*>(context);
      const std::string here = cat(e.prefix, '.', ++e.index, '.');
      e.self.parameter(cat(here, e.info.xml_key), key);
      e.self.value(*e.info.value, value, false, cat(here, e.info.xml_value), TimestampFormat::kIso8601);
    }
  };

  std::string& out_;
  bool ec2_;
};

}  // namespace

void read_query_input(Protocol protocol, const OperationModel& op, const HttpRequest& request, std::string_view body,
                      void* input, Findings& findings) {
  // Old clients send everything in the query string of a GET.
  auto parameters = parse_query(body.empty() ? std::string_view(request.query) : body);
  if (!parameters) throw BadInput{"The request's parameters are not properly encoded"};
  if (parameters->size() > kMostParameters) throw BadInput{"The request has too many parameters"};
  Node root;
  for (const auto& [name, value] : *parameters) insert(root, name, value);
  // A queue's URL is where its requests go; the form need not repeat it.
  if (op.service->id == "sqs" && request.path.size() > 1 && !root.child("QueueUrl")) {
    insert(root, "QueueUrl", request.path);
  }
  FormReader(protocol, findings).structure(root, *op.input->structure, input, Path());
}

HttpResponse write_query_output(Protocol protocol, const OperationModel& op, const void* output,
                                std::string_view request_id) {
  const bool ec2 = protocol == Protocol::kEc2Query;
  HttpResponse response;
  response.status = op.status;
  response.headers.add("Content-Type", ec2 ? "text/xml;charset=UTF-8" : "text/xml");
  response.body.reserve(512);
  XmlWriter out(response.body);
  const std::string root = cat(op.name, "Response");
  if (ec2) out.declaration();
  out.begin(root);
  out.attribute("xmlns", xml_namespace_of(*op.service));
  if (ec2) {
    out.element("requestId", request_id);
    if (op.output && output) write_xml_members(out, *op.output->structure, output, false, {.ec2 = true, .query = true});
  } else {
    // The model names the element around the members; operations without output have none.
    if (op.output && output) {
      const std::string wrapper = op.output_wrapper.empty() ? cat(op.name, "Result") : std::string(op.output_wrapper);
      out.begin(wrapper);
      write_xml_members(out, *op.output->structure, output, false, {.query = true});
      out.end(wrapper);
    }
    out.begin("ResponseMetadata");
    out.element("RequestId", request_id);
    out.end("ResponseMetadata");
  }
  out.end(root);
  return response;
}

HttpRequest write_query_request(Protocol protocol, const OperationModel& op, const void* input) {
  HttpRequest request;
  request.method = "POST";
  request.target = request.path = "/";
  request.headers.add("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
  std::string body;
  FormWriter out(body, protocol == Protocol::kEc2Query);
  out.parameter("Action", op.name);
  out.parameter("Version", op.service->api_version);
  if (op.input && input) out.structure(*op.input->structure, input, {});
  request.content_length = body.size();
  request.body = body_of(std::move(body));
  return request;
}

void read_query_output(Protocol protocol, const OperationModel& op, std::string_view body, void* output) {
  if (!op.output || !output || body.empty()) return;
  const XmlNode root = parse_xml(body);
  const XmlNode* holder = &root;
  if (protocol == Protocol::kQuery) {
    const std::string wrapper = op.output_wrapper.empty() ? cat(op.name, "Result") : std::string(op.output_wrapper);
    if (const XmlNode* found = root.child(wrapper)) holder = found;
  }
  Findings ignored;
  read_xml_structure(*holder, *op.output->structure, output, false, Path(), ignored);
}

}  // namespace virga::wire
