# SPDX-License-Identifier: LGPL-2.1-or-later
# A thin door to Meson. B: the build directory; the tests run a second time in $(B)-asan, under ASan and UBSan.
B ?= build
MESON ?= meson
NINJA ?= ninja

# What the run under the sanitizers leaves out: it would test the same again, or other programs.
ASAN_SKIP = --no-suite style --no-suite stack

# A scenario or group of tests/e2e for "make check-e2e SCENARIO=NAME"; none: all, two hosts at a time.
SCENARIO ?=

.PHONY: all run check check-e2e bench install clean deps-build deps-check deps-e2e deps-bench

all: $(B)/build.ninja
	$(NINJA) -C $(B)

run: deps-build
	@$(MAKE) --no-print-directory $(B)/build.ninja
	@$(NINJA) -C $(B) tools/viommu
	@python3 build-aux/run-example.py . $(B)

# Both runs are made, and summed, even if the first fails.
check: deps-check
	@$(MAKE) --no-print-directory $(B)/build.ninja $(B)-asan/build.ninja
	$(NINJA) -C $(B)
	$(NINJA) -C $(B)-asan
	@rm -f $(B)/meson-logs/testlog.json $(B)-asan/meson-logs/testlog.json
	-$(MESON) test -C $(B) --no-rebuild --print-errorlogs
	-$(MESON) test -C $(B)-asan --no-rebuild --print-errorlogs $(ASAN_SKIP)
	@python3 build-aux/sum-tests.py $(B) $(B)-asan

# The parts of the emulated host are made first, so that the tests are not timed with them.
check-e2e: deps-e2e
	@$(MAKE) --no-print-directory $(B)/build.ninja
	$(NINJA) -C $(B)
	python3 tests/e2e/artefacts.py . $(B)
	@rm -f $(B)/meson-logs/e2e.json
ifeq ($(SCENARIO),)
	-$(MESON) test -C $(B) --no-rebuild --print-errorlogs --suite e2e --num-processes 2 --logbase e2e
	@python3 build-aux/sum-tests.py $(B)/meson-logs/e2e.json
else
	python3 tests/e2e/e2e-test.py --keep . $(B) $(SCENARIO)
endif

bench: deps-bench
	@$(MAKE) --no-print-directory $(B)/build.ninja
	@$(NINJA) -C $(B) bench

install: all
	$(MESON) install -C $(B) --no-rebuild

clean:
	rm -rf $(B) $(B)-asan

deps-build:
	@sh build-aux/install-deps.sh build

deps-check:
	@sh build-aux/install-deps.sh check

# What is missing is told by the tests, which are skipped then.
deps-e2e:
	-@sh build-aux/install-deps.sh e2e

deps-bench:
	@sh build-aux/install-deps.sh bench

$(B)/build.ninja:
	$(MESON) setup $(B)

$(B)-asan/build.ninja:
	$(MESON) setup $(B)-asan -Db_sanitize=address,undefined -Db_lundef=false
