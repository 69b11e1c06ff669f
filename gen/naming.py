"""C++ names for what models name: members, enumerators, namespaces. Pure functions of text."""

import re

KEYWORDS = frozenset("""
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class co_await
co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do
double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace
new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires return
short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef
typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq
""".split())

# Macros of the C library that a name must not be.
MACROS = frozenset("NULL EOF NAN INFINITY BUFSIZ OVERFLOW UNDERFLOW DOMAIN errno stdin stdout stderr assert major minor "
                   "linux unix EXIT_SUCCESS EXIT_FAILURE RAND_MAX signbit TRUE FALSE".split())

# Words whose capitals don't say where a word ends.
WORDS = (("ETag", "Etag"), ("OAuth", "Oauth"), ("GraphQL", "Graphql"), ("IPv", "Ipv"), ("SSEKMS", "SseKms"),
         ("CRC32C", "Crc32c"), ("CRC64NVME", "Crc64nvme"))

PLURAL = re.compile(r"([A-Z]{2,})s(?=[A-Z0-9]|$)")  # ARNs, DBs: one word
PIECE = re.compile(r"Crc32c|Crc64nvme|[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")


def identifier(text):
    """`text` with a trailing underscore where C++ or its library has taken it."""
    return text + "_" if text in KEYWORDS or text in MACROS else text


def snake(name):
    """A member's name: SSEDescription is sse_description, S3Key s3_key, KMSKeyArn kms_key_arn."""
    for word, plain in WORDS:
        name = name.replace(word, plain)
    name = PLURAL.sub(lambda match: match[1].capitalize() + "s", name)
    pieces = [piece.lower() for part in re.split(r"[^A-Za-z0-9]+", name) for piece in PIECE.findall(part)]
    result = "_".join(pieces) or "value"
    return identifier("_" + result if result[0].isdigit() else result)


def enumerator(value):
    """An enum value as it is spelled on the wire, where C++ allows; other characters become underscores."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", value) or "EMPTY"
    name = "_" + name if name[0].isdigit() else name
    # Double underscores belong to the compiler.
    return identifier(re.sub(r"__+", "_", name))


def type_name(name):
    """A shape's name as a C++ type or table; leading underscores (API Gateway's __string) belong to the compiler."""
    return identifier(re.sub(r"[^A-Za-z0-9_]", "_", name).lstrip("_") or "Shape")


def namespace(folder):
    return folder.replace("-", "")


def unique(name, taken):
    """`name`, or with the first number that makes it new among `taken`, to which it is added."""
    result, number = name, 2
    while result in taken:
        result = f"{name.rstrip('_')}_{number}"
        number += 1
    taken.add(result)
    return result
