"""Python's values as C literals."""

from __future__ import annotations


def c_string(text: str) -> str:
    """A C string literal of any text: UTF-8, everything but plain ASCII as octal escapes."""
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'
