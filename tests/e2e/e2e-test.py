#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nested guests with real DMA, on an emulated host with several SMMUv3s.

Usage: e2e-test.py [--keep] SOURCE BUILD [NAME...]

NAME is a scenario or a group of them; without any, all run. Where something of the host cannot be had,
they are skipped, with the reason. Of a scenario that fails, the console of host and guest, QEMU's log and the
domain are kept below BUILD/e2e-logs; with --keep those of all.
"""

import argparse
import os
import signal
import sys
import traceback

import stackpath  # noqa: F401, the modules of tests/stack
import artefacts
import classpage
import hook
import hotplug
import override
import placement
import plugkilled
import probe
import runalone
import throughservice
import unable
import verify
from aptsource import Unavailable
from machine import HostError
from tap import Tap, skipAll
from tree import SUITE
from world import World, ownTable

# Scenarios of a group share hosts of one kind (hostArguments).
GROUPS = {
    "placement": ({**placement.SCENARIOS, **override.ON_NESTING, **unable.ON_NESTING}, "nesting"),
    "override": (override.SCENARIOS, "older"),
    "hotplug": (hotplug.SCENARIOS, "nesting"),
    "service": ({**throughservice.SCENARIOS, **plugkilled.SCENARIOS}, "nesting"),
    "hook": (hook.SCENARIOS, "nesting"),
    "probe": (probe.SCENARIOS, "nesting"),
    "run": (runalone.SCENARIOS, "nesting"),
    "verify": (verify.SCENARIOS, "nesting"),
    "classes": (classpage.SCENARIOS, "nesting"),
    "stock-kernel": (unable.ON_STOCK, "stock"),
    "no-canwbs": ({**unable.ON_NO_CANWBS, **probe.ON_NO_CANWBS}, "no-canwbs"),
    "no-stage-2": ({**unable.ON_NO_STAGE2, **probe.ON_NO_STAGE2}, "no-stage-2"),
}


def suiteOf(kind):
    return artefacts.OLDER if kind == "older" else SUITE


def hostArguments(kind, programs):
    """@programs: those for each suite."""
    suite = suiteOf(kind)
    if kind == "stock":
        return {"programs": programs[suite], **unable.stockKernel()}
    return {"programs": programs[suite], "suite": suite, "stage2": kind != "no-stage-2",
            "tables": {"IORT": ownTable(programs[SUITE], canwbs=kind != "no-canwbs")}}


class Runner:
    def __init__(self, tap, programs, build, keep):
        self.tap, self.programs, self.build, self.keep = tap, programs, build, keep

    def group(self, scenarios, kind):
        """Runs them on one host; after a scenario that raises, the next one gets a fresh host."""
        waiting = dict(scenarios)
        while waiting:
            name = next(iter(waiting))
            try:
                with World(**hostArguments(kind, self.programs)) as world:
                    self.onHost(world, waiting)
            except (HostError, RuntimeError) as error:
                if name in waiting:     # not even begun
                    self.tap.ok(False, f"{name}: the emulated host", error)
                    del waiting[name]

    def onHost(self, world, waiting):
        while waiting:
            name, before = next(iter(waiting)), self.tap.failed
            scenario = waiting.pop(name)
            world.remains = {}
            try:
                scenario(self.tap, world, name)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                self.tap.ok(False, f"{name}: runs to its end", f"{type(error).__name__}: {error}",
                            f"at {where.filename}:{where.lineno}")
                self.save(world, name)
                return
            if self.keep or self.tap.failed > before:
                self.save(world, name)

    def save(self, world, name):
        """What the scenario has left, and what the host says."""
        if not world.remains:
            try:
                world.collect()
            except HostError as error:
                world.remains["lost"] = f"the host does not answer any more: {error}\n"
        directory = os.path.join(self.build, "e2e-logs", name)
        os.makedirs(directory, exist_ok=True)
        for file, text in {**world.remains, "host-console": world.host.text("console")}.items():
            with open(os.path.join(directory, file), "w", encoding="utf-8") as f:
                f.write(text)
        self.tap.note(f"{name}: logs are in {directory}")


def chosen(names):
    """[(scenarios, kind of host)] of these scenarios and groups."""
    out, unknown = [], set(names)
    for group, (scenarios, kind) in GROUPS.items():
        wanted = scenarios if not names or group in names else {
            name: scenario for name, scenario in scenarios.items() if name in names}
        unknown -= {group} | set(wanted)
        if wanted:
            out.append((wanted, kind))
    if unknown:
        raise SystemExit(f"no such scenario or group: {' '.join(sorted(unknown))}; --help lists them")
    return out


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Groups and their scenarios: " + "; ".join(
            f"{group}: {' '.join(scenarios)}" for group, (scenarios, _) in GROUPS.items()))
    parser.add_argument("--keep", action="store_true", help="keep the logs of scenarios that pass, too")
    parser.add_argument("source")
    parser.add_argument("build")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    groups = chosen(options.names)
    # A test that is ended takes its host with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        suites = {SUITE, *(suiteOf(kind) for _, kind in groups)}
        artefacts.everything(older=artefacts.OLDER in suites)
        programs = {suite: artefacts.programs(options.source, options.build, suite) for suite in suites}
    except Unavailable as reason:
        return skipAll(reason)
    tap = Tap()
    runner = Runner(tap, programs, options.build, options.keep)
    for scenarios, kind in groups:
        runner.group(scenarios, kind)
        if scenarios is classpage.SCENARIOS:
            classpage.comparePage(tap)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
