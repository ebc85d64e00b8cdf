# `make demo` and `make test` need nothing but Python 3.10 to 3.12 and a C++ compiler.
VENV ?= .venv
PYTHON_IN_VENV = $(VENV)/bin/python
# Files of tests go to two processes of one thread each: faster than one process of two threads. A
# test that hangs shows the stacks of all threads and then ends its process, and a lost process the
# run. Bytecode is kept, which the environment of containers often forbids.
PYTEST = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(PYTHON_IN_VENV) -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
	--max-worker-restart 0 --timeout 600 --timeout-method thread -o faulthandler_timeout=580

.PHONY: env env-openmmlab demo demo-seg test test-openmmlab lint soak fuzz test-fast

env:
	@FAMILY=onedl VENV=$(VENV) tools/make_env.sh

# The upstream packages, in an environment of their own.
env-openmmlab test-openmmlab: VENV = .venv-openmmlab

env-openmmlab:
	@FAMILY=openmmlab VENV=$(VENV) tools/make_env.sh

# On the drawn set, or on data of one's own: make demo DATA=FOLDER
DEMO = $(PYTHON_IN_VENV) tools/demo.py $(if $(DATA),--data '$(DATA)')

demo: env
	$(DEMO)

demo-seg: env
	$(DEMO) seg

lint: env
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

test: lint
	$(PYTEST)

# Without what trains whole models, builds kernels, wheels or environments, or compiles graphs.
test-fast: lint
	$(PYTEST) -m 'not slow'

test-openmmlab: env-openmmlab
	$(PYTEST)

# Trainings killed and resumed, and long ones whose memory is watched.
SOAK = OMP_NUM_THREADS=1 $(PYTHON_IN_VENV) -m tests.soak

soak: env
	$(SOAK).kills --kind seg --kills 24
	$(SOAK).kills --kind det --kills 12 --length 8
	$(SOAK).kills --kind seg --kills 6 --workers 2
	$(SOAK).kills --kind det --kills 6 --length 8 --workers 2 --persistent
	$(SOAK).long_run --backbone vig --steps 2000
	$(SOAK).long_run --backbone vig-plain --steps 2000
	$(SOAK).long_run --backbone vir --steps 2000
	$(SOAK).long_run --backbone linglo --steps 2000
	$(PYTHON_IN_VENV) -m tests.soak.dying_process

# The operator and token-wise layers on thousands of new calls, and their C++ under checks of memory and
# undefined behaviour.
FUZZ = --hypothesis-profile=fuzz --hypothesis-show-statistics \
	tests/kernels/test_bi_gla_fuzz.py tests/kernels/test_triton.py tests/ops/test_native_fuzz.py
LIBRARY = $(shell c++ -print-file-name=$(1))

fuzz: env
	$(PYTEST) --dist load $(FUZZ) -k any_
	CXX=$(CURDIR)/tests/support/sanitizing-c++ MMVIG_CACHE=.pytest_cache/sanitized \
	ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD='$(call LIBRARY,libasan.so) $(call LIBRARY,libstdc++.so)' \
	$(PYTEST) -n 0 -s $(FUZZ) -k 'any_ and native'  # -s: else a report is lost
