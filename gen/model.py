"""Reads models/<service>/, keeps what serves.txt reaches, and settles every C++ decision; the emitters only print.

load() answers a Service. Its shapes are in dependency order, its structures before those that hold them.
"""

import dataclasses
import json
import os

import naming

KINDS = {
    "boolean": "kBoolean", "byte": "kInteger", "short": "kInteger", "integer": "kInteger", "long": "kLong",
    "float": "kFloat", "double": "kDouble", "string": "kString", "character": "kString", "blob": "kBlob",
    "timestamp": "kTimestamp", "structure": "kStructure", "list": "kList", "map": "kMap",
}
SCALARS = {
    "kBoolean": "bool", "kInteger": "int32_t", "kLong": "int64_t", "kFloat": "float", "kDouble": "double",
    "kString": "std::string", "kBlob": "virga::Bytes", "kTimestamp": "virga::Time", "kDocument": "virga::Json",
    "kStreamingBlob": "virga::Body",
}
NUMBERS = ("kInteger", "kLong", "kFloat", "kDouble")
STRUCTURES = ("kStructure", "kUnion")
LOCATIONS = {"header": "kHeader", "headers": "kPrefixHeaders", "uri": "kUri", "querystring": "kQuery",
             "statusCode": "kStatusCode"}
TIMESTAMPS = {"unixTimestamp": "kEpochSeconds", "iso8601": "kIso8601", "rfc822": "kHttpDate"}
PROTOCOLS = {"query": "kQuery", "ec2": "kEc2Query", "rest-json": "kRestJson", "rest-xml": "kRestXml",
             "smithy-rpc-v2-cbor": "kCbor"}


class ModelError(Exception):
    """Something in models/<service>/ that can't be generated; says what and where."""


@dataclasses.dataclass
class Member:
    name: str
    wire_name: str
    cpp_name: str
    shape: "Shape"
    location: str = "kBody"
    required: bool = False
    boxed: bool = False
    xml_attribute: bool = False
    flattened: bool = False
    timestamp: str = ""
    query_name: str = ""

    @property
    def cpp_type(self):
        if self.boxed:
            return f"virga::Box<{self.shape.cpp_type}>"
        if self.required or self.shape.kind in ("kStreamingBlob", "kEventStream"):
            return self.shape.cpp_type
        return f"std::optional<{self.shape.cpp_type}>"


@dataclasses.dataclass
class Shape:
    name: str              # the model's
    table: str             # of the wire::Shape object
    kind: str
    raw: dict
    own_type: str = ""     # the C++ type, of all but lists, maps and event streams, which spell it from their element
    sensitive: bool = False
    timestamp: str = ""
    media_type: str = ""
    members: list = dataclasses.field(default_factory=list)
    payload: int = -1      # index in members
    key: "Shape" = None
    value: "Shape" = None  # of a map; the element of a list; the union of an event stream
    values: list = dataclasses.field(default_factory=list)       # of an enum: (wire value, enumerator)
    custom_info: str = ""

    @property
    def cpp_type(self):
        if self.kind == "kList":
            return f"std::{'deque' if self.value.kind == 'kBoolean' else 'vector'}<{self.value.cpp_type}>"
        if self.kind == "kMap":
            return f"std::map<std::string, {self.value.cpp_type}>"
        if self.kind == "kEventStream":
            return f"std::shared_ptr<virga::Source<{self.value.cpp_type}>>"
        return self.own_type

    def constraints(self):
        """The pieces of a wire::Constraints, empty when there are none. A custom type checks its own."""
        if self.kind in STRUCTURES + ("kCustom", "kDocument"):
            return []
        numeric = self.kind in NUMBERS
        pieces = []
        for bound in ("min", "max"):
            if bound in self.raw and abs(self.raw[bound]) < 2**63:
                pieces.append((bound, int(self.raw[bound])))
        has = [bound for bound, _ in pieces]
        if numeric and has:
            pieces.append(("has_range", True))
        pieces += [("has_" + bound, True) for bound in has]
        if "pattern" in self.raw and self.kind in ("kString", "kEnum"):
            pieces.append(("pattern", self.raw["pattern"]))
        return pieces


@dataclasses.dataclass
class ErrorShape:
    name: str
    cpp_name: str
    code: str
    status: int
    sender: bool
    query_code: str
    message_name: str = ""  # where it is not "message"


