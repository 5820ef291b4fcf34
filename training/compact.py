"""Makes the checkpoint that is kept in the repository: half floats and no optimiser, 1.7 MB.

    compact.py trained.pt segmenter.pt
    compact.py trained.pt segmenter.pt --blend before.pt 0.3

The second mixes the averages: 0.3 of before.pt and the rest of trained.pt. Training can go on from either;
the optimiser finds its pace again in some hundred steps.
"""

import argparse

import torch


def mixed(ours, theirs, share):
    """(1 - share) * ours + share * theirs, of everything that is a number."""
    return {name: value * (1 - share) + theirs[name].to(value.dtype) * share if value.dtype.is_floating_point else value
            for name, value in ours.items()}


def half(state):
    return {name: value.half() if value.dtype.is_floating_point else value for name, value in state.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained")
    parser.add_argument("out")
    parser.add_argument("--blend", nargs=2, metavar=("CHECKPOINT", "SHARE"))
    options = parser.parse_args()
    kept = torch.load(options.trained)
    network, average = kept["network"], kept["average"]
    if options.blend:
        before, share = torch.load(options.blend[0]), float(options.blend[1])
        average = mixed(average, before["average"], share)
        # Going on from a blend means going on from it, not from one of its halves.
        network = average
    torch.save({"network": half(network), "average": half(average), "seen": kept["seen"], "curve": kept["curve"]},
               options.out)


if __name__ == "__main__":
    main()
