#!/bin/bash
# DMOJ's judge 4.1.0, checker floats (dmoj/checkers/floats.py): every token that Python's float() reads is compared with a
# tolerance, whole numbers too, after rounding to 64 bits.
# Seen with the default precision: 1000001 is right for 1000000, 100000000000000000001 for 100000000000000000000, 1_000 for
# 1000; inf is wrong for inf, as nan is for nan.
# Exits 0 while that is so, otherwise not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# The source alone: its compiled parts need a sandbox's headers, and this checker is plain Python.
"$folder/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$folder" dmoj==4.1.0
tar -xzf "$folder"/dmoj-4.1.0.tar.gz -C "$folder"
cd "$folder"/dmoj-4.1.0
"$folder/venv/bin/python" - <<'P'
import importlib.util

spec = importlib.util.spec_from_file_location("floats", "dmoj/checkers/floats.py")
floats = importlib.util.module_from_spec(spec)
spec.loader.exec_module(floats)
pairs = {
    (b"1000000", b"1000001"): True,
    (b"100000000000000000000", b"100000000000000000001"): True,
    (b"1000", b"1_000"): True,
    (b"3", b"3.0"): True,
    (b"3", b"3.1"): False,
    (b"inf", b"inf"): False,
    (b"nan", b"nan"): False,
}
for (expected, printed), right in pairs.items():
    found = floats.check(printed, expected)
    print(f"{printed.decode()} for {expected.decode()}: {found}")
    assert found is right
P