@dataclasses.dataclass
class Operation:
    name: str
    cpp_name: str
    method: str
    uri: str
    status: int
    served: bool
    raw: dict
    input: Shape = None
    output: Shape = None
    input_type: str = ""
    output_type: str = ""
    errors: list = dataclasses.field(default_factory=list)
    output_wrapper: str = ""


@dataclasses.dataclass
class Service:
    folder: str
    namespace: str
    metadata: dict
    protocols: list
    operations: list
    shapes: list
    errors: list
    empty_types: list      # of served operations without input or output
    headers: list          # of custom shapes

    def types(self):
        return [shape for shape in self.shapes if shape.kind in STRUCTURES]

    def enums(self):
        return [shape for shape in self.shapes if shape.kind == "kEnum"]


def load(folder):
    raw, overrides = read(folder)
    name = os.path.basename(os.path.normpath(folder))
    return _Reader(name, raw, read_serves(os.path.join(folder, "serves.txt")), overrides).service()


def read(folder):
    """The model as overrides.json amends it, and the overrides."""
    with open(os.path.join(folder, "model.json"), encoding="utf-8") as file:
        raw = json.load(file)
    overrides = {}
    path = os.path.join(folder, "overrides.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            overrides = json.load(file)
    unknown = set(overrides) - {"custom", "open_enums", "order", "metadata", "operations", "shapes"}
    if unknown:
        raise ModelError(f"{path}: unknown keys {sorted(unknown)}")
    for section in ("metadata", "operations", "shapes"):
        merge(raw[section], overrides.get(section, {}))
    for shape, first in overrides.get("order", {}).items():
        members = raw["shapes"][shape]["members"]
        raw["shapes"][shape]["members"] = {name: members[name] for name in dict.fromkeys([*first, *members])}
    return raw, overrides


def read_serves(path):
    """The operations served, one a line; # starts a comment."""
    with open(path, encoding="utf-8") as file:
        lines = [line.split("#")[0].strip() for line in file]
    return [line for line in lines if line]


def merge(target, patch):
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value


class _Reader:
    def __init__(self, folder, raw, serves, overrides):
        self.folder = folder
        self.raw = raw
        self.serves = set(serves)
        self.custom = overrides.get("custom", {})
        self.open_enums = set(overrides.get("open_enums", []))
        self.namespace = naming.namespace(folder)
        self.shapes = {}     # (name, variant) -> Shape
        self.tables = set()  # names taken in namespace shapes
        self.type_names = set()
        unknown = [name for name in serves if name not in raw["operations"]]
        if unknown:
            raise ModelError(f"models/{folder}/serves.txt names operations the model does not have: {', '.join(unknown)}")
        unknown = [name for name in list(self.custom) + sorted(self.open_enums) if name not in raw["shapes"]]
        if unknown:
            raise ModelError(f"models/{folder}/overrides.json names shapes the model does not have: {', '.join(unknown)}")

    def service(self):
        metadata = self.raw["metadata"]
        errors = self.errors()
        by_name = {error.name: error for error in errors}
        empty_types = []
        operations = [self.operation(name, raw, by_name) for name, raw in sorted(self.raw["operations"].items())]
        for operation in operations:
            if operation.served:
                operation.input_type = self.type_of(operation.input, operation.cpp_name + "Input", empty_types)
                operation.output_type = self.type_of(operation.output, operation.cpp_name + "Output", empty_types)
        self.check_finite()
        self.box_cycles()
        return Service(folder=self.folder, namespace=self.namespace, metadata=metadata, protocols=protocols(metadata),
                       operations=operations, shapes=self.ordered(), errors=errors, empty_types=empty_types,
                       headers=sorted({self.custom[shape.name]["header"] for shape in self.shapes.values()
                                       if shape.kind == "kCustom"}))

    def type_of(self, shape, empty_name, empty_types):
        if shape:
            return shape.cpp_type
        name = naming.unique(empty_name, self.type_names)
        empty_types.append(name)
        return name

    # -- operations and errors

    def operation(self, name, raw, errors):
        operation = Operation(name=name, cpp_name=naming.type_name(name), method=raw["http"]["method"],
                              uri=raw["http"]["requestUri"], status=raw["http"].get("responseCode", 200),
                              served=name in self.serves, raw=raw)
        if operation.served:
            if "input" in raw:
                operation.input = self.top(raw["input"]["shape"], name)
            if "output" in raw:
                operation.output = self.top(raw["output"]["shape"], name)
                # Models of services that left the query protocol no longer spell the wrapper, which is always this.
                query = "kQuery" in protocols(self.raw["metadata"])
                operation.output_wrapper = raw["output"].get("resultWrapper", name + "Result" if query else "")
            operation.errors = [errors[error] for error in raw.get("errors", [])]
        return operation

    def top(self, name, operation):
        shape = self.shape({"shape": name})
        if shape.kind != "kStructure":
            raise ModelError(f"{self.folder}.{operation}: {name} is not a structure")
        return shape

    def errors(self):
        """Every error of the model: they are few and cost one row each."""
        coded = protocols(self.raw["metadata"])[0] in ("kQuery", "kEc2Query", "kRestXml")
        result = []
        taken = set()
        for name, raw in sorted(self.raw["shapes"].items()):
            if not raw.get("exception") and "error" not in raw:
                continue
            error = raw.get("error", {})
            code = error.get("code", name)
            status = error.get("httpStatusCode", 500 if raw.get("fault") else 400)
            result.append(ErrorShape(name=name, cpp_name=naming.unique(naming.type_name(name), taken),
                                     code=code if coded else name, status=status, sender=status < 500,
                                     query_code="" if coded or code == name else code,
                                     message_name="Message" if "Message" in raw.get("members", {}) else ""))
        return result

    # -- shapes

    def shape(self, reference):
        """The shape a reference names, in the variant that the reference's traits ask for."""
        name = reference["shape"]
        raw = self.raw["shapes"].get(name)
        if raw is None:
            raise ModelError(f"{self.folder}: shape {name} is referred to and missing")
        variant = ""
        if raw["type"] == "structure" and raw.get("eventstream") and not reference.get("union"):
            variant = "stream"
        elif raw["type"] == "blob" and reference.get("streaming"):
            variant = "stream"
        elif reference.get("jsonvalue"):
            variant = "json"
        found = self.shapes.get((name, variant))
        if found:
            return found
        table = naming.unique(naming.type_name(name) + variant.capitalize(), self.tables)
        shape = Shape(name=name, table=table, kind=self.kind(name, raw, variant), raw=raw,
                      sensitive=raw.get("sensitive", False),
                      timestamp=TIMESTAMPS.get(raw.get("timestampFormat"), ""),
                      media_type="application/json" if variant == "json" else "")
        self.shapes[name, variant] = shape
        if shape.kind in STRUCTURES or shape.kind == "kEnum":
            shape.own_type = naming.unique(naming.type_name(name), self.type_names)
        self.fill(shape)
        return shape

    def kind(self, name, raw, variant):
        if name in self.custom:
            return "kCustom"
        if variant == "stream":
            return "kEventStream" if raw["type"] == "structure" else "kStreamingBlob"
        if raw["type"] == "string" and raw.get("enum") and name not in self.open_enums and not variant:
            return "kEnum"
        if raw["type"] == "structure":
            return "kDocument" if raw.get("document") else "kUnion" if raw.get("union") or raw.get("eventstream") else "kStructure"
        if raw["type"] not in KINDS:
            raise ModelError(f"{self.folder}.{name}: type {raw['type']} has no C++ type")
        return KINDS[raw["type"]]

    def fill(self, shape):
        raw = shape.raw
        if shape.kind == "kCustom":
            shape.own_type = self.custom[shape.name]["type"]
            shape.custom_info = self.custom[shape.name]["info"]
        elif shape.kind == "kEnum":
            taken = set()
            shape.values = [(value, naming.unique(naming.enumerator(value), taken)) for value in raw["enum"]]
        elif shape.kind == "kEventStream":
            shape.value = self.shape({"shape": shape.name, "union": True})
        elif shape.kind in STRUCTURES:
            self.fill_members(shape)
        elif shape.kind == "kList":
            shape.value = self.shape(raw["member"])
        elif shape.kind == "kMap":
            shape.key = self.shape(raw["key"])
            shape.value = self.shape(raw["value"])
        else:
            shape.own_type = SCALARS[shape.kind]

    def fill_members(self, shape):
        raw = shape.raw
        required = set(raw.get("required", []))
        taken = set()
        for name, reference in raw.get("members", {}).items():
            if raw.get("payload") == name and self.raw["shapes"][reference["shape"]].get("streaming"):
                reference = {**reference, "streaming": True}
            target = self.shape(reference)
            member = Member(name=name, wire_name=reference.get("locationName", name),
                            cpp_name=naming.unique(naming.snake(name), taken), shape=target,
                            location=location(reference, target), required=name in required and shape.kind == "kStructure",
                            xml_attribute=reference.get("xmlAttribute", False),
                            flattened=reference.get("flattened", False) or target.raw.get("flattened", False),
                            timestamp=TIMESTAMPS.get(reference.get("timestampFormat"), ""),
                            query_name=reference.get("queryName", ""))
            # An event stream is the message's whole body in every protocol, though only REST models mark it.
            if raw.get("payload") == name or target.kind == "kEventStream":
                member.location = "kPayload"
                shape.payload = len(shape.members)
            shape.members.append(member)

    # -- what contains what

    def check_finite(self):
        """A list or map that contains itself with no structure between has no finite C++ type."""
        def elements(shape):
            return [shape.value] if shape.kind in ("kList", "kMap") else []

        for component in components(list(self.shapes.values()), elements):
            if len(component) > 1 or component[0] in elements(component[0]):
                raise ModelError(f"{self.folder}.{component[0].name}: contains itself without a structure between")

    def box_cycles(self):
        """Boxes members by which a structure would contain itself. Lists and maps hold their elements elsewhere."""
        structures = [shape for shape in self.shapes.values() if shape.kind in STRUCTURES]
        for component in components(structures, direct):
            inside = {id(shape) for shape in component}
            for shape in component:
                for member in shape.members:
                    recursive = len(component) > 1 or member.shape is shape
                    if member.shape.kind in STRUCTURES and id(member.shape) in inside and recursive:
                        member.boxed = True

    def ordered(self):
        """All shapes, each structure after those it contains, and as far as possible after all that it mentions."""
        shapes = sorted(self.shapes.values(), key=lambda shape: shape.table)
        return [shape for cycle in components(shapes, mentioned)
                for single in components(cycle, direct) for shape in single]


def location(reference, target):
    if reference.get("eventpayload"):
        return "kEventPayload"
    if reference.get("eventheader"):
        return "kEventHeader"
    result = LOCATIONS.get(reference.get("location"), "kBody")
    return "kQueryParams" if result == "kQuery" and target.kind == "kMap" else result


def protocols(metadata):
    """The wire::Protocol values of a service, the clients' preferred one first."""
    json_version = {"1.0": "kJson10", "1.1": "kJson11"}[str(metadata.get("jsonVersion", "1.0"))]
    names = metadata.get("protocols") or [metadata["protocol"]]
    result = [json_version if name == "json" else PROTOCOLS[name] for name in names]
    # Services that moved from query to a newer protocol still answer their old clients.
    if "awsQueryCompatible" in metadata and "kQuery" not in result:
        result.append("kQuery")
    return result


def direct(shape):
    """Structures held inside the shape's own bytes."""
    return [member.shape for member in shape.members if member.shape.kind in STRUCTURES and not member.boxed]


def mentioned(shape):
    """Every shape that the shape names."""
    return [member.shape for member in shape.members] + [other for other in (shape.key, shape.value) if other]


def components(nodes, edges):
    """Strongly connected components, each after those it leads to (Tarjan's algorithm, without recursion)."""
    allowed = {id(node) for node in nodes}
    index, low, on_stack, stack, result = {}, {}, set(), [], []
    for root in nodes:
        if id(root) in index:
            continue
        work = [(root, iter(edges(root)))]
        index[id(root)] = low[id(root)] = len(index)
        stack.append(root)
        on_stack.add(id(root))
        while work:
            node, following = work[-1]
            for target in following:
                if id(target) not in allowed:
                    continue
                if id(target) not in index:
                    index[id(target)] = low[id(target)] = len(index)
                    stack.append(target)
                    on_stack.add(id(target))
                    work.append((target, iter(edges(target))))
                    break
                if id(target) in on_stack:
                    low[id(node)] = min(low[id(node)], index[id(target)])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[id(parent)] = min(low[id(parent)], low[id(node)])
                if low[id(node)] == index[id(node)]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(id(member))
                        component.append(member)
                        if member is node:
                            break
                    result.append(component[::-1])
    return result
