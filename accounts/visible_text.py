"""Texts from outside, shown so that they cannot deceive."""

from __future__ import annotations


def visible_text(text: str) -> str:
    r"""Return the text with every invisible character but line breaks escaped as \uXXXX.

    A character that turns the direction of writing, or takes no space, could make one name look like another.
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\u{ord(letter):04x}" for letter in text)
