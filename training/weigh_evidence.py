"""Fits the weights of the evidence for an iris: weigh_evidence.py CURVES.csv [CURVES.csv ...]

Fits the logistic regression of `segment/verdict.rs` (`confidence`) to the output of `cargo xtask eval
--curves`, with seeds that docs/accuracy.md does not use. An example is the best candidate of a render or of a
photo without an eye; it is positive when it is an eye with an overlap of at least 0.8 of the visible part.
Annotated photos are excluded from the fit and only counted. Prints the weights, and for a range of limits the
accepted examples.
"""

import csv
import sys

import numpy as np

NAMES = ("presence", "disc_overlap", "disc_around", "pupil_overlap", "opening_overlap", "limbus_edge")
SURE = 0.99
ENOUGH = 0.8


def features(row):
    values = {name: float(row[name]) for name in NAMES}
    presence = min(max(values["presence"], 1 - SURE), SURE)
    return [1.0, np.log(presence / (1 - presence))] + [values[name] for name in NAMES[1:]]


def fit(x, y, ridge=1e-2, rounds=60):
    """Logistic regression by iteratively reweighted least squares, with slight ridge regularisation."""
    weights = np.zeros(x.shape[1])
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-x @ weights))
        variance = p * (1 - p) + 1e-6
        hessian = x.T @ (x * variance[:, None]) + ridge * np.eye(x.shape[1])
        weights = weights + np.linalg.solve(hessian, x.T @ (y - p) - ridge * weights)
    return weights


def main(paths):
    rows = [row for path in paths for row in csv.DictReader(open(path)) if row["presence"]]
    # Candidates on a plain background are rejected before the regression.
    rows = [row for row in rows if not row["surroundings"] or float(row["surroundings"]) >= 0.1]
    photos = [row for row in rows if row["kind"] == "photo"]
    fitted = [row for row in rows if row["kind"] not in ("photo", "unclear render")]
    x = np.array([features(row) for row in fitted])
    y = np.array([bool(row["overlap"]) and float(row["overlap"]) >= ENOUGH for row in fitted], float)
    weights = fit(x, y)
    for name, weight in zip(("constant", "presence, log odds") + NAMES[1:], weights):
        print(f"{name:20} {weight:9.3f}")
    chance = 1 / (1 + np.exp(-x @ weights))
    seen = 1 / (1 + np.exp(-np.array([features(row) for row in photos]) @ weights)) if photos else np.zeros(0)
    print(f"{len(fitted)} examples, {int(y.sum())} of them a yes; {len(photos)} annotated photos")
    usable = np.array([row["kind"] == "usable render" for row in fitted])
    empty = np.array([not row["kind"].endswith("render") for row in fitted])
    for limit in (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9):
        taken = chance >= limit
        print(f"limit {limit:.2f}: usable turned down {int((usable & ~taken).sum())} of {usable.sum()}, "
              f"taken that are no yes {int((taken & (y == 0)).sum())} of {int((y == 0).sum())}, "
              f"without an eye {int((taken & empty).sum())} of {empty.sum()}, photos taken {int((seen >= limit).sum())}")


if __name__ == "__main__":
    main(sys.argv[1:])
