"""embed.py OUT HEADER NAMESPACE ROOT FILE… — writes a C++ source that holds the files' bytes.

A file is named by its path below ROOT, or as NAME=FILE.
"""
import pathlib
import sys

out, header, namespace, root, *files = sys.argv[1:]
text = [f'#include "{header}"\n\nnamespace {namespace} {{\nnamespace {{\n']
table = []
for number, given in enumerate(sorted(files)):
    path, _, file = given.rpartition("=")
    path = path or pathlib.Path(file).relative_to(root).as_posix()
    data = pathlib.Path(file).read_bytes()
    # Pieces of a literal: compilers take them faster than lists of numbers.
    pieces = []
    for at in range(0, max(len(data), 1), 64):
        escaped = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in data[at:at + 64])
        pieces.append(f'    "{escaped}"')
    joined = "\n".join(pieces)
    text.append(f"constexpr char kFile{number}[] =\n{joined};\n")
    table.append(f'    {{"{path}", {{kFile{number}, {len(data)}}}}},\n')
text.append("constexpr EmbeddedFile kFiles[] = {\n" + "".join(table) + "};\n}  // namespace\n\n")
text.append(f"std::span<const EmbeddedFile> embedded_files() {{ return kFiles; }}\n\n}}  // namespace {namespace}\n")
pathlib.Path(out).write_text("".join(text))
