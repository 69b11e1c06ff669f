"""ops.h, errors.h, model.h and shapes.h: what a service's code names beside its types."""

from emit_types import banner


def emit(service):
    return {"ops.h": operations(service), "errors.h": errors(service), "model.h": model(service),
            "shapes.h": shapes(service)}


def file(service, what, includes, namespace, lines):
    head = [banner(service, what)] + [f'#include "{name}"' for name in includes] + ["", f"namespace {namespace} {{", ""]
    return "\n".join(head + lines + ["", f"}}  // namespace {namespace}", ""])


def operations(service):
    lines = []
    for operation in service.operations:
        if operation.served:
            lines += [f"struct {operation.cpp_name} {{",
                      f"  using Input = {service.namespace}::{operation.input_type};",
                      f"  using Output = {service.namespace}::{operation.output_type};",
                      "  static const wire::OperationModel& model();", "};"]
    return file(service, "The served operations", [f"aws/{service.folder}/types.h", "wire/shape.h"],
                f"virga::{service.namespace}::op", lines)


def errors(service):
    lines = ["// `members`: an object of the error shape's further members, by wire name."]
    for error in service.errors:
        lines += [f"virga::Error {error.cpp_name}(std::string message = {{}});",
                  f"virga::Error {error.cpp_name}(std::string message, const virga::Json& members);"]
    return file(service, "The errors", ["base/error.h"], f"virga::{service.namespace}::err", lines)


def model(service):
    return file(service, "The model", ["wire/shape.h"], f"virga::{service.namespace}",
                ["extern const wire::ServiceModel kModel;"])


def shapes(service):
    lines = [f"extern const wire::Shape {shape.table};" for shape in sorted(service.shapes, key=lambda shape: shape.table)]
    return file(service, "The shape tables", ["wire/shape.h"], f"virga::{service.namespace}::shapes", lines)
