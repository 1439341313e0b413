"""Command line: ``python -m training train|evaluate|recipes|counts``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch
from torch import nn

from training import evaluate
from training.data.sample import DatasetError
from training.detection import evaluate as evaluate_detector
from training.detection import train as train_detector
from training.kernels import KernelError
from training.network.detector import Detector
from training.network.macs import count_modules
from training.network.variants import NETWORK_NAMES, build_network
from training.options import add_machine_arguments, at_least
from training.protocols import command as evaluate_protocol
from training.protocols.registry import ALL, PROTOCOLS
from training.recipes import RECIPES
from training.train import RunOptions, shortened, train
from training.weights import WeightsError, read_weights

DETECTOR: Final = "detector"
STOPPED: Final = 130  # as shells report a process ended by SIGINT


def _stage_length(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not number.isdecimal() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"expected STAGE=CROPS, got {text!r}")
    return name, int(number)


def _add_atpn_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of packs")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--seed", type=at_least(0), help="instead of the recipe's")
    add_machine_arguments(parser)
    parser.add_argument("--init", type=Path, help="weights to start from")
    parser.add_argument(
        "--crops",
        type=_stage_length,
        action="append",
        default=[],
        metavar="STAGE=CROPS",
        help="another length of a stage, may be repeated",
    )


def _train(arguments: Sequence[str]) -> int:
    """The recipe comes first: each kind of network has options of its own."""
    recipes = [*RECIPES, DETECTOR]
    first = argparse.ArgumentParser(prog="python -m training train", add_help=False)
    first.add_argument("--recipe", choices=recipes)
    recipe_name = first.parse_known_args(arguments)[0].recipe
    parser = argparse.ArgumentParser(
        prog=first.prog,
        epilog=f"The detector has options of its own: {first.prog} --recipe {DETECTOR} --help",
    )
    parser.add_argument("--recipe", required=True, choices=recipes)
    if recipe_name == DETECTOR:
        parser.epilog = None
        train_detector.add_arguments(parser)
        return train_detector.run(parser.parse_args(arguments))
    _add_atpn_arguments(parser)
    args = parser.parse_args(arguments)
    recipe = shortened(RECIPES[recipe_name], dict(args.crops), args.seed)
    options = RunOptions(
        data=args.data,
        out=args.out,
        workers=args.workers,
        threads=args.threads,
        device=args.device,
        fused=args.fused,
        resume=args.resume,
        init=args.init,
    )
    sys.stdout.write(f"weights: {train(recipe, options)}\n")
    return 0


def _evaluate(arguments: Sequence[str]) -> int:
    """A protocol if one is named; else the weights say which network it is, and so the measures."""
    first = argparse.ArgumentParser(prog="python -m training evaluate", add_help=False)
    first.add_argument("--weights", type=Path)
    first.add_argument("--protocol")
    known = first.parse_known_args(arguments)[0]
    if known.protocol:
        parser = argparse.ArgumentParser(prog=first.prog)
        evaluate_protocol.add_arguments(parser)
        return evaluate_protocol.run(parser.parse_args(arguments))
    network = read_weights(known.weights)[1].get("network") if known.weights else None
    parser = argparse.ArgumentParser(
        prog=first.prog,
        epilog=f"The protocols of the field have options of their own: {first.prog} "
        f"--protocol {' | '.join((*PROTOCOLS, ALL))} --help",
    )
    if network == DETECTOR:
        evaluate_detector.add_arguments(parser)
        return evaluate_detector.run(parser.parse_args(arguments))
    evaluate.add_arguments(parser)
    return evaluate.run(parser.parse_args(arguments))


def _recipes(arguments: Sequence[str]) -> int:
    """What there is to train."""
    argparse.ArgumentParser(prog="python -m training recipes").parse_args(arguments)
    for recipe in RECIPES.values():
        sys.stdout.write(f"{recipe.name}: {recipe.summary}\n")
        for stage in recipe.stages:
            sys.stdout.write(f"  {stage.name}: {stage.crops} crops, batch {stage.batch}\n")
    sys.stdout.write(f"{DETECTOR}: the face detector\n")
    return 0


def _counts(arguments: Sequence[str]) -> int:
    """Parameters and multiply-adds of the networks, branch by branch."""
    argparse.ArgumentParser(prog="python -m training counts").parse_args(arguments)
    detector = Detector()
    size = detector.config.input_size
    faces = {name: build_network(name) for name in NETWORK_NAMES}
    networks: dict[str, tuple[nn.Module, int]] = {
        **{name: (network, network.input_size) for name, network in faces.items()},
        DETECTOR: (detector, size),
    }
    for name, (network, side) in networks.items():
        sys.stdout.write(f"{name}, {side}x{side}        parameters       MACs\n")
        for part, counts in count_modules(network, torch.zeros(1, 3, side, side)).items():
            if counts.parameters:
                sys.stdout.write(f"  {part:<16} {counts.parameters:>12,} {counts.macs:>12,}\n")
    return 0


COMMANDS: Final = MappingProxyType(
    {"train": _train, "evaluate": _evaluate, "recipes": _recipes, "counts": _counts}
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 2 unusable input, 130 stopped by a key."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__, add_help=False)
    parser.add_argument("-h", "--help", action="store_true", help="of a command: COMMAND --help")
    parser.add_argument("command", choices=[*COMMANDS], nargs="?")
    arguments = sys.argv[1:] if argv is None else list(argv)
    command = parser.parse_args(arguments[:1]).command
    if command is None:
        parser.print_help()
        return 0
    try:
        return COMMANDS[command](arguments[1:])
    except (DatasetError, KernelError, WeightsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        advice = "; --resume goes on from the last checkpoint" if command == "train" else ""
        sys.stderr.write(f"stopped{advice}\n")
        return STOPPED


if __name__ == "__main__":
    sys.exit(main())
