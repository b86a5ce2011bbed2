# The front door. `make demo` and `make test` do all their set-up themselves.
.DELETE_ON_ERROR:
.PHONY: demo test check format bench bench-leaks bench-front bench-synth clean lock docs help setup sample

PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin
STUDIO := .venv-label-studio
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1
export HF_HUB_DISABLE_TELEMETRY := 1

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: .venv/ready $(STUDIO)/template  ## make both environments from the lock files

demo: setup  ## the whole loop on a simulated cohort, in demo-project/
	$(BIN)/curaloop demo

test: setup  ## every test, with real servers and a real browser
	$(BIN)/pytest

check: .venv/ready  ## style, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready  ## put the code into the project's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready  ## measure; prints a table, writes benchmarks/results/, fails when a target is missed
	$(BIN)/python -m benchmarks

bench-front: .venv/ready .venv-peers/ready  ## measure ingest and deidentify beside their peers, as bench does
	$(BIN)/python -m benchmarks.front

bench-synth: .venv/ready  ## measure speed and memory of synthesis beside the plain way; wants two free cores
	$(BIN)/python -m benchmarks.synth_speed

bench-leaks: .venv/ready .venv-peers/ready  ## plant identifiers everywhere and search for them in what we and other tools write
	$(BIN)/python -m benchmarks.leaks

docs: .venv/ready  ## regenerate the parts of the documentation that are made from code
	$(BIN)/python docs/generate.py

sample: .venv/ready  ## release the repository's own small sample again, when its recipe or cohort changed
	$(BIN)/python -m flows.demo.sample
	git add sample-remote && git commit -q -m "Store the sample release" -- sample-remote

clean:  ## remove what was made here: environments, the demo's project, caches
	-test ! -d demo-project || $(BIN)/curaloop -C demo-project down
	rm -rf .venv $(STUDIO) .venv-peers demo-project benchmarks/results .mypy_cache .ruff_cache .pytest_cache .hypothesis

lock:  ## resolve the newest versions that pyproject.toml admits and pin them
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install -q --upgrade pip
	.venv-lock/bin/pip install -q torch==2.13.0
	.venv-lock/bin/pip install -q '.[dask]' --group dev
	.venv-lock/bin/pip freeze --exclude curaloop | sed 's/+cpu$$//; /^opencv-python==/d' > requirements.lock
	rm -rf .venv-lock

.venv/ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install -q --no-deps -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps --editable .
	touch $@

# Label Studio's pins cannot be met beside Prefect's, so it lives in its own environment.
$(STUDIO)/ready: requirements-label-studio.lock
	test -x $(STUDIO)/bin/python || $(PYTHON) -m venv $(STUDIO)
	$(STUDIO)/bin/python -m pip install -q uv
	$(STUDIO)/bin/uv pip install -q --python $(STUDIO)/bin/python --no-deps -r requirements-label-studio.lock
	touch $@

# Tools that do parts of the same work, to measure against; they stay out of our environment.
.venv-peers/ready: requirements-peers.lock
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q --upgrade 'pip>=25.1'
	.venv-peers/bin/python -m pip install -q --no-deps -r requirements-peers.lock
	touch $@

# Its database is migrated once here, so that a first start takes seconds instead of a minute or two.
$(STUDIO)/template: .venv/ready $(STUDIO)/ready
	$(BIN)/python -c 'from pathlib import Path; from flows.label_studio import prepare_template; prepare_template(Path("$(STUDIO)").absolute())'
	touch $@
