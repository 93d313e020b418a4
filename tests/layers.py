#!/usr/bin/env python3
"""The architecture, checked: layers, owners of foreign libraries, sizes, banned functions, sleeping tests.

Prints every violation as FILE:LINE: what, and exits 1 if there is any. Rules: CONTRIBUTING.md.
Standard library, git and universal-ctags. SPDX-License-Identifier: Apache-2.0
"""
import re
import subprocess
import sys

LAYERS = ["schemas", "infra", "producers", "consumers", "gateway"]
# Header -> the owner's path prefix, and how its types are recognised in a header.
OWNERS = [
    ("librdkafka/", "infra/kafka", r"\brd_kafka_\w+"),
    ("hiredis/", "infra/redis", r"\bredis(Async)?Context\b|\bredisReply\b"),
    ("curl/", "infra/http_client", r"\bCURLM?\b"),
    ("microhttpd.h", "infra/http_server", r"\bMHD_\w+"),
    ("jansson.h", "schemas/json", r"\bjson_t\b"),
    ("protobuf-c/", "schemas/envelope", r"\bProtobufC\w+"),
    ("openssl/", ("schemas/digest", "infra/redis_tls", "infra/simulator/tls"), r"\bEVP_\w+"),
    ("yaml.h", "infra/config", r"\byaml_\w+_t\b"),
    ("uv.h", "infra/loop", r"\buv_\w+_t\b"),
]
BANNED = re.compile(
    r"\b(strcpy|strcat|v?sprintf|strtok|atoi|atol|atof|v?sscanf|alloca|signal|localtime|gmtime|ctime|asctime|strerror"
    r"|gets)\s*\(")
SLEEPS = re.compile(r"\b(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep|uv_sleep)\s*\(")
SLEEP_ALLOWED = "tests/system/waiting.py"  # the one place that may wait between two looks at a condition
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
SPDX = re.compile(r"SPDX-License-Identifier:[\s*]+Apache-2\.0")
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
ROOT_ALLOWED = {"docs", "tests", ".ci", ".github", *LAYERS}

violations = []


def say(path, line, text):
    violations.append(f"{path}:{line}: {text}")


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.S)


def code_of(text):
    """The text with comments and literals blanked out, lines kept. Includes lose their path."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def several(owner):
    return owner if isinstance(owner, tuple) else (owner,)


def check_includes(path, text):
    layer = path.split("/")[0]
    allowed = LAYERS[:LAYERS.index(layer) + 1] if layer in LAYERS else LAYERS + ["tests"]
    for match in INCLUDE.finditer(without_comments(text)):
        line, header = line_of(text, match.start(2)), match.group(2)
        if match.group(1) == '"' and header.split("/")[0] not in allowed:
            say(path, line, f"{layer}/ may not include {header} (an include goes to the left and names its layer)")
        for foreign, owner, _ in OWNERS:
            owned = header == foreign or foreign.endswith("/") and header.startswith(foreign)
            if owned and not path.startswith((*several(owner), "tests/")):
                say(path, line, f"only {' and '.join(several(owner))} may include <{header}>")


def check_words(path, code):
    for match in BANNED.finditer(code):
        say(path, line_of(code, match.start()), f"{match.group(1)}() is banned")
    if path.endswith(".h"):
        for _, owner, types in OWNERS:
            match = re.search(types, code)
            if match and not path.startswith(several(owner)):
                say(path, line_of(code, match.start()), f"{match.group(0)} belongs to {' and '.join(several(owner))}")
    if path.startswith("tests/"):
        for match in SLEEPS.finditer(code):
            say(path, line_of(code, match.start()), "no fixed sleeps in tests: wait for a condition with a deadline")


def check_functions(paths):
    tags = subprocess.run(
        ["ctags", "-f", "-", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f", "--fields=+ne", "-L", "-"],
        input="\n".join(paths), capture_output=True, text=True, check=True).stdout
    for tag in tags.splitlines():
        name, path = tag.split("\t")[:2]
        begin, end = re.search(r"\tline:(\d+)", tag), re.search(r"\tend:(\d+)", tag)
        if begin and end and int(end.group(1)) - int(begin.group(1)) + 1 > FUNCTION_LINES_MAX:
            say(path, begin.group(1), f"{name}() is longer than {FUNCTION_LINES_MAX} lines")


def check_file(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    lines = text.count("\n")
    is_c = path.endswith((".c", ".h"))
    if lines > FILE_LINES_MAX:
        say(path, lines, f"longer than {FILE_LINES_MAX} lines")
    if not SPDX.search(text):
        say(path, 1, "no SPDX line near the top")
    for match in re.finditer(r"\b(TODO|FIXME|XXX)\b", text):
        if not path.startswith("tests/layers"):
            say(path, line_of(text, match.start()), f"{match.group(1)} without an owner and a date")
    if is_c:
        if not text.startswith("/*"):
            say(path, 1, "the file's top does not say its purpose")
        check_includes(path, text)
        check_words(path, code_of(text))
    elif path.endswith(".py") and path.startswith("tests/") and path != SLEEP_ALLOWED:
        for match in re.finditer(r"\btime\.sleep\(|^from time import.*\bsleep\b", text, re.M):
            say(path, line_of(text, match.start()), f"no fixed sleeps in tests: use wait_until of {SLEEP_ALLOWED}")


def is_told(path, readme):
    """Whether a README names a file: `NAME.c`, `NAME.[ch]`, or a family: `NAME_*`, `NAME*`."""
    name = path.rsplit("/", 1)[1]
    stem, end = name.rsplit(".", 1)
    words = re.findall(r"`([^`\n]+)`", readme)
    families = [word[:-1] for word in words if word.endswith("*")]
    return f"{stem}.[ch]" in words or name in words or end == "c" and f"{stem}.h" in words or stem.startswith(tuple(families))


def check_readmes(paths):
    """Each source file of a layer is named in its folder's README, or in the one above."""
    readmes = {}
    for path in paths:
        if path.endswith("README.md"):
            with open(path, encoding="utf-8") as file:
                readmes[path.rpartition("/")[0]] = file.read()
    for path in paths:
        folder = path.rpartition("/")[0]
        told = readmes.get(folder) or readmes.get(folder.rpartition("/")[0], "")
        if path.endswith(".c") and path.split("/")[0] in LAYERS and not is_told(path, told):
            say(path, 1, "its folder's README does not say what it is")


def main():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--deduplicate"], capture_output=True,
                            text=True, check=True).stdout.splitlines()
    deleted = set(subprocess.run(["git", "ls-files", "-d"], capture_output=True, text=True, check=True)
                  .stdout.splitlines())
    paths = [path for path in listed if path not in deleted]
    for folder in {path.split("/")[0] for path in paths if "/" in path} - ROOT_ALLOWED:
        say(folder, 0, "no other top-level folder")
    for path in paths:
        if path.endswith((".c", ".h", ".py", ".sh")):
            check_file(path)
    check_readmes(paths)
    check_functions([path for path in paths if path.endswith((".c", ".h"))])
    print("\n".join(sorted(violations)), end="\n" if violations else "")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
