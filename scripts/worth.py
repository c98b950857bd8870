"""What a study is worth: how disturbed it was and what its A/A pairs say, in one sentence for its first line, with a grade
that decides whether a winner is declared; and what failed, in one line each.
SPDX-License-Identifier: Apache-2.0"""

import argparse

import pandas as pd

import tripass_data as data

QUIET, USABLE, UNUSABLE = "quiet", "usable", "unusable"
GRADES = [QUIET, USABLE, UNUSABLE]
QUIET_FLOOR = 1.05  # the difference that compare.py calls a regression
USABLE_FLOOR = 1.25  # of 1653 ratios of ours and oneDNN's under results/ half are nearer to 1 than 1.27
QUIET_SHARE, USABLE_SHARE = 0.05, 0.95
RULE = ("Grade: quiet, if the noise floor of the A/A pairs is at most 5 % (without pairs: at most 5 % of the points were "
        "disturbed); unusable, if it is above 25 % or more than 95 % of the points were disturbed: no winner is "
        "declared; usable otherwise.")


def parser(doc):
    """A script's, whose --help ends with the rule."""
    return argparse.ArgumentParser(description=doc, epilog=RULE)


def grade(share, floor):
    """quiet, usable or unusable. share: of the points with a noise flag, NaN if none were recorded; floor: the ratio
    that 95 % of the A/A pairs do not reach, None without pairs.

    The floor is a measurement of what decides, so it goes first. Above 25 % about half of the differences that people
    look for are below it. Flags tell only that something happened (a point whose calls are long is nearly always
    preempted once: 89 % of the points of VGG-19 at batch 8 in a usable study under results/), so only a study in which
    fewer than one point in twenty was left alone is given up because of them."""
    if share > USABLE_SHARE or floor is not None and not floor <= USABLE_FLOOR:
        return UNUSABLE
    quiet = floor <= QUIET_FLOOR if floor is not None else share <= QUIET_SHARE
    return QUIET if quiet else USABLE


class Worth:
    """Of all settings of some studies: grades, and the sentence."""

    def __init__(self, points, controls):
        rows = data.last_attempts(points[~points["impl"].str.endswith(data.CONTROL)])
        self.rows = rows[(rows["status"] == "OK") & rows["t_median_s"].notna()]
        self.floors = data.noise_floor(controls)
        flagged = self.rows["flags"].where(self.rows["flags"].isna(), self.rows["flags"] != "").astype(float)
        shares = flagged.groupby([self.rows[column] for column in data.SETTING], sort=False).mean()
        self.grades = {setting: grade(share, self.floors.get(setting)) for setting, share in shares.items()}

    def usable(self, setting):
        return self.grades.get(tuple(setting), UNUSABLE) != UNUSABLE

    def usable_rows(self, rows):
        """Those of settings in which a winner may be declared."""
        settings = rows[data.SETTING].itertuples(index=False, name=None)
        return rows[pd.Series([self.usable(setting) for setting in settings], index=rows.index, dtype=bool)]

    def floor(self, setting):
        """1 if it is not known."""
        return self.floors.get(tuple(setting), 1)

    def sentence(self):
        """"usable: 217 of 679 points disturbed (preempted 217), noise floor 31 % (2 threads): ..."""
        worst = max(self.grades.values(), key=GRADES.index)
        bad = sum(found == UNUSABLE for found in self.grades.values())
        told = {QUIET: "smaller differences mean nothing", USABLE: "smaller differences mean nothing",
                UNUSABLE: "nothing can be concluded, no winner is declared"}[worst]
        if worst == UNUSABLE and bad < len(self.grades):
            told = f"in {bad} of {len(self.grades)} settings no winner is declared"
        elif not self.floors and worst != UNUSABLE:
            told = "how small a difference counts, nobody can say"
        return f"{worst}: {self.disturbed()}; {self.floors_told()}: {told}"

    def disturbed(self):
        flags = self.rows.drop_duplicates("row")["flags"]  # a point of two states of the cores is one
        if flags.isna().all():
            return f"{len(flags)} points, noise was not recorded"
        kinds = flags.dropna().str.split().explode().value_counts()
        kinds = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        return f"{(flags.fillna('') != '').sum()} of {len(flags)} points disturbed" + (f" ({kinds})" if kinds else "")

    def floors_told(self):
        """The worst floor of each thread count and state of the cores, whichever studies it is from."""
        if not self.floors:
            return "noise floor unknown, for want of A/A pairs (tripass run --aa)"
        worst = {}
        for setting, floor in self.floors.items():
            setting = dict(zip(data.SETTING, setting))
            key = data.thread_count(setting["threads"]) + (f", {data.STATES[setting['state']]}" if setting["state"] else "")
            worst[key] = max(floor, worst.get(key, 1))
        unknown = sum(setting not in self.floors for setting in self.grades)
        return "noise floor " + ", ".join(f"{data.percent(floor)} % ({key})" for key, floor in worst.items()) + (
            f", unknown in {unknown} of {len(self.grades)} settings" if unknown else "")


def failures(points):
    """A line for each implementation and way to fail: how many points it lost, and why."""
    lost = points[points["status"].isin(data.FAILURES)]
    for (impl, status), rows in lost.groupby(["impl", "status"], sort=False):
        count = len(rows[[column for column in data.GROUP if column != "state"]].drop_duplicates())
        reasons = rows["reason"].unique()
        more = f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else ""
        yield f"{impl} {status} on {count} point{'s' if count > 1 else ''}: {reasons[0] or 'no reason given'}{more}"


def opening(points, controls):
    """(Worth, the lines that every verdict begins with)."""
    found = Worth(points, controls)
    return found, [found.sentence(), *failures(points)]
