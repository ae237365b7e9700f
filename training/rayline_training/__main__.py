"""The container's entry point: ``python -m rayline_training preprocess | train | evaluate | serve``."""

import argparse
import sys
from collections.abc import Sequence

from rayline.errors import RaylineError
from rayline_training.container import Container


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step in the job's container; the exit status is 0, or 1 with the reason left for SageMaker."""
    parsed = _parser().parse_args(arguments)
    container = Container()
    try:
        if parsed.step == "preprocess":
            _preprocess(container, parsed)
        elif parsed.step == "train":
            _train(container)
        elif parsed.step == "evaluate":
            _evaluate(container, parsed)
        else:
            _serve(container)
    except RaylineError as error:
        return _fail(container, parsed.step, str(error))
    except Exception as error:
        # The type alone: an unexpected message may quote what was read.
        _fail(
            container,
            parsed.step,
            f"{parsed.step} failed unexpectedly ({type(error).__name__}); see the job's log",
        )
        raise
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rayline_training", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    preprocess = steps.add_parser("preprocess", help="manifest to train and test images")
    preprocess.add_argument("--manifest-uri", required=True)
    preprocess.add_argument("--image-size", type=int, required=True)
    preprocess.add_argument("--test-fraction", type=float, required=True)
    preprocess.add_argument("--seed", type=int, required=True)
    steps.add_parser("train", help="train images to a model")
    evaluate = steps.add_parser("evaluate", help="model and test images to metrics and a report")
    evaluate.add_argument("--threshold", type=float, required=True)
    steps.add_parser("serve", help="answer inference requests")
    return parser


# Each step imports its own: preprocess needs no network weights, serve no SDK of AWS.


def _preprocess(container: Container, parsed: argparse.Namespace) -> None:
    from rayline.aws import Clients
    from rayline.healthimaging.reader import FrameReader
    from rayline.observability.meter import Meter
    from rayline_training.dataset import read_manifest
    from rayline_training.preprocess import manifest_content, run

    folder = container.processing_input("manifest")
    meter = Meter(read_manifest(manifest_content(folder)).site)
    with meter.publishing():
        run(
            folder,
            parsed.manifest_uri,
            FrameReader(Clients(meter=meter).medical_imaging, meter=meter),
            {side: container.processing_output(side) for side in ("train", "test")},
            image_size=parsed.image_size,
            test_fraction=parsed.test_fraction,
            seed=parsed.seed,
        )


def _train(container: Container) -> None:
    from rayline_training.train import run

    run(
        container.channel("train"),
        container.hyperparameters(),
        container.model,
        container.checkpoints,
        say=_say,
    )


def _evaluate(container: Container, parsed: argparse.Namespace) -> None:
    from rayline_training.evaluate import run

    run(
        container.processing_input("model"),
        container.processing_input("test"),
        container.processing_output("evaluation"),
        parsed.threshold,
    )


def _serve(container: Container) -> None:
    from rayline_training.model import holds_model, load_model
    from rayline_training.serve import PORT, make_server

    # Nothing in the folder is an endpoint before its first model; a damaged model must fail.
    model = load_model(container.model) if holds_model(container.model) else None
    # SageMaker reaches a container on all of its interfaces; none is public.
    with make_server(model, "0.0.0.0", PORT) as server:  # noqa: S104
        server.serve_forever()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _fail(container: Container, step: str, message: str) -> int:
    container.report_failure(step == "train", message)
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
