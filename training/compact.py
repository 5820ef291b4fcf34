"""Writes the compact checkpoint for the repository: half floats, no optimiser state, 1.7 MB.

    compact.py trained.pt segmenter.pt
    compact.py trained.pt segmenter.pt --blend before.pt 0.3

The second blends the running averages: 0.3 of before.pt and 0.7 of trained.pt. Training can be resumed from
either; the optimiser state is rebuilt within some hundred steps.
"""

import argparse

import torch


def blend(trained, before, share):
    """(1 - share) * trained + share * before, for all floating-point tensors."""
    return {name: value * (1 - share) + before[name].to(value.dtype) * share if value.dtype.is_floating_point else value
            for name, value in trained.items()}


def half(state):
    return {name: value.half() if value.dtype.is_floating_point else value for name, value in state.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained")
    parser.add_argument("out")
    parser.add_argument("--blend", nargs=2, metavar=("CHECKPOINT", "SHARE"))
    options = parser.parse_args()
    trained = torch.load(options.trained)
    network, average = trained["network"], trained["average"]
    if options.blend:
        before, share = torch.load(options.blend[0]), float(options.blend[1])
        average = blend(average, before["average"], share)
        # Training resumes from the blend, not from one of its parts.
        network = average
    torch.save({"network": half(network), "average": half(average), "seen": trained["seen"], "curve": trained["curve"]},
               options.out)


if __name__ == "__main__":
    main()
