# SPDX-License-Identifier: LGPL-2.1-or-later
# A thin door to Meson. B: the build directory; the tests run a second time in $(B)-asan, under ASan and UBSan.
B ?= build
MESON ?= meson
NINJA ?= ninja

# What the run under the sanitizers leaves out: it would test the same again, or other programs.
ASAN_SKIP = --no-suite style --no-suite stack

.PHONY: all run check bench install clean deps-build deps-check deps-bench

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

deps-bench:
	@sh build-aux/install-deps.sh bench

$(B)/build.ninja:
	$(MESON) setup $(B)

$(B)-asan/build.ninja:
	$(MESON) setup $(B)-asan -Db_sanitize=address,undefined -Db_lundef=false
