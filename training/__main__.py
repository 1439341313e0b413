"""Command line: ``python -m training train|evaluate|recipes``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from training import evaluate
from training.data.sample import DatasetError
from training.detection import evaluate as evaluate_detector
from training.detection import train as train_detector
from training.recipes import RECIPES
from training.train import RunOptions, shortened, train
from training.weights import WeightsError, read_weights

DETECTOR = "detector"


def _stage_length(text: str) -> tuple[str, int]:
    name, separator, number = text.partition("=")
    if not separator or not number.isdigit() or int(number) == 0:
        raise argparse.ArgumentTypeError(f"expected STAGE=CROPS, got {text!r}")
    return name, int(number)


def _add_atpn_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of packs")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint, log, curve, weights")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, default=2, help="threads of the network")
    parser.add_argument("--workers", type=int, default=2, help="processes that prepare crops")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
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
    first = argparse.ArgumentParser(prog="python -m training train", add_help=False)
    first.add_argument("--recipe", required=True, choices=[*RECIPES, DETECTOR])
    recipe_name = first.parse_known_args(arguments)[0].recipe
    parser = argparse.ArgumentParser(prog=first.prog, parents=[first])
    add = train_detector.add_arguments if recipe_name == DETECTOR else _add_atpn_arguments
    add(parser)
    args = parser.parse_args(arguments)
    if recipe_name == DETECTOR:
        return train_detector.run(args)
    recipe = shortened(RECIPES[recipe_name], dict(args.crops), args.seed)
    options = RunOptions(
        data=args.data,
        out=args.out,
        workers=args.workers,
        threads=args.threads,
        device=args.device,
        resume=args.resume,
        init=args.init,
    )
    sys.stdout.write(f"weights: {train(recipe, options)}\n")
    return 0


def _evaluate(arguments: Sequence[str]) -> int:
    """The weights say which network they belong to, and so how it is measured."""
    first = argparse.ArgumentParser(prog="python -m training evaluate", add_help=False)
    first.add_argument("--weights", type=Path)
    weights = first.parse_known_args(arguments)[0].weights
    network = read_weights(weights)[1].get("network") if weights else None
    module = evaluate_detector if network == DETECTOR else evaluate
    parser = argparse.ArgumentParser(prog=first.prog)
    module.add_arguments(parser)
    return module.run(parser.parse_args(arguments))


def _recipes() -> int:
    for recipe in RECIPES.values():
        sys.stdout.write(f"{recipe.name}: {recipe.summary}\n")
        for stage in recipe.stages:
            sys.stdout.write(f"  {stage.name}: {stage.crops} crops, batch {stage.batch}\n")
    sys.stdout.write(f"{DETECTOR}: the face detector\n")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 2 unusable input."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__, add_help=False)
    parser.add_argument("-h", "--help", action="store_true", help="of a command: COMMAND --help")
    parser.add_argument("command", choices=["train", "evaluate", "recipes"], nargs="?")
    arguments = sys.argv[1:] if argv is None else list(argv)
    command = parser.parse_args(arguments[:1]).command
    try:
        if command == "train":
            return _train(arguments[1:])
        if command == "evaluate":
            return _evaluate(arguments[1:])
    except (DatasetError, WeightsError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if command == "recipes":
        return _recipes()
    parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
