"""The languages that the sandbox knows without configuration."""

from __future__ import annotations

from types import MappingProxyType

from perilune.sandbox.programs import Language

PYTHON = Language(name="python", source_name="main.py", run=None)
CPP = Language(
    name="cpp",
    source_name="main.cpp",
    compile=("g++", "-std=gnu++17", "-O2", "-pipe", "-o", "{binary}", "{source}"),
    run=("{binary}",),
    precompiled_header="bits/stdc++.h",
)
LANGUAGES = MappingProxyType({language.name: language for language in (PYTHON, CPP)})
