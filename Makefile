# Every target but install sets up what it needs in .venv; nothing outside this folder is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PREFIX ?= /opt/edgetune
EXTRA ?= [serial,train]
# The worker that ends first takes tests from another.
PARALLEL := -n 4 --dist worksteal
# A worker has whole files of the quick ones, and what a file shares is made once.
QUICK := -n 4 --dist loadfile -m "not slow and not containers"
export OMP_NUM_THREADS ?= 1
export ORT_DISABLE_TELEMETRY := 1
# Else every worker and every process that a test starts compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo install test test-slow coverage chaos fuzz test-containers container-figures lint check load quiet-disk bench bench-search bench-people bench-signs bench-tried bench-once bench-health bench-unknown bench-mcu exam exam-quick ablation sensitivity docs web screenshots examples release format clean help

help:  ## What there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed  ## A machine breaks, a node learns to hear it: three minutes in the terminal
	@$(BIN)/edgetune demo

install:  ## A service of systemd, as root, in PREFIX=/opt/edgetune (docs/how-to/raspberry-pi.md); EXTRA=[serial] leaves out torch
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" EXTRA="$(EXTRA)" PYTHON="$(PYTHON)" sh node/systemd/install.sh

test: $(VENV)/.installed  ## Every test that needs no container engine
	$(BIN)/python -m pytest $(PARALLEL) -m "not containers"

test-slow: $(VENV)/.installed  ## Those that `make check` leaves out
	$(BIN)/python -m pytest $(PARALLEL) -m "slow and not containers"

coverage: $(VENV)/.installed  ## The quick tests, and which lines they run: no fewer than pyproject.toml says
	$(BIN)/python -m pytest $(QUICK) -q --cov

test-containers: $(VENV)/.installed  ## Build and run the containers, where `docker info` finds an engine
	$(BIN)/python -m pytest -m containers -v tests/docker

container-figures: $(VENV)/.installed  ## Sizes, start and memory of the containers, a few minutes: FIGURES=node-slim
	@$(BIN)/python tests/docker/figures.py $(FIGURES)

chaos: $(VENV)/.installed  ## Kill, cut, freeze and restart a plant, and count what is lost, half an hour: CHAOS='--seed 7'
	$(BIN)/python tests/chaos/chaos.py $(CHAOS)

load: $(VENV)/.installed  ## One node at many times real time, a gateway of up to 100 assets, 200 nodes on a broker: half an hour
	$(BIN)/python tests/load/one_node.py
	$(BIN)/python tests/load/gateway.py
	$(BIN)/python tests/load/fleet.py
	$(BIN)/python tests/load/console.py

quiet-disk: $(VENV)/.installed  ## What a node writes to its disk in ten minutes of monitoring
	$(BIN)/python tests/load/quiet_disk.py

fuzz: $(VENV)/.fuzz-installed  ## Feed damaged bytes to all that reads them, a minute each: FUZZ='--seconds 600 network'
	$(BIN)/python tests/fuzz/fuzz.py $(FUZZ)

lint: $(VENV)/.installed  ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	! git grep -nE '^(<<<<<<<|>>>>>>>) '

check: lint  ## Format, lint, types and the quick tests
	$(BIN)/python -m pytest $(QUICK) -q

bench: $(VENV)/.installed  ## Benchmarks: throughput, latency, memory, search
	$(BIN)/python tests/bench/bench_sources.py
	$(BIN)/python tests/bench/bench_indicators.py
	$(BIN)/python tests/bench/bench_novelty.py
	$(BIN)/python tests/bench/bench_drift.py
	$(BIN)/python tests/bench/bench_replay.py
	$(BIN)/python tests/bench/bench_node.py
	$(BIN)/python tests/bench/bench_search.py

bench-search: $(VENV)/.bench-installed  ## Our search against others: BENCH='--quick --out FOLDER', else all of it, twenty minutes
	$(BIN)/python tests/bench/bench_systems.py $(BENCH)

bench-people: $(VENV)/.installed  ## Whose model knows whose gestures, ten minutes: BENCH='--seconds 20'
	$(BIN)/python tests/bench/bench_people.py $(BENCH)
	$(BIN)/python tests/bench/bench_unknown_signs.py

