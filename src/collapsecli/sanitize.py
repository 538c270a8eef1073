"""The one sanitiser in front of every sink: text from a model or a file is hostile until it passed here."""

from __future__ import annotations

import re
import unicodedata

# Categories that steer a terminal, hide text or are no text: control, format (bidi, zero-width), surrogate, private
# use, unassigned, and the two separators that break lines.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SURROGATE = re.compile("[\ud800-\udfff]")
_NEWLINE = "⏎"


def storable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, replaced by U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def visible(text: str, *, newlines: bool = False) -> str:
    """The text with everything that could steer a terminal or hide text made visible; newlines stay if asked for."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if newlines and char == "\n" else _visible_char(char) for char in text)


def one_line(text: str) -> str:
    """The text on a single line: runs of spaces and tabs collapse, line breaks show as a sign."""
    lines = text.replace("\r\n", "\n").strip().split("\n")
    return f" {_NEWLINE} ".join(" ".join(visible(line.replace("\t", " ")).split()) for line in lines if line.strip())


def _visible_char(char: str) -> str:
    if unicodedata.category(char) not in _UNSAFE:
        return char
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
