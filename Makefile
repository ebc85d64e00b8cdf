# `make demo` and `make test` need nothing but Python 3.10 to 3.12 and a C++ compiler.
VENV ?= .venv
PYTHON_IN_VENV = $(VENV)/bin/python

.PHONY: env demo demo-seg test lint

env:
	@VENV=$(VENV) tools/make_env.sh

demo: env
	$(PYTHON_IN_VENV) tools/demo.py

demo-seg: env
	$(PYTHON_IN_VENV) tools/demo.py seg

lint: env
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

test: lint
	$(PYTHON_IN_VENV) -m pytest
