#!/bin/sh
# autobahntestsuite 25.10.1 (PyPI), the usual conformance suite of WebSocket servers, on Python 3.
#
# Guess: its release of 2025 installs with pip on Python 3, so `wstest -m fuzzingclient` runs there.
# Seen: it installs without a word, and cannot be imported: its package still uses Python 2's implicit relative import
#   (`from _version import __version__`), so `wstest` ends with ModuleNotFoundError before it reads an option.
# Consequence: a CI job that installs it with pip and runs it on Python 3 tests nothing; it needs a Python 2 image.
#
# Ends with 0 while this is so, and with 1 when it is not any more.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps autobahntestsuite==25.10.1
if seen=$("$folder/venv/bin/python" -c 'import autobahntestsuite' 2>&1); then
    echo "autobahntestsuite can be imported now"
    exit 1
fi
echo "$seen" | tail -n 1
case $seen in
*"ModuleNotFoundError: No module named '_version'"*) exit 0 ;;
*) exit 1 ;;
esac
