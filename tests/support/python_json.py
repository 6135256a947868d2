"""Reads a file with a JSON document in each line and writes each as `json.dumps(indent=2)` does, each ended by NUL."""
import json
import sys

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)
for line in open(sys.argv[1], encoding="utf-8", newline="\n"):
    sys.stdout.write(json.dumps(json.loads(line), indent=2) + "\0")
