#!/usr/bin/python3
"""Puts the parts of a study (tripass run --shard=K/N, each with a directory of its own) together into one directory,
which is then a study like any other. Refuses parts that are not of one study, build and kind of machine, and a set in
which a part is missing or unfinished, unless --anyway. Several nodes of a cluster are one kind of machine if their
CPUs, caches and libraries are the same; machine.json lists them all.
SPDX-License-Identifier: Apache-2.0"""

import argparse
import json
import re
from pathlib import Path

import startup
startup.explain_missing_modules()

import tripass_data as data

FILES = ["points.csv", "samples.csv"]
OWN_OPTIONS = re.compile(r"--(shard|out(put)?|res(ume?)?|force)(=.*)?$|-o.*$")  # of one part or its directory alone


def read_part(directory):
    try:
        return json.loads((directory / "machine.json").read_text())
    except (OSError, ValueError) as error:
        raise data.DataError(f"{directory}/machine.json: {error}; is it a directory given to tripass run -o?") from None


def command_line(machine):
    """The words that are the same for all parts."""
    words, skip = [], False
    for word in machine["study"]["command_line"][1:]:
        if not skip and not OWN_OPTIONS.match(word):
            words.append(word)
        skip = not skip and word in ("-o", "--output", "--shard")
    return words


def shard(machine):
    """(K, N) as the command line has it."""
    line = " ".join(machine["study"]["command_line"])
    found = re.findall(r"--shard[= ](\d+)/(\d+)", line)
    return tuple(map(int, found[-1])) if found else (1, 1)


def kind_of_machine(machine):
    topology = {key: value for key, value in machine["topology"].items() if key not in ("allowed_cpus", "places")}
    return [machine["cpu"], topology, machine["libraries"]]


def objections(parts):
    """What speaks against merging {directory: machine.json}."""
    (first, reference), *others = parts.items()
    for what, part_of in (("study", command_line), ("build", lambda machine: machine["build"]),
                          ("kind of machine", kind_of_machine)):
        for directory, machine in others:
            if part_of(machine) != part_of(reference):
                yield f"{directory}: is of another {what} than {first}"
    for directory, machine in parts.items():
        if not machine["completed"]:
            yield f"{directory}: is not finished"
    shards = sorted(map(shard, parts.values()))
    wanted = [(k, shards[0][1]) for k in range(1, shards[0][1] + 1)]
    if shards != wanted:
        yield "the parts are " + ", ".join(f"{k}/{n}" for k, n in shards) + f", not each of {len(wanted)} once"


def merge_file(out, directories, name):
    """All rows under one header."""
    header = None
    with open(out / name, "w") as merged:
        for directory in directories:
            lines = (directory / name).read_text().splitlines(keepends=True)
            header = header or lines[0]
            if lines[0] != header or not lines[-1].endswith("\n"):
                raise data.DataError(f"{directory}/{name}: has other columns than {directories[0]}/{name}, or a torn line")
            merged.writelines(lines if directory == directories[0] else lines[1:])


def merge(out, directories, anyway):
    parts = {directory: read_part(directory) for directory in directories}
    against = list(objections(parts))
    if against and not anyway:
        raise data.DataError(f"{against[0]}; try --anyway if that is as it should be")
    points = data.read_points(directories)
    if points.duplicated(data.POINT).any():
        raise data.DataError(f"{out}: a point would be there twice; try each part once")
    out.mkdir(parents=True, exist_ok=True)
    if any((out / name).exists() for name in FILES):
        raise data.DataError(f"{out}: holds results already; try another directory")
    with_phases = all((directory / "phases.csv").exists() for directory in directories)
    for name in FILES + ["phases.csv"] * with_phases:
        merge_file(out, directories, name)
    machine = parts[directories[0]] | {"completed": all(part["completed"] for part in parts.values()), "parts": [
        {"host": part["system"]["host"], "command_line": part["study"]["command_line"], "start": part["start"],
         "end": part["end"], "ceilings": part["ceilings"]} for part in parts.values()]}
    (out / "machine.json").write_text(json.dumps(machine, indent=2) + "\n")
    print(f"{out}: {len(points)} points of {len(parts)} parts" + "".join(f"\n  in spite of: {text}" for text in against))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\nSPDX")[0])
    parser.add_argument("--anyway", action="store_true", help="merge what does not belong together, too")
    parser.add_argument("out", type=Path, help="directory to make")
    parser.add_argument("part", type=Path, nargs="+", help="what tripass run -o was given")
    options = parser.parse_args()
    try:
        merge(options.out, options.part, options.anyway)
    except OSError as error:
        raise data.DataError(f"{error.filename}: {error.strerror}") from None


if __name__ == "__main__":
    data.run(main)
