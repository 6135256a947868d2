"""Reads a file with texts, each ended by NUL, and says of each what an id of that text is: `text`, `refused` for an
integer with underscores or foreign digits, or the integer; one line each."""
import sys

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)


def reading(text):
    try:
        number = int(text)
    except ValueError:
        return "text"
    if any(c == "_" or (c.isdecimal() and not c.isascii()) for c in text):
        return "refused"
    return str(number)


for text in open(sys.argv[1], encoding="utf-8", newline="").read().split("\0")[:-1]:
    print(reading(text))
