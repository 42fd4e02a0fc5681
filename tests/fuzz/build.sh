#!/bin/sh
# Builds engine/_fast with clang's AddressSanitizer, UndefinedBehaviorSanitizer and coverage into build/fuzz, which has the
# rest of the engine beside it. `make fuzz` runs there; nothing else does.
set -e
python="$PWD/.venv/bin/python"
rm -rf build/fuzz/engine && mkdir -p build/fuzz && cp -r engine setup.py build/fuzz && cd build/fuzz
rm -f engine/_fast/*.so
checks="-fsanitize=address,undefined,fuzzer-no-link"
# The runtime is atheris' own, which is loaded before: a module must not bring another.
CC=clang LDSHARED="clang -shared $checks" CFLAGS="-g -O1 -fno-omit-frame-pointer $checks -fno-sanitize=function" \
  "$python" setup.py -q build_ext --inplace
