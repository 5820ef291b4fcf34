"""Baselines for `cargo xtask bench image`: the same photo to the same three pictures, with OpenCV.

    iris_picture.py KIND PHOTO CX CY RADIUS --runs N --threads N

KIND is one of

naive   what anyone would write: full decode, crop, threshold and Telea, CLAHE in Lab, Lanczos to 2048, unsharp
        mask, save. The iris is given.
tuned   written for speed: a reduced decode for locating (a Hough transform on a small picture stands in for a
        network), one cubic pass straight to 2048, one plane instead of colours, highlights filled at half size
        and only where they are.
floor   no picture at all: decoding the photo and encoding three pictures of the size and content of the results.

Prints one line of JSON: CPU milliseconds (user and system) of each step and of all, wall milliseconds, each the
least of the runs after the first, and the peak memory of the process, which includes Python and OpenCV.
"""

import argparse
import json
import resource
import time

import cv2
import numpy

SIDE = 2048
FILL = 0.94
STEPS = ["decode", "find and cut out", "reflections", "enhance", "save"]


class Steps:
    """CPU time from one call to the next."""

    def __init__(self):
        self.ms = dict.fromkeys(STEPS, 0.0)
        self.since = time.process_time()

    def done(self, step):
        now = time.process_time()
        self.ms[step] += (now - self.since) * 1000
        self.since = now


def disc(side, radius):
    mask = numpy.zeros((side, side), numpy.uint8)
    cv2.circle(mask, (side // 2, side // 2), int(radius), 255, -1)
    return mask


def save(result, mask, before):
    cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, 95])
    cv2.imencode(".jpg", before, [cv2.IMWRITE_JPEG_QUALITY, 90])
    cv2.imencode(".png", mask)


def naive(photo, cx, cy, radius):
    steps = Steps()
    picture = cv2.imdecode(photo, cv2.IMREAD_COLOR)
    steps.done("decode")
    half = int(radius / FILL)
    left, top = max(int(cx) - half, 0), max(int(cy) - half, 0)
    crop = picture[top : int(cy) + half, left : int(cx) + half].copy()
    before = crop
    steps.done("find and cut out")
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    bright = cv2.threshold(grey, 235, 255, cv2.THRESH_BINARY)[1]
    bright = cv2.dilate(bright, numpy.ones((5, 5), numpy.uint8))
    crop = cv2.inpaint(crop, bright, 3, cv2.INPAINT_TELEA)
    steps.done("reflections")
    lab = cv2.cvtColor(crop, cv2.COLOR_BGR2LAB)
    luma, a, b = cv2.split(lab)
    luma = cv2.createCLAHE(2.0, (8, 8)).apply(luma)
    crop = cv2.cvtColor(cv2.merge((luma, a, b)), cv2.COLOR_LAB2BGR)
    result = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_LANCZOS4)
    blurred = cv2.GaussianBlur(result, (0, 0), 2)
    result = cv2.addWeighted(result, 1.5, blurred, -0.5, 0)
    mask = disc(SIDE, SIDE / 2 * FILL)
    result = cv2.bitwise_and(result, result, mask=mask)
    steps.done("enhance")
    save(result, mask, before)
    steps.done("save")
    return steps


def tuned(photo, cx, cy, radius):
    steps = Steps()
    small = cv2.imdecode(photo, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    picture = cv2.imdecode(photo, cv2.IMREAD_COLOR)
    steps.done("decode")
    small = cv2.resize(small, (256, 192), interpolation=cv2.INTER_AREA)
    cv2.HoughCircles(small, cv2.HOUGH_GRADIENT, 2, 256, minRadius=12, maxRadius=96)
    half = radius / FILL
    rows = slice(max(round(cy - half), 0), round(cy + half))
    columns = slice(max(round(cx - half), 0), round(cx + half))
    before = cv2.resize(picture[rows, columns], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    steps.done("find and cut out")
    half = before[::2, ::2]
    bright = cv2.dilate(cv2.inRange(half, (220, 220, 220), (255, 255, 255)), numpy.ones((3, 3), numpy.uint8))
    result = before.copy()
    if cv2.countNonZero(bright):
        x, y, width, height = cv2.boundingRect(bright)
        x, y, width, height = max(x - 8, 0), max(y - 8, 0), width + 16, height + 16
        part, holes = half[y : y + height, x : x + width], bright[y : y + height, x : x + width]
        filled = cv2.inpaint(numpy.ascontiguousarray(part), holes, 2, cv2.INPAINT_TELEA)
        there = result[2 * y : 2 * (y + height), 2 * x : 2 * (x + width)]
        size = (there.shape[1], there.shape[0])
        filled = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR)
        holes = cv2.resize(holes, size, interpolation=cv2.INTER_NEAREST)
        cv2.copyTo(filled, holes, there)
    steps.done("reflections")
    ycc = cv2.cvtColor(result, cv2.COLOR_BGR2YCrCb)
    luma = cv2.createCLAHE(2.0, (8, 8)).apply(cv2.extractChannel(ycc, 0))
    blurred = cv2.blur(luma, (5, 5))
    luma = cv2.addWeighted(luma, 1.5, blurred, -0.5, 0)
    cv2.insertChannel(luma, ycc, 0)
    result = cv2.cvtColor(ycc, cv2.COLOR_YCrCb2BGR)
    mask = disc(SIDE, SIDE / 2 * FILL)
    cv2.bitwise_and(result, result, dst=result, mask=mask)
    result[mask == 0] = 0
    steps.done("enhance")
    save(result, mask, before)
    steps.done("save")
    return steps


def floor(photo, results):
    steps = Steps()
    cv2.imdecode(photo, cv2.IMREAD_COLOR)
    steps.done("decode")
    save(*results)
    steps.done("save")
    return steps


def pictures_for_floor(photo, cx, cy, radius):
    picture = cv2.imdecode(photo, cv2.IMREAD_COLOR)
    half = int(radius / FILL)
    part = picture[max(int(cy) - half, 0) : int(cy) + half, max(int(cx) - half, 0) : int(cx) + half]
    before = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    mask = disc(SIDE, SIDE / 2 * FILL)
    return cv2.bitwise_and(before, before, mask=mask), mask, before


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["naive", "tuned", "floor"])
    parser.add_argument("photo")
    parser.add_argument("circle", type=float, nargs=3)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    photo = numpy.fromfile(arguments.photo, numpy.uint8)
    if arguments.kind == "floor":
        results = pictures_for_floor(photo, *arguments.circle)
        once = lambda: floor(photo, results)
    else:
        work = {"naive": naive, "tuned": tuned}[arguments.kind]
        once = lambda: work(photo, *arguments.circle)
    steps, cpu, wall = dict.fromkeys(STEPS, 1e9), 1e9, 1e9
    for run in range(arguments.runs + 1):
        cpu_begun, wall_begun = time.process_time(), time.perf_counter()
        done = once().ms
        cpu_ms, wall_ms = time.process_time() - cpu_begun, time.perf_counter() - wall_begun
        if run > 0:
            steps = {step: min(steps[step], done[step]) for step in STEPS}
            cpu, wall = min(cpu, cpu_ms * 1000), min(wall, wall_ms * 1000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"steps_ms": [steps[step] for step in STEPS], "cpu_ms": cpu, "wall_ms": wall, "peak_mb": peak}))


main()
