#!/usr/bin/env python3
"""Writes an empty service in the common form: tools/dev new-service NAME, where models/NAME holds its model.

The result builds, is listed by app/services.cc once that names it, and refuses every operation until serves.txt and the
operation table say otherwise.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

FILES = {
    "README.md": """# {title}

What it is, in a sentence or two.

Keys (`store.h`): none yet.

Where we differ from AWS: nothing is served yet.
""",
    "api.h": """#pragma once

#include <memory>

#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::{ns} {{

std::unique_ptr<kernel::Service> make_{ns}(kernel::Deps& deps);

}}  // namespace virga::{ns}
""",
    "service.h": """#pragma once

#include <aws/{name}/ops.h>
#include <aws/{name}/types.h>

#include "kernel/context.h"
#include "kernel/deps.h"
#include "kernel/service.h"

namespace virga::{ns} {{

using kernel::Ctx;

class {klass}Service final : public kernel::Service {{
 public:
  explicit {klass}Service(kernel::Deps& deps) : deps_(deps) {{}}
  const wire::ServiceModel& model() const override;
  void operations(kernel::OpTable& table) override;

 private:
  kernel::Deps& deps_;
}};

}}  // namespace virga::{ns}
""",
    "service.cc": """#include "services/{name}/service.h"

#include <aws/{name}/model.h>

#include "services/{name}/api.h"

namespace virga::{ns} {{

const wire::ServiceModel& {klass}Service::model() const {{ return kModel; }}

void {klass}Service::operations(kernel::OpTable& table) {{}}

std::unique_ptr<kernel::Service> make_{ns}(kernel::Deps& deps) {{ return std::make_unique<{klass}Service>(deps); }}

}}  // namespace virga::{ns}
""",
}


def main():
    if len(sys.argv) != 2 or not re.fullmatch(r"[a-z][a-z0-9-]*", sys.argv[1]):
        sys.exit("usage: tools/dev new-service NAME (lower case, as the folder in models/)")
    name = sys.argv[1]
    if not (ROOT / "models" / name / "model.json").exists():
        sys.exit(f"no models/{name}/model.json: import it first (models/README.md)")
    folder = ROOT / "src/services" / name
    if folder.exists():
        sys.exit(f"src/services/{name} exists already")
    ns = name.replace("-", "")
    klass = "".join(part.capitalize() for part in name.split("-"))
    folder.mkdir(parents=True)
    for file, text in FILES.items():
        (folder / file).write_text(text.format(name=name, ns=ns, klass=klass, title=klass))
    serves = ROOT / "models" / name / "serves.txt"
    if not serves.exists():
        serves.write_text("")
    print(f"src/services/{name} is there. Next: list operations in models/{name}/serves.txt, add them to service.cc's "
          f"table, and name the service in src/app/services.cc (docs/adding-a-service.md).")


main()
