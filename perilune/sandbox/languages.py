"""The languages that the sandbox knows without configuration."""

from __future__ import annotations

from types import MappingProxyType

from perilune.sandbox.programs import Language

PYTHON = Language(name="python", source_name="main.py", run=None)
CPP = Language(
    name="cpp",
    source_name="main.cpp",
    # A static program starts in less than half the time: there is nothing to look for and to link.
    compile=("g++", "-std=gnu++17", "-O2", "-pipe", "-static", "-o", "{binary}", "{source}"),
    static_libraries=("libstdc++.a", "libm.a", "libc.a"),
    run=("{binary}",),
    precompiled_header="bits/stdc++.h",
)
LANGUAGES = MappingProxyType({language.name: language for language in (PYTHON, CPP)})