bench-signs: $(VENV)/.installed  ## Whole sessions of signs beside LibEMG's way, ten minutes: BENCH='--set myo41 --people 3', BENCH=--latency
	$(BIN)/python tests/bench/bench_signs.py $(BENCH)

bench-once: $(VENV)/.installed  ## Simulated machines whose classes were recorded once, as in the demo, three minutes
	@$(BIN)/python tests/bench/bench_once.py $(BENCH)

bench-tried: $(VENV)/.installed  ## What a library, the deployed model and trained filter banks bring, six minutes: BENCH=library
	@$(BIN)/python tests/bench/bench_tried.py $(BENCH)

bench-health: $(VENV)/.installed  ## Machines of which only health is known: false alarms, faults found, lead, 20 s: BENCH='--out FILE'
	@$(BIN)/python tests/bench/bench_health.py $(BENCH)

bench-unknown: $(VENV)/.installed  ## What class models call unknown, by the graph and by the side file, three minutes: BENCH='--only hit-parts'
	@$(BIN)/python tests/bench/bench_unknown.py $(BENCH)

bench-mcu: $(VENV)/.installed  ## Models as C on emulated M4, M33 and M55, a minute: BENCH=--quick, BENCH='BUNDLE ...'
	@PYTHONPATH=tests/support $(BIN)/python tests/bench/bench_mcu.py $(BENCH)

exam: $(VENV)/.exam-installed  ## The search on foreign machines and people, beside plain methods, twenty minutes: EXAM='--only mfpt'
	$(BIN)/python tests/bench/exam.py --out build/exam $(EXAM)

exam-quick: $(VENV)/.exam-installed  ## The same with one seed and two people of each set, five minutes on two idle cores
	$(BIN)/python tests/bench/exam.py --quick --out build/exam-quick $(EXAM)

ablation: $(VENV)/.bench-installed  ## What each part of the search earns over the examination, at equal time, fifteen minutes
	@$(BIN)/python tests/bench/ablation.py --out build/ablation $(BENCH)

sensitivity: $(VENV)/.installed  ## Constants of the closed forms halved and doubled over the examination's machines, two minutes
	@$(BIN)/python tests/bench/sensitivity.py

docs: $(VENV)/.installed  ## The documentation as pages, strictly: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

examples: $(VENV)/.installed  ## Run a plant and write docs/examples anew, four minutes; needs mosquitto
	$(BIN)/python docs/tools/examples.py

screenshots: $(VENV)/.docs-installed  ## Draw docs/pictures anew, two minutes; needs mosquitto and chromium
	$(BIN)/python docs/tools/pictures.py
	$(BIN)/python docs/tools/diagrams.py
	CONSOLE_PICTURES=docs/pictures $(BIN)/python -m pytest -q tests/node/console/test_page.py -k repaired

web: node/web/node_modules/.installed  ## Build the console's page (node/web) into the package; needs npm
	cd node/web && npm run --silent build

release: $(VENV)/.release-installed  ## Wheel, source, software bill of materials, images (where an engine answers), checksums: dist/
	sh docker/release.sh $(BIN) dist

format: $(VENV)/.installed  ## Format and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove everything that was set up or built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .fuzz

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "edgetune needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV): a few minutes, once"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian: apt install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,cluster]'
	@touch $@

node/web/node_modules/.installed: node/web/package.json node/web/package-lock.json
	@command -v npm > /dev/null || { echo "npm is missing; on Debian: apt install npm"; exit 1; }
	cd node/web && npm ci --no-audit --no-fund
	@touch $@

$(VENV)/.fuzz-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,cluster,fuzz]'
	@touch $@

$(VENV)/.release-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,cluster,release]'
	@touch $@

$(VENV)/.docs-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,cluster,docs]'
	@touch $@

$(VENV)/.exam-installed: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,cluster,exam]'
	@touch $@

# aeon's numba wants an older numpy than the pinned one, so that only torch is held
$(VENV)/.bench-installed: $(VENV)/.installed
	grep '^torch' constraints.txt > $(VENV)/bench-constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint $(VENV)/bench-constraints.txt --editable '.[dev,cluster,bench]'
	@touch $@
