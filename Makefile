# Volunteer Cloud. `make help` lists what can be asked.
SHELL := /bin/bash
PYTHON_ENV := .venv/bin/python
JOBS ?=
EVENTS ?= 200
BASEDIR ?= $(CURDIR)/var/run

.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  JOBS=n EVENTS=n make run   stop after n finished jobs, each of n collisions"

run: setup-run appliance ## set up this machine, start a local site and the program, do jobs
	@JOBS="$(JOBS)" EVENTS="$(EVENTS)" BASEDIR="$(BASEDIR)" packaging/run.sh

test: setup-test appliance ## the whole test suite, with its set-up
	@packaging/test.sh

check: setup-check ## format, lint, types, import rules, unit tests (under a minute)
	@packaging/check.sh

test-virtualbox: setup-test appliance ## the tests on a real VirtualBox, without its kernel module (11 minutes)
	@packaging/virtualbox-test.sh lane

soak: setup-test appliance ## the long tests: fuzzing, chaos, the appliance's job under VirtualBox
	@packaging/soak.sh

bench: setup-bench appliance ## measure; ONLY=word picks rows
	@$(PYTHON_ENV) -m tests.bench $(if $(ONLY),--only "$(ONLY)")

appliance: setup-appliance ## build the thin appliance (cached by the hash of its inputs)
	@$(PYTHON_ENV) -m packaging.appliance.build --output build/appliance

setup-run setup-appliance:
	@packaging/linux/setup.sh run site appliance

setup-test:
	@packaging/linux/setup.sh run site appliance test

setup-bench:
	@packaging/linux/setup.sh run site appliance test bench

setup-check:
	@packaging/linux/setup.sh run check

lock: ## write requirements/*.lock anew from the .in files
	@packaging/lock.sh

clean: ## remove what was built and the base folder of `make run`
	rm -rf build var .venv

.PHONY: help run test test-virtualbox soak check bench appliance lock clean setup-run setup-appliance setup-test setup-bench setup-check
