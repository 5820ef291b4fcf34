"""Collects negative photos (without eyes) from Debian packages into one compressed file of small copies.

Usage: gather_photos.py OUT.npz. Packages and licences: SOURCES.md. From gcompris-qt-data only the files
whose stanza in Debian's copyright file names a Creative Commons licence or the public domain are taken.
"""

import fnmatch
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = True
WALLPAPERS = (
    "gnome-backgrounds", "mate-backgrounds", "plasma-workspace-wallpapers", "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04", "ukui-wallpapers",
)
ACTIVITIES = ("categorization", "explore_monuments", "explore_world_animals", "explore_world_music", "erase")
RESOURCES = Path("/usr/share/gcompris-qt/rcc")
RIGHTS = Path("/usr/share/doc/gcompris-qt-data/copyright")
LONG_SIDE = 640


def wallpapers():
    """Path and bytes of every picture of the wallpaper packages."""
    for package in WALLPAPERS:
        listed = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
        for line in sorted(listed.stdout.splitlines()):
            if line.lower().endswith((".jpg", ".jpeg", ".png", ".webp")) and "screenshot" not in line:
                yield line, Path(line).read_bytes()


def resource_files(data):
    """Names and contents of a Qt resource file (format versions 1 to 3)."""
    version, tree, content, names = struct.unpack(">4x4I", data[:20])
    entry = 14 if version == 1 else 22

    def name_at(offset):
        length = struct.unpack_from(">H", data, names + offset)[0]
        return data[names + offset + 6:names + offset + 6 + 2 * length].decode("utf-16-be")

    def walk(node, path):
        at = tree + node * entry
        name_offset, flags = struct.unpack_from(">IH", data, at)
        name = f"{path}/{name_at(name_offset)}" if node else ""
        if flags & 2:
            count, first = struct.unpack_from(">II", data, at + 6)
            for child in range(first, first + count):
                yield from walk(child, name)
            return
        offset = content + struct.unpack_from(">I", data, at + 10)[0]
        size = struct.unpack_from(">I", data, offset)[0]
        piece = data[offset + 4:offset + 4 + size]
        yield name, zlib.decompress(piece[4:]) if flags & 1 else piece

    yield from walk(0, "")


def licences():
    """Patterns of Debian's copyright file with their licence, in order."""
    for stanza in RIGHTS.read_text().split("\n\n"):
        if stanza.startswith("Files:"):
            files, rest = stanza[6:].split("\nCopyright:", 1)
            licence = rest.split("License:", 1)[1].splitlines()[0].strip() if "License:" in rest else ""
            for pattern in files.split():
                yield pattern, licence


def free_photos():
    rules = list(licences())
    for activity in ACTIVITIES:
        path = RESOURCES / f"{activity}.rcc"
        if not path.exists():
            continue
        for name, content in resource_files(path.read_bytes()):
            tail = name.split(activity, 1)[-1]
            source = f"src/activities/{activity}{tail}"
            source_jpg = source.rsplit(".", 1)[0] + ".*"
            found = [l for p, l in rules if fnmatch.fnmatch(source, p) or p.startswith(source_jpg[:-1])]
            if found and found[-1].startswith(("CC", "public-domain")):
                yield f"gcompris{tail} [{found[-1]}]", content


def main(out):
    photos, seen = {}, set()
    for source in (wallpapers, free_photos):
        for name, content in source():
            try:
                photo = Image.open(io.BytesIO(content))
                photo.draft("RGB", (LONG_SIDE * 2, LONG_SIDE * 2))
                photo = photo.convert("RGB")
            except (OSError, ValueError):
                continue
            if min(photo.size) < 150:
                continue
            photo.thumbnail((LONG_SIDE, LONG_SIDE), Image.LANCZOS)
            key = (np.asarray(photo.resize((16, 16))).astype(int) // 24).tobytes()
            if key not in seen:
                seen.add(key)
                photos[name.strip("/").replace("/", "|")] = np.asarray(photo)
        print(len(photos), "photos so far", flush=True)
    np.savez_compressed(out, **photos)


if __name__ == "__main__":
    main(sys.argv[1])
